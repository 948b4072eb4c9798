"""Labelled texts of one training: several files in one row, their labels in the model's words."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlp.datasets import SEVERAL, read_labelled_texts
from nlp.labels import parse_label_map
from shared.errors import DataError
from shared.tasks import check_dataset
from shared.types import Int64


@dataclass(frozen=True)
class Joined:
    """Texts to learn from.

    Attributes:
        texts: length n.
        codes: position of each text's label in ``labels``, shape (n,), int64; where a text may have several, 1 for each
            that it has and 0 for the others, shape (n, labels), int64.
        labels: the model's, in its order.
        label_map: the model's label for each of the data's; empty where they are the same.
        places: file and line of each text, for messages.
    """

    texts: tuple[str, ...]
    codes: Int64
    labels: tuple[str, ...]
    label_map: Mapping[str, str]
    places: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Whether a text may have several labels or none."""
        return self.codes.ndim == 2

    @property
    def strata(self) -> Int64:
        """What is to be spread evenly over parts of the texts, shape (n,): each text's label, of several the rarest.

        A text without a label has the code that follows the last label's.
        """
        if not self.several:
            return self.codes
        frequency = self.codes.sum(axis=0)
        rarity = np.where(self.codes == 1, frequency, len(self.codes) + 1)
        return np.where(self.codes.any(axis=1), rarity.argmin(axis=1), len(self.labels))

    def counts(self) -> dict[str, int]:
        """How many texts each label has."""
        found = self.codes.sum(axis=0) if self.several else np.bincount(self.codes, minlength=len(self.labels))
        return dict(zip(self.labels, found.tolist()))

    def digest(self) -> str:
        """A hash of texts and labels, 64 hex digits."""
        hashed = hashlib.sha256(repr(self.labels).encode())
        for text, code in zip(self.texts, self.codes.tolist()):
            hashed.update(f"{code} {len(text)} {text}".encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()

    def part(self, rows: Sequence[int]) -> Joined:
        """Some of the texts."""
        return Joined(
            tuple(self.texts[row] for row in rows),
            self.codes[list(rows)],
            self.labels,
            self.label_map,
            tuple(self.places[row] for row in rows),
        )


def read_joined(
    paths: Sequence[Path],
    *,
    format: str | None,
    text_column: str,
    label_column: str,
    encoding: str,
    label_map: str | None,
    label_separator: str | None = None,
    labels: Sequence[str] | None = None,
) -> Joined:
    """Read files of labelled texts.

    Args:
        paths: the files, of one layout.
        format: see :func:`nlp.datasets.read_labelled_texts`, as the next three.
        text_column: where a row keeps its text.
        label_column: where a row keeps its label.
        encoding: of the files.
        label_map: the model's label for each label of the data, ``"DATA=MODEL,..."``, which also says their order;
            ``None`` keeps the data's own, sorted.
        label_separator: what stands between the labels of one text; where it is given, or JSON has lists of labels, a
            text may have several or none.
        labels: the model's, where they are settled already; every label of the data must lead to one of them.

    Raises:
        UsageError: a file is not there, or the map is malformed.
        DataError: a file is malformed, a label is in no map, or there are fewer than two labels, or than two texts of
            one.
    """
    parts = [
        read_labelled_texts(
            check_dataset(path),
            format=format,
            text_column=text_column,
            label_column=label_column,
            encoding=encoding,
            several=None,
            label_separator=label_separator,
        )
        for path in paths
    ]
    kinds = {part.sets is not None for part in parts}
    if len(kinds) > 1:
        raise DataError(f"the data sets must be of one kind. Some of {', '.join(map(str, paths))} have lists of labels")
    mapping = parse_label_map(label_map)
    doubtful = next((row for part in parts for row in zip(part.lines, part.labels) if SEVERAL in row[1]), None)
    if doubtful is not None and kinds == {False}:
        raise DataError(
            f"a label must not hold {SEVERAL!r} where a text has one. Line {doubtful[0]} has {doubtful[1]!r}: if these "
            f"are several labels, say so (--label-separator '{SEVERAL}')"
        )
    sets = [names for part in parts for names in (part.sets or [(label,) for label in part.labels])]
    found = [name for names in sets for name in names]
    known = _labels(found, mapping) if labels is None else tuple(labels)
    if labels is not None:
        unknown = sorted({mapping.get(label, label) for label in found} - set(known))
        if unknown:
            raise DataError(
                f"{paths[0]} must have the labels {', '.join(known)}. It also has {', '.join(unknown[:12])}"
            )
    place = {label: code for code, label in enumerate(known)}
    if kinds == {True}:
        codes = np.zeros((len(sets), len(known)), dtype=np.int64)
        for row, names in zip(codes, sets):
            row[[place[mapping.get(name, name)] for name in names]] = 1
    else:
        codes = np.array([place[mapping.get(label, label)] for label in found], dtype=np.int64)
    places = tuple(f"{path}, line {line}" for path, part in zip(paths, parts) for line in part.lines)
    return Joined(tuple(text for part in parts for text in part.texts), codes, known, mapping, places)


def split(data: Joined, share: float, *, seed: int) -> tuple[Joined, Joined]:
    """Two parts: what is learnt from, and a share of every label, one text at least, that is kept for validation.

    Where texts may have several labels, the share is of the texts whose rarest label is the same, and of those without
    any; a single such text is learnt from.

    Raises:
        DataError: a label has one text only.
    """
    rng = np.random.default_rng([seed, 1])
    kept: list[int] = []
    strata = data.strata
    for code, label in enumerate((*data.labels, "no label") if data.several else data.labels):
        rows = rng.permutation(np.flatnonzero(strata == code))
        if len(rows) < 2 and data.several:
            continue
        if len(rows) < 2:
            raise DataError(
                f"a training with a validation part needs two texts of each label. {label!r} has {len(rows)}"
            )
        kept += rows[: min(len(rows) - 1, max(1, round(share * len(rows))))].tolist()
    chosen = set(kept)
    return data.part([row for row in range(len(data.texts)) if row not in chosen]), data.part(sorted(chosen))


def _labels(found: Sequence[str], mapping: dict[str, str]) -> tuple[str, ...]:
    """The head's labels in order, once every one of them is known to have texts enough."""
    if mapping:
        unknown = sorted(set(found) - set(mapping))
        if unknown:
            raise DataError(
                f"the label map must name every label of the data. It does not name {', '.join(unknown[:12])}"
            )
    counts = Counter(mapping.get(label, label) for label in found)
    labels = tuple(dict.fromkeys(mapping.values())) if mapping else tuple(sorted(counts, key=_numbers_first))
    few = [label for label in labels if counts[label] < 2]
    if few or len(labels) < 2:
        raise DataError(
            f"training needs two labels at least, and two texts of each. "
            f"Got { ({label: counts[label] for label in (few or labels)[:12]}) }"
        )
    return labels


def _numbers_first(label: str) -> tuple[int, str]:
    return (int(label) if label.isascii() and label.isdigit() else 1 << 62, label)
