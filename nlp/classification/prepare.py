"""Labels as a user writes them, to names and the sentences that stand for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from shared.errors import UsageError

Labels: TypeAlias = Sequence[str] | Mapping[str, str]
"""Names of labels, each perhaps as ``"name=description"``; or names with their descriptions."""


def parse_labels(labels: Labels) -> dict[str, str]:
    """Names of labels and what describes each, in order; a name without a description describes itself.

    Raises:
        UsageError: there are fewer than two, one comes twice, or one is no text.

    Example:
        >>> parse_labels(["sports", "world=wars, elections and diplomacy"])
        {'sports': 'sports', 'world': 'wars, elections and diplomacy'}
    """
    if isinstance(labels, str | bytes) or not isinstance(labels, Mapping | Sequence):
        raise UsageError(
            f"labels must be a list of names, or a mapping from name to description. Got {labels!r} instead"
        )
    pairs = list(labels.items()) if isinstance(labels, Mapping) else [_pair(label) for label in labels]
    for name, description in pairs:
        if not all(isinstance(part, str) and part.strip() for part in (name, description)):
            raise UsageError(f"a label and its description must be text. Got {name!r}, {description!r} instead")
    names = [name for name, _ in pairs]
    if len(names) < 2 or len(set(names)) != len(names):
        raise UsageError(f"labels must be at least two, all different. Got {names} instead")
    return dict(pairs)


def hypotheses(labels: Mapping[str, str], template: str) -> list[str]:
    """The sentence that stands for each label: its description in the place of ``{}``.

    Raises:
        UsageError: the template does not hold ``{}`` exactly once.

    Example:
        >>> hypotheses({"sports": "sports"}, "This text is about {}.")
        ['This text is about sports.']
    """
    if template.count("{}") != 1:
        raise UsageError(f"a template must hold {{}} once, where the description goes. Got {template!r} instead")
    return [template.replace("{}", description) for description in labels.values()]


def _pair(label: str) -> tuple[str, str]:
    if not isinstance(label, str):
        return label, label
    name, equals, description = label.partition("=")
    return (name, description) if equals else (label, label)
