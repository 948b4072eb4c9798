"""Documents to passages, an index of them on disk, and search by words and by meaning."""
