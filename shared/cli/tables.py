"""Plain aligned columns for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str] | None, rows: Sequence[Sequence[str]], *, indent: int = 0) -> str:
    """Rows as text in columns as wide as their longest cell; the last column is left as long as it is.

    Example:
        >>> print(table(["NAME", "SIZE"], [["tiny", "3 B"], ["larger", "12 MB"]]))
        NAME    SIZE
        tiny    3 B
        larger  12 MB
    """
    lines = [*([header] if header else []), *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    margin = " " * indent
    return "\n".join(
        margin + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    )
