"""Recommenders in bulk: everybody's ranking in one file, and approximate search over factors."""
