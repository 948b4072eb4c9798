"""The page of faces."""
