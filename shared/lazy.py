"""Heavy and optional libraries are imported late, by name, and a missing one says how to get it."""

from __future__ import annotations

import importlib
from types import ModuleType

from shared.errors import MissingDependencyError


def require(module: str, *, extra: str) -> ModuleType:
    """Import ``module`` now, or say the exact command that installs it.

    Args:
        module: the dotted name, for example ``"torch"``.
        extra: the extra of this distribution that brings it, for example ``"torch"``.

    Raises:
        MissingDependencyError: the module is not installed. An import error inside an installed module passes
            through unchanged: it is a fault of that installation, not a missing extra.

    Example:
        >>> require("json", extra="dev").dumps({"a": 1})
        '{"a": 1}'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".", maxsplit=1)[0]:
            raise
        raise MissingDependencyError(
            f"this needs {module!r}, which is not installed. Run: pip install 'triptych[{extra}]'"
        ) from error
