"""Prompts by name: those that ship, the user's own under ``TRIPTYCH_HOME/prompts``, and folders anywhere."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from nlp.prompts.prompt import EXAMPLES, FIGURES, PROMPT, TEMPLATE, Prompt, is_prompt_folder, read_prompt
from shared.catalogue import ModelCard
from shared.errors import UnknownNameError, UsageError
from shared.settings import home
from shared.weights.folder import write_model_folder

FAMILY, TASK_NAME = "prompt", "nlp.generation"


def prompt_folders() -> Mapping[str, Path]:
    """The folders of all prompts that have a name here; the user's own come before those that ship."""
    shipped = Path(str(files("nlp.prompts") / "shipped"))
    found: dict[str, Path] = {}
    for place in (shipped, home() / "prompts"):
        if place.is_dir():
            found |= {folder.name: folder for folder in sorted(place.iterdir()) if is_prompt_folder(folder)}
    return found


def find_prompt(name: str | Path) -> Prompt:
    """A prompt by its name, or by its folder.

    Raises:
        DataError: it is malformed.
        UnknownNameError: nothing is called that.

    Example:
        >>> find_prompt("grounded-answer").output.kind
        'cited'
    """
    path = Path(name).expanduser()
    if is_prompt_folder(path):
        return _read(path.resolve(), _stamp(path))
    known = prompt_folders()
    if str(name) not in known:
        raise UnknownNameError("prompt", str(name), known)
    return _read(known[str(name)], _stamp(known[str(name)]))


def prompt_diff(before: Prompt, after: Prompt) -> list[str]:
    """What differs between two prompts, as lines of a unified diff; none where they tell a model the same.

    Example:
        >>> one = find_prompt("short-answer")
        >>> prompt_diff(one, one)
        []
    """
    lines: list[str] = []
    for name, sides in {
        "variables and output": (_facts(before), _facts(after)),
        TEMPLATE: (before.source.splitlines(), after.source.splitlines()),
    }.items():
        old, new = (f"{one.name} {one.version} {one.digest[:12]}, {name}" for one in (before, after))
        lines += difflib.unified_diff(*sides, fromfile=old, tofile=new, lineterm="")
    return lines


def save_prompt(prompt: Prompt, out: Path) -> ModelCard:
    """Write a prompt as a model folder: its files, and a card with their hashes, so that a registry takes it.

    Args:
        prompt: the prompt.
        out: a new or empty folder.

    Raises:
        UsageError: something stands there.
        WeightsError: it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"OUT must be a new or empty folder. Something stands in {out} already")
    content = {name: prompt.read(name) for name in (PROMPT, TEMPLATE, EXAMPLES, FIGURES)}
    options = {"version": prompt.version, "digest": prompt.digest, "output": prompt.output.kind}
    card = ModelCard(
        prompt.name, TASK_NAME, FAMILY, "jinja2", prompt.licence, prompt.summary or prompt.name, options=options
    )
    return write_model_folder(out, card, {name: part for name, part in content.items() if part is not None})


@lru_cache(maxsize=64)
def _read(folder: Path, stamp: tuple[int, ...]) -> Prompt:
    del stamp  # what was read before is read again once a file changes
    return read_prompt(folder)


def _stamp(folder: Path) -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in (folder / PROMPT, folder / TEMPLATE))


def _facts(prompt: Prompt) -> list[str]:
    rows = [
        f"{one.name}: {one.type}{'' if one.required else f' = {one.default!r}'}"
        for one in sorted(prompt.variables.values(), key=lambda one: one.name)
    ]
    form = prompt.output
    more = f" {', '.join(form.labels)}" if form.labels else f" {dict(form.keys)}" if form.keys else ""
    return [*rows, f"output: {form.kind}{more}", f"no answer: {form.unknown!r}"]
