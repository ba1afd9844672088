"""The lecture from beginning to end: its data, its models, two simulations, its pictures, and one page that shows them.

`make` in run.py writes it all; the estimates are refimpl's, the printed numbers lie in fixtures/published.
"""
