"""The page of experiments: how large, what looking every day does, and what a finished table says."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd

from demos.experiments.elsewhere import (
    METHODS,
    RUNS,
    WAYS,
    analysis_elsewhere,
    analysis_settings,
    peek_elsewhere,
    plan_elsewhere,
)
from demos.models import Models
from demos.pages import Page, head, must_be_text, plain_errors, refusal, says
from demos.pictures import uploads_only
from demos.sharing import result_viewer, strip
from demos.tables import Cell, table
from shared.errors import UnknownNameError
from shared.experiments.analysis import ExperimentReport, analyse
from shared.experiments.peeking import Peeks, peek
from shared.experiments.power import power_at, rate_baseline, sample_size
from shared.experiments.settings import settings_of
from shared.experiments.sources import open_table, polars, run

PAGE = Page(
    "Experiments", "experiments", "Plan an A/B test, see what looking every day does to it, and read a finished one."
)

MOST_ARMS = 6
MOST_NAME = 200
_PLANS = {"A shop's checkout": [4.0, 5.0, 20_000, 2, 80], "A newsletter, three arms": [22.0, 10.0, 1_500, 3, 90]}
_PEEKS = {"No effect (A/A)": [10.0, 0.0, 1_000, 28, 7], "A lift of 6 %": [10.0, 6.0, 1_000, 28, 7]}


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "A file that you upload stays on this machine and is deleted.")
    with gr.Tab("Plan"):
        _build_plan()
    with gr.Tab("Peek"):
        _build_peek()
    with gr.Tab("Analyse"):
        _build_analyse()


def _build_plan() -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            rate = gr.Number(4.0, label="Rate today, in percent", info="Of the units that convert.")
            lift = gr.Number(5.0, label="Smallest lift of interest, in percent", info="Of the rate: 5 makes 4 % 4.2 %.")
            traffic = gr.Number(20_000, label="Units a day", info="Of all arms together.", precision=0)
            arms = gr.Slider(2, MOST_ARMS, 2, step=1, label="Arms, the control among them")
            power = gr.Slider(50, 99, 80, step=1, label="Power, in percent", info="The chance to see that lift.")
            given = [rate, lift, traffic, arms, power]
            _examples(_PLANS, given)
        with gr.Column(scale=3, min_width=300):
            answer = says("")
            sizes = gr.HTML(label="Sizes", js_on_load=None, apply_default_css=False)
            curve = _lines("Power: one look blue, any number orange", "day", "power", "Way of looking")
    result = result_viewer("SizePlan")

    def plan(rate: float, lift: float, traffic: float, arms: float, power: float) -> tuple[Any, ...]:
        """Units and days that show a lift of a rate, with one look at the end and with any number of looks."""
        _given(rate=rate, lift=lift, traffic=traffic)
        if not traffic >= 1:
            raise refusal(f"units a day must be at least 1. Got {traffic:g} instead")
        with plain_errors():
            base = rate_baseline(rate / 100, lift / 100)
            found = {
                name: sample_size(
                    base, base.mean * lift / 100, power=power / 100, shares=[1 / arms] * int(arms), sequential=often
                )
                for name, often in WAYS.items()
            }
        days = {name: -(-sum(plan.units) // int(traffic)) for name, plan in found.items()}
        rows = [
            [Cell(name), *(Cell(f"{n:,}", tag="number") for n in (plan.units[0], sum(plan.units), days[name]))]
            for name, plan in found.items()
        ]
        points = [
            (
                float(day),
                power_at(base, plan.effect, 2 * day * traffic / arms, alpha=plan.alpha, sequential=often),
                name,
            )
            for (name, often), plan in zip(WAYS.items(), found.values())
            for day in np.linspace(0, 1.25 * max(days.values()), 41)[1:]
        ]
        line = (
            f"**{days['one look']:,} days** with one look at the end, **{days['any number of looks']:,} days** where "
            f"you may look and stop at any time, to see {rate:g} % become {rate * (1 + lift / 100):.4g} %."
        )
        told = {name: plan.to_json() | {"days": days[name]} for name, plan in found.items()}
        html = table("Units that show it", ["Way of looking", "An arm", "In all", "Days"], rows)
        return told, line, html, pd.DataFrame(points, columns=["day", "power", "Way of looking"])

    shown = [result, answer, sizes, curve]
    asked = gr.on(None, plan, given, shown, api_name="experiments_plan", show_progress="minimal")
    strip(asked, given=given, result=result, write=plan_elsewhere)


def _build_peek() -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            rate = gr.Slider(1, 50, 10, step=0.5, label="Rate of the control, in percent")
            lift = gr.Slider(-20, 20, 0, step=0.5, label="True lift, in percent", info="0 is an A/A test.")
            units = gr.Slider(50, 10_000, 1_000, step=50, label="Units a day and arm")
            days = gr.Slider(2, 60, 28, step=1, label="Days, with a look at the end of each")
            seed = gr.Number(7, label="Seed", info="Another one is another world.", precision=0, minimum=0)
            given = [rate, lift, units, days, seed]
            _examples(_PEEKS, given)
        with gr.Column(scale=3, min_width=300):
            answer = says("")
            shares = gr.HTML(label="Calls", js_on_load=None, apply_default_css=False)
            p_values = _lines("One run: naive blue, valid orange, 5 % red", "day", "p-value", "Line")
            interval = _lines("Difference blue, valid orange to red", "day", "points", "Line")
    result = result_viewer("Peeks")

    def simulate(rate: float, lift: float, units: float, days: float, seed: float) -> tuple[Any, ...]:
        """How often each way of looking calls a difference, in a thousand experiments, and one of them day by day."""
        _given(rate=rate, lift=lift, units=units, days=days, seed=seed)
        rng = np.random.default_rng(int(seed))
        with plain_errors():
            found = peek(rate / 100, lift / 100, units=int(units), days=int(days), runs=RUNS, rng=rng)
        called = found.called
        word = "wrongly call a difference" if lift == 0 else "call a difference"
        line = (
            f"Of {RUNS:,} experiments **{called['naive, every day']:.1%}** {word} with the naive p-value looked at "
            f"every day, and **{called['always valid, every day']:.1%}** with the always-valid one."
        )
        rows = [[Cell(name), Cell(f"{share:.1%}", tag="number")] for name, share in called.items()]
        return called, line, table(f"How many of {RUNS:,} call it", ["Way of looking", "Called"], rows), *_drawn(found)

    shown = [result, answer, shares, p_values, interval]
    asked = gr.on(
        None, simulate, given, shown, api_name="experiments_peek", show_progress="minimal", trigger_mode="always_last"
    )
    strip(asked, given=given, result=result, write=peek_elsewhere)


def _drawn(found: Peeks) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first run, as long tables of its lines."""
    days = np.arange(1, found.difference.shape[1] + 1)
    middle, radius = 100 * found.difference[0], 100 * found.radius[0]
    p_lines = {"naive": found.naive_p[0], "always valid": found.always_p[0], "5 %": np.full(len(days), found.alpha)}
    d_lines = {"difference": middle, "low": middle - radius, "high": middle + radius, "none": np.zeros(len(days))}
    one, other = (
        pd.concat([pd.DataFrame({"day": days, unit: line, "Line": name}) for name, line in lines.items()])
        for unit, lines in (("p-value", p_lines), ("points", d_lines))
    )
    return one, other


