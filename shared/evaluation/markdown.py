"""A page as Markdown: figures and tables, and in words the items that went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shared.evaluation.bounded import fitted
from shared.evaluation.report import Gallery, Matrix, Page, Section

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


def page_markdown(page: Page) -> str:
    r"""The page, cut as :mod:`shared.evaluation.bounded` says; what came from outside is escaped.

    Example:
        >>> from shared.evaluation.report import Table
        >>> print(page_markdown(Page("a | b", ("Words.",), Table("Figures", ("figure", "value"), (("top1", 0.5),)))))
        # a \| b
        <BLANKLINE>
        Words.
        <BLANKLINE>
        ## Figures
        <BLANKLINE>
        | figure | value |
        |---|---|
        | top1 | 0.500 |
        <BLANKLINE>
    """
    page, sections = fitted(page)
    blocks = [f"# {_text(page.title)}", *map(_text, page.lead), *_section(page.figures, 0)]
    blocks += [f"- {_text(note)}" for note in page.notes]
    for section, without in sections:
        blocks += _section(section, without)
    return "\n\n".join(blocks) + "\n"


def _section(section: Section, without: int) -> list[str]:
    blocks = [f"## {_text(section.title)}"] + [_text(section.note)] * bool(section.note)
    if isinstance(section, Gallery):
        blocks += [f"- **{_text(item.title)}**: {_text('; '.join(item.lines))}" for item in section.items]
    elif isinstance(section, Matrix):
        rows: list[tuple[str | int, ...]] = [(name, *counts) for name, counts in zip(section.rows, section.counts)]
        blocks.append(_table(("", *section.columns), rows))
    elif section.rows:
        blocks.append(_table(section.columns, section.rows))
    said = f"And {without} {'items' if isinstance(section, Gallery) else 'rows'} more."
    return blocks + [said] * bool(without)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str | float]]) -> str:
    head = [_text(column) for column in columns]
    lines = [_row(head), "|" + "---|" * len(head)]
    lines += [_row(_text(f"{cell:.3f}" if isinstance(cell, float) else str(cell)) for cell in row) for row in rows]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
