"""Recommendation from who liked what: popularity, neighbours, linear models, factors."""
