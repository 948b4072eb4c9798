"""What somebody does next, from what was done in which order."""
