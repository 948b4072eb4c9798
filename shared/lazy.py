"""Late imports: optional libraries by name, and a package's public names when they are first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

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


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package that imports its public names when they are asked for (PEP 562).

    Args:
        package: the package's ``__name__``.
        homes: for each module the names that it gives.

    Example:
        >>> get, names = lazy_names("tools", {"json": ("dumps", "loads")})
        >>> get("dumps")([1]), names()
        ('[1]', ['dumps', 'loads'])
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home_of[name]), name)

    return get, lambda: sorted(home_of)
