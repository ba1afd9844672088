"""The harness: takes cases, lets implementations fit them, and says why two numbers differ."""
