"""The life of a model: runs, the registry, gates, retraining, search of options."""
