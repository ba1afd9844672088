"""The pytest files that a third party runs against an implementation of its own."""
