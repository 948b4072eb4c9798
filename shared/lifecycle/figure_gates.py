"""What a gate asks of figures: floors, that one is better, that one is not worse; see :mod:`shared.lifecycle.gates`."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from shared.errors import UsageError
from shared.evaluation.comparing import Compared, Difference
from shared.evaluation.paired import adjusted_p_values
from shared.evaluation.report import Evaluation, Metric
from shared.evaluation.same_items import items_of
from shared.lifecycle.rules import MARGIN, FigureRule, Rules

Row: TypeAlias = tuple[str, bool, str, dict[str, Any]]
"""Rule, whether it holds, a sentence, and the numbers."""


def figure_rulings(evaluation: Evaluation, compared: Compared | None, rules: Rules) -> list[Row]:
    """What is asked of figures.

    Args:
        evaluation: the challenger's.
        compared: with the champion's; ``None`` where there is none.
        rules: what must hold.

    Raises:
        UsageError: a figure is asked that neither has.
    """
    asked = rules.figures or (FigureRule(next(iter(evaluation.metrics)), "not worse", MARGIN),)
    known = {*evaluation.metrics} | ({figure.name for figure in compared.figures} if compared is not None else set())
    unknown = [rule.name for rule in asked if rule.name not in known]
    if unknown:
        raise UsageError(f"the rules ask for {', '.join(unknown)}. The evaluation has {', '.join(sorted(known))}")
    differences = {} if compared is None else {figure.name: figure for figure in compared.figures}
    wanted = {rule.name: differences[rule.name] for rule in asked if rule.name in differences}
    better = {rule.name: wanted[rule.name].p_value for rule in asked if rule.need == "better" and rule.name in wanted}
    adjusted = adjusted_p_values(better)
    found: list[Row] = []
    for rule in asked:
        if rule.floor is not None:
            found.append(_floor(rule, evaluation))
        if not rule.need or compared is None:
            continue
        if rule.name not in wanted:
            said = f"{rule.name} cannot be compared: only one of both has it, or as another kind of figure"
            found.append((f"figure {rule.name}", False, said, {}))
        elif rule.need == "better":
            found.append(_better(wanted[rule.name], adjusted[rule.name], rules.alpha))
        else:
            found.append(_not_worse(wanted[rule.name], rule.margin or 0.0, compared, rules.alpha))
    return found


def _floor(rule: FigureRule, evaluation: Evaluation) -> Row:
    name, floor = rule.name, float(rule.floor or 0.0)
    metric = evaluation.metrics.get(name)
    if metric is None:
        return (f"floor of {name}", False, f"{name} has no value of its own in this evaluation", {})
    higher = evaluation.items is None or getattr(items_of(evaluation).figures.get(name), "higher_is_better", True)
    end = metric.low if higher else metric.high
    held = end >= floor if higher else end <= floor
    said = (
        f"{name} is {interval(metric)}: its {'lower' if higher else 'upper'} end must be "
        f"{'at least' if higher else 'at most'} {floor:g}"
    )
    return (f"floor of {name}", held, said, {**vars(metric), "floor": floor})


def _better(figure: Difference, adjusted: float, alpha: float) -> Row:
    held = figure.gain > 0 and adjusted < alpha
    said = (
        f"{figure.name} must be better: {figure.first:.4f} to {figure.second:.4f}, {interval(figure.difference)}, "
        f"p = {adjusted:.2g} after correction ({figure.test}), and below {alpha:g} is asked for"
    )
    return (f"figure {figure.name}", held, said, _numbers(figure, adjusted_p_value=adjusted, alpha=alpha))


def _not_worse(figure: Difference, margin: float, compared: Compared, alpha: float) -> Row:
    apart = figure.difference
    worst = apart.low if figure.higher_is_better else -apart.high
    least = math.ceil(-math.log(alpha) / margin)
    if apart.low == apart.high and figure.test.startswith("McNemar") and compared.n < least:
        said = (
            f"{figure.name}: no item differs, and with {compared.n} of them that leaves room for a loss of more than "
            f"{margin:g}; {least} items at least would show it"
        )
        return (f"figure {figure.name}", False, said, _numbers(figure, margin=margin))
    said = (
        f"{figure.name} may be worse by {margin:g} at most: {figure.first:.4f} to {figure.second:.4f}, the "
        f"{1 - alpha:.0%} interval of the gain is {interval(_gain(figure))}"
    )
    return (f"figure {figure.name}", worst >= -margin, said, _numbers(figure, margin=margin, alpha=alpha))


def _gain(figure: Difference) -> Metric:
    apart = figure.difference
    return apart if figure.higher_is_better else Metric(-apart.value, -apart.high, -apart.low)


def interval(metric: Metric) -> str:
    return f"{metric.value:.4f} [{metric.low:.4f}, {metric.high:.4f}]"


def _numbers(figure: Difference, **more: float) -> dict[str, Any]:
    return {
        "first": figure.first,
        "second": figure.second,
        "difference": vars(figure.difference),
        "p_value": figure.p_value,
        **more,
    }
