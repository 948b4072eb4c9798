"""The page that tells which pixels belong to what."""
