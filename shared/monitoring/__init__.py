"""Whether a model that is live still sees what it was made for, and is still good at it."""
