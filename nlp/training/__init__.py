"""Fine-tuning text encoders on torch, into adapters of a few megabytes or whole graphs."""