def _build_analyse() -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            file = gr.File(label="Table, a row a unit", file_types=[".csv"], type="filepath", height=150)
            uploads_only(file, "a table")
            made = gr.Button("Use a made-up example", size="sm", elem_classes="small")
            unit = gr.Textbox("unit", label="Column of units", max_length=MOST_NAME)
            arm = gr.Textbox("arm", label="Column of arms", max_length=MOST_NAME)
            control = gr.Textbox("", label="Control", info="The first by name when empty.", max_length=MOST_NAME)
            outcome = gr.Textbox("spend", label="Column of the outcome", max_length=MOST_NAME)
            kind = gr.Radio(["mean", "proportion"], value="mean", label="Kind", info="A proportion is of 0 and 1.")
            before = gr.Textbox("", label="Covariate", info="A column of before, for CUPED.", max_length=MOST_NAME)
            method = gr.Radio(list(METHODS), value=next(iter(METHODS)), label="Method")
            planned = gr.Number(0, label="Planned units", info="Of all arms; 0 says none.", precision=0, minimum=0)
            button = gr.Button("Analyse", variant="primary")
        with gr.Column(scale=3, min_width=300):
            answer = says("Upload a table, or use the example.")
            effects = gr.HTML(label="Effects", js_on_load=None, apply_default_css=False)
            checks = gr.HTML(label="Checks", js_on_load=None, apply_default_css=False)
    result = result_viewer("ExperimentReport")

    def read(  # noqa: PLR0917 - the inputs of the page, in their order
        file: str | None, unit: str, arm: str, control: str, outcome: str, kind: str, before: str, method: str,
        planned: float,
    ) -> tuple[Any, ...]:  # fmt: skip
        """The decision on each arm of a table with a row a unit, with effects, intervals and the sample-ratio check."""
        if file is None:
            raise refusal("upload a CSV file with a row a unit, or use the example")
        with plain_errors(lambda message: message.replace(str(file), Path(file).name)):
            names = _arms(file, [unit, arm, outcome, *filter(None, [before])], arm, control)
            settings = analysis_settings(names, unit, arm, outcome, kind, before, method, planned)
            report = analyse(file, settings_of(settings))
        told = "\n\n".join(f"**{v.arm}: {v.action}.** {' '.join(v.reasons)}" for v in report.verdicts)
        return report.to_json(), _plain(told), _effects(report), _checks(report)

    inputs = [file, unit, arm, control, outcome, kind, before, method, planned]
    shown = [result, answer, effects, checks]
    asked = button.click(read, inputs, shown, api_name="experiments_analyse")
    shop = made.click(
        lambda: (_example(), "unit", "arm", "old", "spend", "mean", "spend_before", next(iter(METHODS)), 4000),
        outputs=inputs,
        api_visibility="private",
    ).then(read, inputs, shown, api_visibility="private")
    strip([asked, shop], given=[*inputs, result], result=result, write=analysis_elsewhere)
    for event in (asked, shop):
        event.failure(
            lambda: (None, "No answer to this table: the message says why.", "", ""),
            outputs=shown,
            api_visibility="private",
            queue=False,
        )


