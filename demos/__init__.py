"""Pages that show each job on real input: ``triptych demo``, or :func:`demos.app.running` from Python.

:func:`page` gives one of them to an application of yours, :func:`mount` all of them to one of FastAPI. Needs the extra
``demos``; importing this package alone loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lazy import lazy_names

if TYPE_CHECKING:
    from demos.embedding import mount, page

__all__ = ["mount", "page"]

__getattr__, __dir__ = lazy_names(__name__, {"demos.embedding": ("mount", "page")})
