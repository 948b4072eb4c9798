"""Contract tests and tiny builders, public: whoever adds a model or a backend tests it with these.

The contract classes need pytest, so they are imported from :mod:`shared.testing.contracts` by name.
"""

from shared.testing.builders import fake_card

__all__ = ["fake_card"]
