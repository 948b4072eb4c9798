"""Several recommenders as one: blends, rank fusion, re-ranking, and an answer for everybody."""
