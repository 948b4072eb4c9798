"""A page as HTML that needs nothing but itself: figures, plots, tables, and the items that went wrong.

Everything that came from outside is escaped, pictures are inline JPEGs, plots are inline SVG, there is no script, and a
policy in the page forbids whatever a reader's browser might be told to fetch. A page stays under 2 MB, whatever the
data.
"""

from __future__ import annotations

import base64
import re
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from shared.evaluation.bounded import fitted
from shared.evaluation.pages import WORST, evaluation_page
from shared.evaluation.plots import plotted
from shared.evaluation.report import Evaluation, Gallery, Matrix, Page, Section, Table

_SHORT = 32
"""Characters of a cell that is not broken into lines."""
_NUMBER = re.compile(r"[-+]?\d[\d.]*(e-?\d+)?( ?%)?")


def to_html(evaluation: Evaluation, *, worst: int = WORST) -> str:
    """The page of an evaluation.

    Args:
        evaluation: what to show; its ``sections`` are asked for here.
        worst: items in a gallery at most.

    Example:
        >>> from shared.evaluation.report import Metric
        >>> page = to_html(Evaluation("a.task", "<model>", "data", 3, 0, {"top1": Metric(0.5, 0.25, 0.75)}))
        >>> "&lt;model&gt;" in page, "0.5000" in page
        (True, True)
    """
    return page_html(evaluation_page(evaluation, worst=worst))


def page_html(page: Page) -> str:
    """A page as HTML, cut to the size of :data:`shared.evaluation.bounded.MAX_BYTES`."""
    page, sections = fitted(page)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = _cell
    environment.filters["kind"] = _cell_kind
    environment.filters["inline"] = _inline
    environment.filters["plotted"] = plotted
    environment.tests["number"] = _is_number
    template = environment.from_string((files(__package__) / "report.html.j2").read_text("utf-8"))
    shown = [("table", page.figures, 0), *((_kind(section), section, without) for section, without in sections)]
    return template.render(page=page, sections=shown, shade=_shade, zip=zip)


def _kind(section: Section) -> str:
    return {Table: "table", Matrix: "matrix", Gallery: "gallery"}[type(section)]


def _cell(value: str | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_number(value: str | float) -> bool:
    return isinstance(value, int | float) or bool(_NUMBER.fullmatch(value))


def _cell_kind(value: str | float) -> str:
    """How a cell is set: a number, a few words that stay in one line, or text that wraps."""
    return "n" if _is_number(value) else "k" if len(str(value)) <= _SHORT else "w"


def _inline(jpeg: bytes) -> Markup:
    # Base64 has no letter that HTML reads as its own.
    return Markup("data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii"))  # noqa: S704


def _shade(count: int, row: tuple[int, ...]) -> str:
    """How dark a cell of a matrix is: its share of the row in eight steps."""
    total = sum(row)
    return f"s{round(8 * count / total)}" if total else "s0"