def _arms(file: str, columns: list[str], arm: str, control: str) -> list[str]:
    """The arms of the table, the control first."""
    must_be_text(Path(file))
    frame = open_table(file, text=[arm])
    there = frame.collect_schema().names()
    for column in columns:
        if column not in there:
            raise UnknownNameError("column", column, there)
    found = run(frame.select(arm).drop_nulls().unique().head(MOST_ARMS + 1))[arm].cast(polars().String).to_list()
    if not 2 <= len(found) <= MOST_ARMS:
        many = f"more than {MOST_ARMS}" if len(found) > MOST_ARMS else len(found)
        raise refusal(f"the column {arm!r} must name 2 to {MOST_ARMS} arms. Got {many}")
    if control and control not in found:
        raise UnknownNameError("arm", control, sorted(found))
    return sorted(found, key=lambda name: (name != control, name))


def _effects(report: ExperimentReport) -> str:
    rows = [
        [
            Cell(e.arm),
            Cell(f"{e.value:.5g}", soft=f"beside {e.control_value:.5g}", tag="number"),
            Cell(f"{e.difference:+.4g}", soft=f"{e.low:+.4g} to {e.high:+.4g}", tag="number"),
            Cell("" if e.relative is None else f"{e.relative:+.2%}", tag="number"),
            Cell(f"{e.p_value:.3g}", tag="number"),
            Cell(f"{e.variance_cut:.0%}" if e.variance_cut else "none", tag="number"),
        ]
        for e in report.effects
    ]
    columns = ["Arm", "Value", "Difference", "Relative", "p", "Variance cut by CUPED"]
    return table(f"Effects, with {report.confidence:.0%} intervals", columns, rows)


def _checks(report: ExperimentReport) -> str:
    ratio = report.ratio
    p_value = ratio.always_p_value if ratio.sequential else ratio.p_value
    counted = ", ".join(f"{arm} {n:,}" for arm, n in report.units.items())
    rows: list[list[Cell | str]] = [
        ["Units", counted],
        ["Sample ratio", Cell(f"{'mismatch' if ratio.mismatch else 'as planned'}, p = {p_value:.3g}")],
        ["Units in several arms", f"{report.crossed:,}"],
    ]
    return table("Checks", ["Check", "Found"], rows)


def _example() -> str:
    """A made-up shop: a new page that lifts spending, and what each visitor spent before."""
    rng = np.random.default_rng(0)
    arms = rng.permutation(np.repeat(["old", "new"], 2000))
    before = rng.gamma(4.0, 5.0, 4000)
    spend = 0.8 * before + rng.gamma(2.0, 3.0, 4000) + 0.9 * (arms == "new")
    frame = {"unit": np.arange(4000), "arm": arms, "spend": spend.round(2), "spend_before": before.round(2)}
    # The server's own folder for uploads, which goes when it stops.
    path = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR"))) / "a-made-up-shop.csv"
    pd.DataFrame(frame).to_csv(path, index=False)
    return str(path)


def _lines(title: str, across: str, up: str, colour: str) -> gr.LinePlot:
    """A plot; its title must fit one line of a narrow screen, since a second one pushes the axis out of the plot."""
    return gr.LinePlot(x=across, y=up, color=colour, label=title, height=360)


def _examples(examples: dict[str, list[Any]], given: list[Any]) -> None:
    gr.Examples(
        list(examples.values()),
        given,
        label="Or begin with",
        example_labels=list(examples),
        cache_examples=False,
        api_visibility="private",
    )


def _given(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is None or not np.isfinite(number):
            raise refusal(f"{name} must be a number. Got nothing")


def _plain(text: str) -> str:
    """Names come from a visitor's file: none of them may be markup."""
    return text.replace("<", "&lt;").replace("`", "'").replace("![", "[").replace("](", "] (")
