"""Whether data are fit to be learnt from: what is asked of them, and everything that is wrong with them at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shared.errors import UsageError
from shared.lifecycle.rows import as_number, format_of, read, row_digest


@dataclass(frozen=True)
class Validation:
    """What data must be like before anything is learnt from them.

    Attributes:
        rows: at least so many.
        columns: which must be there.
        missing: greatest share of rows in which one of those is empty, in [0, 1].
        duplicates: greatest share of rows that are there before, in [0, 1].
        label: column of labels; empty for none. Of a folder the class.
        label_rows: every label must have so many rows at least.
        labels: the labels that there may be; any when empty.
        ranges: by column the least and greatest number.
    """

    rows: int = 2
    columns: tuple[str, ...] = ()
    missing: float = 0.0
    duplicates: float = 1.0
    label: str = ""
    label_rows: int = 1
    labels: tuple[str, ...] = ()
    ranges: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not 0 <= self.missing <= 1 or not 0 <= self.duplicates <= 1:
            raise UsageError("[validate]: missing and duplicates must be shares in [0, 1]")
        if self.labels and not self.label:
            raise UsageError("[validate]: labels need the column 'label' that holds them")
        for name, ends in self.ranges.items():
            if not isinstance(ends, list | tuple) or len(ends) != 2 or not ends[0] <= ends[1]:
                raise UsageError(f"[validate]: the range of {name!r} must be two numbers, [least, greatest]")


def validate(path: Path, rules: Validation, *, format: str = "") -> tuple[dict[str, Any], list[str]]:
    """Facts of the data, and what is wrong with them, all of it.

    Args:
        path: the data.
        rules: what they must be like.
        format: one of :data:`FORMATS`; found by the name when empty.

    Raises:
        DataError: they cannot be read at all.
    """
    kind = format_of(path, format)
    rows = repeated = 0
    seen: set[bytes] = set()
    empty: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    beyond: Counter[str] = Counter()
    columns: Sequence[str] = ()
    for row in read(path, kind):
        columns = columns or list(row)
        rows += 1
        digest = row_digest(row, ())
        repeated += digest in seen
        seen.add(digest)
        empty.update(name for name in rules.columns if row.get(name) in (None, ""))
        if rules.label:
            labels[str(row.get(rules.label, ""))] += 1
        for name, (low, high) in rules.ranges.items():
            number = as_number(row.get(name))
            beyond[name] += number is None or not low <= number <= high
    facts = {"rows": rows, "columns": list(columns), "duplicates": repeated, "labels": dict(sorted(labels.items()))}
    faults = [f"{rows} rows, and {rules.rows} at least are asked for"] if rows < rules.rows else []
    faults += [f"column {name!r} is not there: {', '.join(columns)}" for name in rules.columns if name not in columns]
    for name, count in empty.items():
        if name in columns and count > rules.missing * rows:
            faults.append(f"{count} of {rows} rows have no {name}, and {rules.missing:.1%} may")
    if repeated > rules.duplicates * rows:
        faults.append(f"{repeated} of {rows} rows are there before, and {rules.duplicates:.1%} may be")
    faults += [
        f"label {name!r} has {count} rows, and each needs {rules.label_rows}"
        for name, count in labels.items()
        if count < rules.label_rows
    ]
    strange = [name for name in labels if rules.labels and name not in rules.labels]
    gone = [name for name in rules.labels if name not in labels]
    faults += [f"labels {', '.join(sorted(strange)[:8])} are not known"] if strange else []
    faults += [f"labels {', '.join(gone[:8])} have no row"] if gone else []
    faults += [f"{count} of {rows} rows have a {name} outside its range" for name, count in beyond.items() if count]
    return facts, faults
