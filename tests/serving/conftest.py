"""What pytest leaves alone among the tests of serving."""

collect_ignore = ["serving_toy.py"]
"""Collected for doctests it would be imported a second time, with classes that are not those of the tests."""
