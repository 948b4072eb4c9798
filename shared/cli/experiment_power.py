"""``triptych experiment power``: sample size, least detectable effect, duration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from shared.cli.tables import table
from shared.errors import UsageError

HELP = """Plan an experiment: how many units show an effect, what so many units show, or how many weeks it takes.

The metric's spread comes from --mean and --sd, from --rate (a proportion), or from a HISTORY of events.

\b
  triptych experiment power --rate 0.05 --effect 0.10
  triptych experiment power --mean 12 --sd 40 --correlation 0.6 --units 50000
  triptych experiment power --history events.parquet --unit user --time at --column spent --weeks 4 --effect 0.02"""


@click.command("power", help=HELP)
@click.option("--rate", type=float, help="the metric is a proportion: its value now, in (0, 1)")
@click.option("--mean", type=float, help="the metric's mean now")
@click.option("--sd", type=float, help="its standard deviation between units")
@click.option("--correlation", type=float, default=0.0, show_default=True, help="with the covariate of CUPED")
@click.option("--effect", type=float, help="effect to be seen, as a share of the mean (0.01 is 1 %)")
@click.option("--units", type=float, help="units of all arms together: what effect do they show?")
@click.option("--power", type=float, default=0.8, show_default=True, help="chance to see the effect")
@click.option("--confidence", type=float, default=0.95, show_default=True, help="1 - error over all arms")
@click.option("--share", "shares", type=float, multiple=True, help="of units by arm, the control first; two halves")
@click.option("--sequential", is_flag=True, help="for an always-valid interval, which may be looked at at any time")
@click.option("--history", type=click.Path(path_type=Path), help="table of past events, for a duration in weeks")
@click.option("--unit", default="unit", show_default=True, help="its column of units")
@click.option("--time", "time", default="time", show_default=True, help="its column of times")
@click.option("--column", help="its column of values")
@click.option("--kind", default="mean", show_default=True, help="mean, proportion or ratio")
@click.option("--denominator", help="its column of a ratio's denominator")
@click.option("--weeks", type=int, default=4, show_default=True, help="longest duration")
@click.option("--before", type=int, default=0, show_default=True, help="weeks of the history that CUPED may use")
@click.option("--traffic", type=float, default=1.0, show_default=True, help="share of all units that take part")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def command(
    *,
    power: float,
    confidence: float,
    shares: tuple[float, ...],
    sequential: bool,
    effect: float | None,
    units: float | None,
    traffic: float,
    history: Path | None,
    as_json: bool,
    **metric: Any,
) -> int:
    """See :data:`HELP`."""
    from shared.experiments.power import detectable, duration, sample_size  # noqa: PLC0415

    options: dict[str, Any] = {"power": power, "confidence": confidence, "shares": shares or (0.5, 0.5)}
    options["sequential"] = sequential
    if history is not None:
        if effect is None or units is not None:
            raise UsageError("a duration needs --effect, the share of the mean that is to be seen, and no --units")
        weeks = _weeks(history, metric)
        enough, plans = duration(weeks, effect, traffic=traffic, **options)
        found: dict[str, Any] = {"weeks": enough, "plans": [plan.to_json() for plan in plans]}
        rows = [
            [str(n), str(sum(plan.units)), f"{base.mean:.5g}", f"{base.correlation:.2f}", _share(plan.relative)]
            for n, (plan, base) in enumerate(zip(plans, weeks.baselines), 1)
        ]
        said = f"{enough} weeks show it." if enough else f"Even {len(plans)} weeks do not show it: plan for more."
        text = f"{table(['WEEKS', 'UNITS', 'MEAN', 'CORRELATION', 'LEAST EFFECT'], rows)}\n{said}"
    else:
        base = _baseline(metric, effect)
        if (effect is None) == (units is None):
            raise UsageError("say either --effect (how many units?) or --units (what effect?)")
        if effect is not None and base.mean == 0:
            raise UsageError("an effect is a share of the mean, and the mean is 0")
        plan = (
            detectable(base, float(units), **options)
            if units is not None
            else sample_size(base, float(effect or 0) * base.mean, **options)
        )
        found = plan.to_json()
        each = " + ".join(map(str, plan.units))
        text = (
            f"{sum(plan.units)} units ({each}) show an effect of {_share(plan.relative)} ({plan.effect:.5g}) with "
            f"power {plan.power:g} at an error of {plan.alpha:.4g} a comparison"
            f"{', always valid' if sequential else ''}."
        )
    click.echo(json.dumps(found) if as_json else text)
    return 0


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2%}"


def _baseline(metric: dict[str, Any], effect: float | None) -> Any:
    from shared.experiments.power import Baseline, rate_baseline  # noqa: PLC0415

    rate, mean, sd = metric["rate"], metric["mean"], metric["sd"]
    if rate is not None:
        if mean is not None or sd is not None:
            raise UsageError("--rate stands in the place of --mean and --sd: leave those out")
        return rate_baseline(rate, effect or 0.0, correlation=metric["correlation"])
    if mean is None or sd is None:
        raise UsageError("say what is known of the metric: --rate, or --mean and --sd, or --history")
    return Baseline(mean, sd**2, metric["correlation"])


def _weeks(history: Path, metric: dict[str, Any]) -> Any:
    from shared.experiments.history import weeks_of  # noqa: PLC0415
    from shared.experiments.metrics import Metric  # noqa: PLC0415

    if metric["column"] is None:
        raise UsageError("--history needs --column, the column of values")
    measured = Metric(metric["column"], metric["kind"], metric["column"], denominator=metric["denominator"])
    options = {name: metric[name] for name in ("unit", "time", "weeks", "before")}
    return weeks_of(history, measured, **options)
