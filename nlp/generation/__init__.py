"""Texts that causal language models write: opened, fine-tuned, and judged against passages and true answers."""
