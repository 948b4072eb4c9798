"""An evaluation as one HTML page that needs nothing but itself: figures, tables, and the items that went wrong.

Everything that came from outside is escaped, pictures are inline JPEGs, there is no script, and a policy in the page
forbids whatever a reader's browser might be told to fetch.
"""

from __future__ import annotations

import base64
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from shared.evaluation.report import Evaluation, Gallery, Matrix, Section, Table

WORST = 24
"""Items in a gallery unless another number is asked for."""
MAX_ROWS = 2000
"""Rows of one table that are written; the page says how many more there are."""


def to_html(evaluation: Evaluation, *, worst: int = WORST) -> str:
    """The page.

    Args:
        evaluation: what to show; its ``sections`` are asked for here.
        worst: items in a gallery at most.

    Example:
        >>> from shared.evaluation.report import Metric
        >>> page = to_html(Evaluation("a.task", "<model>", "data", 3, 0, {"top1": Metric(0.5, 0.25, 0.75)}))
        >>> "&lt;model&gt;" in page, "0.5000" in page
        (True, True)
    """
    sections = list(evaluation.sections(worst)) if evaluation.sections else []
    if evaluation.by_class:
        sections.append(_by_class(evaluation))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = _cell
    environment.filters["inline"] = _inline
    environment.tests["number"] = lambda value: isinstance(value, int | float)
    template = environment.from_string((files(__package__) / "report.html.j2").read_text("utf-8"))
    shown = [(_kind(section), section) for section in sections]
    return template.render(evaluation=evaluation, sections=shown, max_rows=MAX_ROWS, shade=_shade, zip=zip)


def _by_class(evaluation: Evaluation) -> Table:
    names = sorted({name for metrics in evaluation.by_class.values() for name in metrics})
    columns = ("class", *(column for name in names for column in (name, "95 % interval")))
    rows = []
    for label, metrics in evaluation.by_class.items():
        cells: list[str | float] = [label]
        for name in names:
            metric = metrics.get(name)
            cells += [metric.value, f"{metric.low:.3f} to {metric.high:.3f}"] if metric else ["", ""]
        rows.append(tuple(cells))
    return Table("By class", columns, tuple(rows))


def _kind(section: Section) -> str:
    return {Table: "table", Matrix: "matrix", Gallery: "gallery"}[type(section)]


def _cell(value: str | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _inline(jpeg: bytes) -> Markup:
    # Base64 has no letter that HTML reads as its own.
    return Markup("data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii"))  # noqa: S704


def _shade(count: int, row: tuple[int, ...]) -> str:
    """How dark a cell of a matrix is: its share of the row in eight steps."""
    total = sum(row)
    return f"s{round(8 * count / total)}" if total else "s0"
