"""A prompt against its evaluation set: does every example render, and is what should be answered of the right form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlp.generation.data import Example, read_examples
from nlp.prompts.prompt import EXAMPLES, FIGURES, Prompt
from shared.errors import DataError, UsageError
from shared.evaluation.report import Evaluation
from shared.weights.cache import sha256_of, write_bytes


def check_prompt(prompt: Prompt, *, examples: Path | None = None) -> list[dict[str, Any]]:
    """Render each example, and look what it says and whether its completion is of the prompt's form.

    Args:
        prompt: the prompt.
        examples: the evaluation set; ``None`` takes the prompt's own.

    Returns:
        A row an example: ``id``, ``ok`` and ``fault``, which is empty where it is right.

    Raises:
        DataError: there is no evaluation set, or it is malformed.
        UsageError: an example's variables do not fit the prompt; the message says which.

    Example:
        >>> from nlp.prompts.store import find_prompt
        >>> [row["ok"] for row in check_prompt(find_prompt("short-answer"))]
        [True, True]
    """
    rows = [(one.id, _fault(prompt, one)) for one in examples_of(prompt, examples)]
    return [{"id": name, "ok": not fault, "fault": fault} for name, fault in rows]


def examples_of(prompt: Prompt, examples: Path | None = None) -> list[Example]:
    """The evaluation set of a prompt, rendered.

    Raises:
        DataError: there is none, or it is malformed.
    """
    path = examples or prompt.folder / EXAMPLES
    if not path.is_file():
        raise DataError(f"the prompt {prompt.name} must have an evaluation set to be tested. Nothing stands at {path}")
    return read_examples(path, prompt=prompt)


def record(prompt: Prompt, found: Evaluation, *, examples: Path | None = None) -> Path:
    """Keep how a model did on an evaluation set beside the prompt, in the place of what the same model did before.

    Args:
        prompt: the prompt.
        found: the figures.
        examples: the evaluation set; ``None`` takes the prompt's own.

    Returns:
        The file.

    Raises:
        UsageError: the prompt's folder cannot be written, for it ships with the code.
    """
    path = prompt.folder / FIGURES
    row = {
        "model": found.model,
        "version": prompt.version,
        "digest": prompt.digest,
        "examples": sha256_of(examples or prompt.folder / EXAMPLES),
        "n": found.n,
        "failed": found.failed,
        "figures": found.to_json()["metrics"],
    }
    same = ("model", "digest", "examples")
    before: list[Mapping[str, Any]] = json.loads(prompt.read(FIGURES) or b"[]")
    kept = [one for one in before if any(one.get(key) != row[key] for key in same)]
    try:
        write_bytes(path, (json.dumps([*kept, row], indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise UsageError(f"figures must be written beside the prompt, and {path} cannot be: copy it first") from error
    return path


def _fault(prompt: Prompt, one: Example) -> str:
    told = "\n".join(message["content"] for message in one.messages)
    unsaid = next((text for text in one.says if text not in told), None)
    if unsaid is not None:
        return f"what the model is told must hold {unsaid!r:.80}"
    wrong = prompt.output.fault(one.completion) if one.completion else ""
    return f"the completion {wrong}" if wrong else ""
