"""Training on torch, whatever is trained: one loop, and one resumable folder."""
