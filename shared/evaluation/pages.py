"""An evaluation as a page, before it is written as HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from shared.evaluation.report import Evaluation, Forest, Page, Section, Table

WORST = 24
"""Items in a gallery unless another number is asked for."""


def evaluation_page(evaluation: Evaluation, *, worst: int = WORST, further: Sequence[Section] = ()) -> Page:
    """The page of an evaluation.

    Args:
        evaluation: what to show; its ``sections`` are asked for here.
        worst: items in a gallery at most.
        further: sections that follow the figures, before the evaluation's own.
    """
    sections = [*further, *(evaluation.sections(worst) if evaluation.sections else ())]
    if evaluation.by_class:
        sections.append(_by_class(evaluation))
    shares = [(k, m) for k, m in evaluation.metrics.items() if 0 <= m.low <= m.value <= m.high <= 1]
    rows = tuple((k, f"{m.value:.4f}", f"{m.low:.4f}", f"{m.high:.4f}") for k, m in evaluation.metrics.items())
    plot = Forest(tuple(shares)) if shares else None
    return Page(
        title=f"{evaluation.task}: {evaluation.model}",
        lead=(
            f"{evaluation.n} items of {evaluation.dataset}; {evaluation.failed} could not be predicted and count as "
            "wrong.",
        ),
        figures=Table("Figures", ("figure", "value", "low", "high"), rows, plot=plot),
        notes=tuple(f"{key}: {value}" for key, value in evaluation.notes.items()),
        sections=tuple(sections),
    )


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
