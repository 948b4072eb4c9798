"""Tables of facts as HTML. Everything shown is escaped; on a narrow screen each row becomes a labelled list."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        soft: a second line, set smaller.
        tag: how the text is set: ``""`` plain, ``"tag"`` or ``"tag yes"`` as a pill, ``"number"`` right-aligned,
            ``"short"`` never broken.
        href: where the text leads, or empty.
    """

    text: str
    soft: str = ""
    tag: str = ""
    href: str = ""


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Cell | str]]) -> str:
    """A table whose first cell of each row names the row.

    Example:
        >>> print(table("Pets", ["Name", "Legs"], [["<b>", Cell("4", tag="number")]]))
        <div class="facts"><table><caption>Pets</caption><thead><tr><th scope="col">Name</th><th scope="col"
        class="number">Legs</th></tr></thead><tbody><tr><th scope="row">&lt;b&gt;</th><td
        class="number">4</td></tr></tbody></table></div>
    """
    cells = [[Cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    numeric = {at for row in cells for at, cell in enumerate(row) if cell.tag == "number"}
    head = "".join(
        f'<th scope="col"{_class("number" if at in numeric else "")}>{html.escape(name)}</th>'
        for at, name in enumerate(columns)
    )
    labels = columns if len(columns) > 2 else [""] * len(columns)  # with one value to a row its name says it all
    body = "".join(f"<tr>{''.join(_cell(at, cell, labels[at]) for at, cell in enumerate(row))}</tr>" for row in cells)
    return (
        f'<div class="facts"><table><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(at: int, cell: Cell, column: str) -> str:
    text = html.escape(cell.text)
    if cell.tag.startswith("tag"):
        text = f'<span class="{cell.tag}">{text}</span>'
    if cell.href:
        text = f'<a href="{html.escape(cell.href)}">{text}</a>'
    if cell.soft:
        text += f'<span class="soft">{html.escape(cell.soft)}</span>'
    if at == 0:
        return f'<th scope="row">{text}</th>'
    label = f' data-label="{html.escape(column)}"' if column else ""
    return f"<td{_class(cell.tag if cell.tag in ('number', 'short') else '')}{label}>{text}</td>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
