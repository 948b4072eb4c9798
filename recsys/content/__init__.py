"""Recommendation from what items are about: words, or vectors of texts and pictures."""
