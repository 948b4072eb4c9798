"""Prompts of language models as versioned artefacts: a folder with a template, its variables and its tests."""
