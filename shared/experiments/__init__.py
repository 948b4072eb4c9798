"""Online experiments: who gets what, what was shown, and what it did."""
