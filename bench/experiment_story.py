"""Peeking, stopping, several metrics: how often does an experiment between recommenders end with the right decision?

python bench/experiments.py --only story --worlds 200       # or bench/experiment_story.py --worlds 200

In each world 8,000 people come to a catalogue of 120 items over two weeks, get one of two or three recommenders of the
suite by a salted hash, and are watched for thirty days. Every evening somebody looks. What is decided first, stands.

Ours: `shared.experiments.analysis.judge`, always-valid, with clicks on the second week after a person's first exposure
as the primary metric (CUPED by clicks before), clicks an impression beside it, seconds an answer as a guardrail within
5 %, and visits not to fall by more than 10 %. Naive: Welch's t-test on all clicks so far every evening, decided at the
first p below 0.05. Once: the same test, on the last evening alone.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
from experiment_world import DAYS, LATE, PLACES, SCENARIOS, USERS, Scenario, World, catalogue, world

from shared.evaluation.intervals import wilson
from shared.experiments.analysis import ExperimentReport, judge
from shared.experiments.collecting import Collected
from shared.experiments.fixed import welch
from shared.experiments.metrics import Estimate
from shared.experiments.moments import grouped
from shared.experiments.settings import Settings, settings_of

WEEK = (7, 13)
NO, INVALID = "do not ship", "invalid"
CATALOGUES = 10


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    spent = time.process_time()
    kept = [catalogue(1000 * options.seed + at) for at in range(min(CATALOGUES, options.worlds))]
    print(f"{options.worlds} worlds of each kind, {USERS:,} people, {DAYS} evenings; 95 % intervals by Wilson")
    print("| world | right | ours | naive peeking | t-test once | days of ours, naive |")
    print("| --- | --- | --- | --- | --- | --- |")
    notes: list[str] = []
    for scenario in SCENARIOS:
        worlds = [
            played(scenario, world(scenario, kept[at % len(kept)], options.seed * 100_000 + at))
            for at in range(options.worlds)
        ]
        shares = [_share([one.right(scenario, said) for one in worlds for said in (getattr(one, who),)])
                  for who in ("ours", "naive", "once")]  # fmt: skip
        days = [float(np.median([getattr(one, who) for one in worlds])) for who in ("day", "naive_day")]
        print(
            f"| {scenario.name} | {scenario.right} | {' | '.join(shares)} | {days[0]:.0f}, {days[1]:.0f} |", flush=True
        )
        notes.append(f"{scenario.name}: true lifts in its first world {worlds[0].lifts}")
        for who in ("ours", "naive", "once"):
            counted = Counter(getattr(one, who) for one in worlds)
            notes.append(f"  {who}: {', '.join(f'{said} {n}' for said, n in counted.most_common())}")
    print("", *notes, sep="\n")
    print(f"{time.process_time() - spent:.0f} s of processor")


def _share(right: list[bool]) -> str:
    found = wilson(sum(right), len(right))
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


@dataclass(frozen=True)
class Played:
    """What was decided, and on which day; a decision is an arm to ship, or one of NO and INVALID."""

    ours: str
    day: int
    naive: str
    naive_day: int
    once: str
    lifts: dict[str, str]
    best: str

    def right(self, scenario: Scenario, said: str) -> bool:
        if scenario.right == "ship":
            return said not in (NO, INVALID)
        if scenario.right == "ship the best":
            return said == self.best
        # A t-test cannot say "invalid": not to ship counts as right for it.
        return said == scenario.right or (scenario.right == INVALID and said == NO and said != self.ours)


def played(scenario: Scenario, one: World) -> Played:
    """Look every evening, by all three."""
    table = Table(one, by_cluster=scenario.by_cluster)
    plan = settings(one, planned=780 if scenario.by_cluster else 6000)
    lasting = one.visits.lasting / one.visits.lasting[0] - 1
    lifts = {name: f"{lift:+.1%}" for name, lift in zip(one.names[1:], lasting[1:])}
    ours, day = NO, DAYS
    for evening in range(1, DAYS):
        found = table.at(evening, plan)
        if found is not None and (said := stopped(judge(found, plan), last=evening == DAYS - 1)):
            ours, day = said, evening + 1
            break
    naive, naive_day = NO, DAYS
    for evening in range(1, DAYS):
        if said := table.tested(evening):
            naive, naive_day = said, evening + 1
            break
    best = one.names[int(lasting.argmax())]
    return Played(ours, day, naive, naive_day, table.tested(DAYS - 1) or NO, lifts, best)


def stopped(report: ExperimentReport, *, last: bool) -> str:
    """What the report decides; empty while an arm is to be kept running, or several are to be shipped.

    Which of several is best is another question than whether each beats the control: it waits for the last evening.
    """
    actions = [verdict.action for verdict in report.verdicts]
    if INVALID in actions:
        return INVALID
    if not last and ("keep running" in actions or actions.count("ship") > 1):
        return ""
    return report.best or NO


def settings(one: World, *, planned: int, **analysis: object) -> Settings:
    week = {"window": list(WEEK), "day": "days_since_exposure", "observed": "days_observed", "missing": "zero"}
    clicks = {"kind": "mean", "column": "clicks", "covariates": ["before"]} | week
    rate = {"kind": "ratio", "column": "clicks", "denominator": "impressions", "role": "secondary"} | week
    wait = {"kind": "ratio", "column": "seconds", "denominator": "visits", "missing": "zero"}
    loyal = {"kind": "mean", "column": "visits", "role": "guardrail", "margin": 0.1} | week
    return settings_of(
        {
            "analysis": {"planned": planned, "unit": "unit", "arm": "arm"} | analysis,
            "arms": dict.fromkeys(one.names, 1.0),
            "metrics": {
                "clicks": clicks,
                "rate": rate,
                "wait": wait | {"role": "guardrail", "direction": "decrease", "margin": 0.05},
                "loyal": loyal,
            },
        }
    )


class Table:
    """The numbers of each unit by day, so that an evening's moments cost next to nothing.

    ``tests/experiments/test_story.py`` holds them against the log on the disk, the join and the command.
    """

    def __init__(self, one: World, *, by_cluster: bool) -> None:
        visits, exposed = one.visits, one.first >= 0
        keep = exposed[visits.users]
        users, days, late, seconds = (a[keep] for a in (visits.users, visits.days, one.late, one.seconds))
        clicks = visits.clicks.sum(axis=1)[keep].astype(float)
        unit = one.clusters if by_cluster else np.arange(len(one.first))
        count = int(unit[-1]) + 1
        self.names = one.names
        self.first = np.full(count, DAYS + 1)
        np.minimum.at(self.first, unit[exposed], one.first[exposed])
        self.arms = np.zeros(count, np.int64)
        self.arms[unit] = one.arms
        self.before = np.bincount(unit[exposed], one.before[exposed], count)
        row = unit[users]
        since = days - self.first[row]
        inside = (since >= WEEK[0]) & (since <= WEEK[1])
        self.week = {
            "clicks": np.bincount(row[inside], clicks[inside], count),
            "visits": np.bincount(row[inside], minlength=count).astype(float),
        }
        # Clicks and seconds come with the log's row, late or not.
        logged = row * (DAYS + LATE) + days + late
        size = count * (DAYS + LATE)
        self.clicks, self.seconds, self.visits = (
            np.bincount(logged, weights, size).reshape(count, -1).cumsum(axis=1)
            for weights in (clicks, seconds, np.ones(len(row)))
        )

    def at(self, evening: int, plan: Settings) -> Collected | None:
        """What the analysis reads that evening; ``None`` while an arm has fewer than two units."""
        exposed = self.first <= evening
        over = exposed & (evening - LATE - self.first >= WEEK[1])
        count, nothing = len(self.names), np.zeros(len(self.first))
        values = {
            "clicks": (over, [self.week["clicks"], self.before, nothing]),
            "rate": (over, [self.week["clicks"], PLACES * self.week["visits"]]),
            "wait": (exposed, [self.seconds[:, evening], self.visits[:, evening]]),
            "loyal": (over, [self.week["visits"]]),
        }
        units = np.bincount(self.arms[exposed], minlength=count)
        if units.min() < 2:
            return None
        found = Collected(0, dict(zip(self.names, units.tolist())))
        for name, (rows, columns) in values.items():
            own = grouped(np.column_stack(columns)[rows], self.arms[rows], count)
            found.moments[name] = dict(zip(self.names, own))
            waits = np.bincount(self.arms[exposed & ~rows], minlength=count).tolist()
            found.waiting[name] = dict(zip(self.names, waits))
            found.dropped[name] = dict.fromkeys(self.names, 0)
        return found

    def tested(self, evening: int) -> str:
        """The arm that Welch's test finds better that evening, or that none is; empty where it finds nothing."""
        exposed = self.first <= evening
        figures = []
        for arm in range(len(self.names)):
            values = self.clicks[exposed & (self.arms == arm), evening]
            if len(values) < 2:
                return ""
            figures.append(Estimate(len(values), float(values.mean()), float(values.var(ddof=1)) / len(values)))
        gains: dict[str, float] = {}
        for name, figure in zip(self.names[1:], figures[1:]):
            if figure.variance + figures[0].variance > 0 and (test := welch(figures[0], figure)).p_value < 0.05:
                gains[name] = test.value
        if gains and max(gains.values()) > 0:
            return max(gains, key=lambda name: gains[name])
        return NO if len(gains) == len(self.names) - 1 else ""


if __name__ == "__main__":
    main()
