"""Which pixels of a picture belong to what."""
