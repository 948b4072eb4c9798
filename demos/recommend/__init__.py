"""The page that recommends."""
