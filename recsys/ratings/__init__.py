"""Predicted ratings: what somebody would give to an item, on the scale of the training ratings."""
