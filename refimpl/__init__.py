"""The reference: R's regression estimators in plain dense linear algebra, under the names R users know."""
