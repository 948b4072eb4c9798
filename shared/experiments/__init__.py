"""Online experiments: assignment and exposure, tests that allow looking, power, and decisions with their reasons."""
