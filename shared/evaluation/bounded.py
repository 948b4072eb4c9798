"""A page cut to a size that a browser and a mail can carry, whatever the data: long cells, many rows, many pictures."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import escape

from shared.evaluation.report import Forest, Gallery, Matrix, Page, Section, Shown, Table

MAX_BYTES = 1_900_000
"""Bytes of a page at most, its own style included."""
MAX_ROWS = 2000
"""Rows of one table at most; the page says how many more there are."""
MAX_DRAWN = 60
"""Intervals of one plot at most."""
MAX_CLASSES = 100
"""Rows and columns of a matrix at most."""
MAX_TEXT = 300
"""Characters of one cell or line at most."""
_STYLE = 20_000
_CELL = 30
"""What a cell's tags cost; a row of a plot costs :data:`_DRAWN`."""
_DRAWN = 700


def fitted(page: Page, *, most: int = MAX_BYTES) -> tuple[Page, tuple[tuple[Section, int], ...]]:
    """Cut a page so that it stays below a size.

    Each section may take an equal share of what those before it left.

    Args:
        page: what is to be written.
        most: bytes at most.

    Returns:
        The page with its texts and figures cut, and each of its sections with how many of its rows or items are left
        out.
    """
    lead = tuple(_clipped(line, 10 * MAX_TEXT) for line in page.lead)
    notes = tuple(_clipped(note, 10 * MAX_TEXT) for note in page.notes[:MAX_DRAWN])
    left = most - _STYLE - sum(map(_cost, (page.title, *lead, *notes)))
    parts: list[tuple[Section, int]] = []
    for at, section in enumerate((page.figures, *page.sections)):
        share = left // (1 + len(page.sections) - at)
        part, spent, without = _cut(section, share)
        left -= spent
        parts.append((part, without))
    (figures, _), *sections = parts
    cut = replace(page, title=_clipped(page.title), lead=lead, notes=notes)
    return (replace(cut, figures=figures) if isinstance(figures, Table) else cut), tuple(sections)


def _cut(section: Section, share: int) -> tuple[Section, int, int]:
    """The section within its share, what it costs, and how much of it is left out."""
    section = replace(section, title=_clipped(section.title), note=_clipped(section.note, 10 * MAX_TEXT))
    spent = _cost(section.title) + _cost(section.note)
    if isinstance(section, Gallery):
        return _cut_gallery(section, share, spent)
    if isinstance(section, Matrix):
        return _cut_matrix(section, spent)
    columns = tuple(map(_clipped, section.columns[:MAX_CLASSES]))
    spent += sum(_CELL + _cost(column) for column in columns)
    plot = section.plot
    if isinstance(plot, Forest):
        plot = replace(plot, rows=tuple((_clipped(name), metric) for name, metric in plot.rows[:MAX_DRAWN]))
        spent += sum(_DRAWN + _cost(name) for name, _ in plot.rows)
    elif plot is not None:
        spent += _DRAWN * len(plot.points)
    rows = []
    for row in section.rows[:MAX_ROWS]:
        cells = tuple(_clipped(cell) if isinstance(cell, str) else cell for cell in row[:MAX_CLASSES])
        cost = sum(_CELL + _cost(str(cell)) for cell in cells)
        if spent + cost > share:
            break
        spent += cost
        rows.append(cells)
    return (
        replace(section, columns=columns, rows=tuple(rows), plot=plot),
        spent,
        len(section.rows) - len(rows),
    )


def _cut_gallery(section: Gallery, share: int, spent: int) -> tuple[Section, int, int]:
    items = []
    for item in section.items[:MAX_ROWS]:
        lines = tuple(map(_clipped, item.lines[:MAX_DRAWN]))
        title = _clipped(item.title)
        cost = 4 * _CELL + 2 * _cost(title) + sum(_CELL + _cost(line) for line in lines) + 4 * len(item.jpeg) // 3
        if spent + cost > share:
            break
        spent += cost
        items.append(Shown(title, lines, item.jpeg))
    return replace(section, items=tuple(items)), spent, len(section.items) - len(items)


def _cut_matrix(section: Matrix, spent: int) -> tuple[Section, int, int]:
    names = [tuple(_clipped(name, 60) for name in side[:MAX_CLASSES]) for side in (section.rows, section.columns)]
    counts = tuple(row[: len(names[1])] for row in section.counts[: len(names[0])])
    spent += sum(_CELL + _cost(name) for side in names for name in side) + _CELL * len(names[0]) * len(names[1])
    kept = replace(section, rows=names[0], columns=names[1], counts=counts)
    return kept, spent, len(section.rows) - len(names[0])


def _clipped(text: str, most: int = MAX_TEXT) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _cost(text: str) -> int:
    return len(str(escape(text)).encode("utf-8", "replace"))
