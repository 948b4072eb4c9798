"""Questions answered: out of a given context, or out of an index of documents."""
