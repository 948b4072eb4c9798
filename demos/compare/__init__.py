"""The page that compares two models."""
