"""The page of experiments outside the page: a plan, simulated peeking and an analysis, each as program and command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import tomli_w

from demos.sharing import Elsewhere, python_command, upload

RUNS = 1_000
_NO_TASK = "triptych serve answers items of tasks, which an experiment is not"
METHODS = {"One look, at the planned end": "fixed", "Any number of looks": "always-valid"}
WAYS = {"one look": False, "any number of looks": True}
_PLAN = """import json

from shared.experiments.power import rate_baseline, sample_size

base = rate_baseline({rate!r}, {lift!r})
for sequential in (False, True):
    plan = sample_size(base, base.mean * {lift!r}, power={power!r}, shares={shares}, sequential=sequential)
    print(json.dumps(plan.to_json() | {{"days": -(-sum(plan.units) // {traffic})}}))
"""
_PEEK = """import json

import numpy as np

from shared.experiments.peeking import peek

rng = np.random.default_rng({seed})
found = peek({rate!r}, {lift!r}, units={units}, days={days}, runs={runs}, rng=rng)
print(json.dumps(found.called))
"""
_ANALYSE = """import json

from shared.experiments.analysis import analyse
from shared.experiments.settings import settings_of

settings = {settings!r}
print(json.dumps(analyse({file!r}, settings_of(settings)).to_json()))
"""


def plan_elsewhere(
    rate: float | None, lift: float | None, traffic: float | None, arms: float, power: float
) -> Elsewhere | None:
    """The plan that the page made: rate, lift and power in percent."""
    if rate is None or lift is None or traffic is None:
        return None
    shares, given = [1 / arms] * int(arms), [rate, lift, traffic, arms, power]
    program = _PLAN.format(rate=rate / 100, lift=lift / 100, power=power / 100, shares=shares, traffic=int(traffic))
    words = ["triptych", "experiment", "power", "--rate", str(rate / 100), "--effect", str(lift / 100)]
    words += ["--power", str(power / 100), *(word for share in shares for word in ("--share", str(share))), "--json"]
    command = "\n".join(shlex.join([*words, *(["--sequential"] if often else [])]) for often in WAYS.values())
    return Elsewhere(program, command, "experiments_plan", given, "", None, remark=_NO_TASK)


def peek_elsewhere(rate: float, lift: float, units: float, days: float, seed: float | None) -> Elsewhere | None:
    """The simulation that the page ran: rate and lift in percent."""
    if seed is None:
        return None
    given = {"units": int(units), "days": int(days), "runs": RUNS, "seed": int(seed)}
    program = _PEEK.format(rate=rate / 100, lift=lift / 100, **given)
    asked = [rate, lift, units, days, seed]
    return Elsewhere(program, python_command(program), "experiments_peek", asked, "", None, remark=_NO_TASK)


def analysis_settings(  # noqa: PLR0917 - the inputs of the page, in their order
    arms: list[str], unit: str, arm: str, outcome: str, kind: str, before: str, method: str, planned: float
) -> dict[str, Any]:
    """What :func:`shared.experiments.settings.settings_of` takes: the table of an ``experiment.toml``.

    Args:
        arms: the control first; each is to have had the same share of the units.
        unit: the column of units.
        arm: the column of arms.
        outcome: the column of the outcome.
        kind: ``"mean"`` or ``"proportion"``.
        before: the column of a covariate, or empty.
        method: a key of :data:`METHODS`.
        planned: units of all arms, or 0.
    """
    metric = {"kind": kind, "column": outcome} | ({"covariates": [before]} if before else {})
    asked = {"unit": unit, "arm": arm, "method": METHODS[method]} | ({"planned": int(planned)} if planned else {})
    return {"analysis": asked, "arms": {name: 1 / len(arms) for name in arms}, "metrics": {outcome: metric}}


def analysis_elsewhere(  # noqa: PLR0917 - the inputs of the page, in their order
    file: Mapping[str, Any] | None, unit: str, arm: str, control: str, outcome: str, kind: str, before: str,
    method: str, planned: float | None, result: Mapping[str, Any] | None,
) -> Elsewhere | None:  # fmt: skip
    """The analysis that the page made; its result says which arms there are."""
    table = upload(file)
    if table is None or not result:
        return None
    arms = sorted(result["units"], key=lambda name: (name != control, name))  # a browser may have sorted numbers
    settings = analysis_settings(arms, unit, arm, outcome, kind, before, method, planned or 0)
    config = tomli_w.dumps(settings)
    run = shlex.join(["triptych", "experiment", "analyse", "--config", "experiment.toml", "--json", "--", table.name])
    return Elsewhere(
        _ANALYSE.format(settings=settings, file=table.name),
        f"cat > experiment.toml <<'SETTINGS'\n{config.rstrip()}\nSETTINGS\n{run}",
        "experiments_analyse",
        [table, unit, arm, control, outcome, kind, before, method, planned or 0],
        "",
        None,
        remark=_NO_TASK,
    )
