"""What Gradio does at every start and no visitor needs, left out: two seconds of a processor before the first page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

from shared.lazy import require

_STUBS = ("gradio.component_meta", "create_or_modify_pyi")
"""What writes a stub for editors beside the source of every component, each time that Gradio is imported."""


def import_gradio() -> None:
    """Import Gradio without the stubs that it would write into its own folder.

    Raises:
        MissingDependencyError: it is not installed.
    """
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        require("gradio", extra="demos")
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _STUBS[0]:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if hasattr(module, _STUBS[1]):
            setattr(module, _STUBS[1], lambda *_: None)


@contextmanager
def many_pages() -> Iterator[None]:
    """While pages are laid out, make no web application of those that stand: the last one, with all of them, counts."""
    gradio = require("gradio", extra="demos")
    made: list[tuple[Any, str, Any]] = [
        (gradio.routes.App, "create_app", staticmethod(lambda *_, **__: None)),
        (gradio.Blocks, "get_config_file", lambda *_, **__: {}),
    ]
    before = [(owner, name, vars(owner)[name]) for owner, name, _ in made]
    for owner, name, value in made:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
