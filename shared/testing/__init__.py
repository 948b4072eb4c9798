"""Contract tests and tiny builders, public: whoever adds a model or a backend tests it with these."""

from shared.testing.builders import fake_card

__all__ = ["fake_card"]
