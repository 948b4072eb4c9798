"""Recommendation by networks that are trained in PyTorch and answer in NumPy."""
