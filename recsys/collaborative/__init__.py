"""Recommendation from who liked what: popularity, item neighbours, EASE."""
