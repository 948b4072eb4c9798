"""The life of a spam filter, unattended, on real messages: drift found, a challenger trained, judged and promoted.

Then two that must not be, and a kill at every step.

    python bench/life_cycle.py --data ../shared/data            the story, and SIGKILL at every moment in turn
    python bench/life_cycle.py --data ../shared/data --only story
    python bench/life_cycle.py --only errors                    how often simulated canaries decide wrongly

SMS Spam Collection (5,574 messages). The drift has a known truth: from one day on spammers write digits for letters
(``win`` becomes ``w1n``), which the filter of before has not seen. Everything lives in a folder that goes afterwards.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from shared.evaluation.intervals import wilson
from shared.experiments.metrics import Metric
from shared.lifecycle.canary import CHALLENGER, CHAMPION, CanaryRules, Outcome, canary
from shared.lifecycle.history import RunRow, outcomes, read_json, read_runs
from shared.lifecycle.pipeline import Places, resume, run
from shared.lifecycle.plan import Plan, read_plan
from shared.lifecycle.records import Records
from shared.lifecycle.registry import registry
from shared.lifecycle.schedule import watch
from shared.lifecycle.steps import STEPS
from shared.monitoring.log import PredictionLog
from shared.monitoring.log_rows import Logged
from shared.monitoring.profile_files import model_digest
from shared.tasks import find_task

TASK = "nlp.classification"
DISGUISE = str.maketrans("aeiost", "431057")
DAY = timedelta(days=1)
PLAN = """
task = "nlp.classification"
name = "spam"
runs = "runs"
registry = "registry"

[data]
source = "messages.csv"

[validate]
rows = 500
columns = ["text", "label"]
label = "label"
labels = ["ham", "spam"]
label_rows = 50

[split]
test = 0.3
key = ["text"]

[train]
method = "tfidf"
c = {c}

[gate.figures.accuracy]
need = "not worse"
margin = 0.01
floor = 0.9
[gate.slices]
support = 15
[gate.slices.floors]
"label = spam" = 0.6

[canary]
share = 0.3
planned = 3000
traffic = "traffic.csv"
[canary.metrics.right]
kind = "proportion"
column = "right"
margin = 0.03

[trigger]
log = "log"
window = "1d"
poll = "1s"
"""
Row = tuple[str, str]


def messages(data: Path) -> list[Row]:
    """Label and text of every message that comes once, in an order of their own."""
    rows: dict[str, str] = {}
    path = data / "nlp" / "sms_spam" / "data" / "SMSSpamCollection"
    for line in path.read_text("utf-8", errors="replace").splitlines():
        label, tab, text = line.partition("\t")
        if tab and text.strip():
            rows.setdefault(text.strip(), label)
    listed = [(label, text) for text, label in rows.items()]
    return [listed[at] for at in np.random.default_rng(0).permutation(len(listed)).tolist()]


def disguised(rows: Sequence[Row]) -> list[Row]:
    """The same with spam in its new writing."""
    return [(label, text.lower().translate(DISGUISE) if label == "spam" else text) for label, text in rows]


def write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((text, label) for label, text in rows)


class World:
    """The folder of the plan, a clock of its own, and the traffic that the champion answers."""

    def __init__(self, base: Path, rows: Sequence[Row]) -> None:
        self.base = base
        (base / "registry").mkdir(parents=True, exist_ok=True)
        self.registry = registry(base / "registry")
        self.records = Records(base / "decisions", key=base / "signing.key")
        self.now = datetime(2026, 5, 4, tzinfo=UTC)
        edges = (0, *(round(share * len(rows)) for share in (0.35, 0.62, 0.81, 1.0)))
        self.old, self.new, self.live, self.asked = (rows[low:high] for low, high in pairwise(edges))
        write(base / "messages.csv", self.old)
        write(base / "traffic.csv", self.asked)
        self.write_plan()

    @property
    def plan_file(self) -> Path:
        return self.base / "plan.toml"

    def write_plan(self, *, c: float = 8.0) -> None:
        self.plan_file.write_text(PLAN.format(c=c))

    def places(self, plan: Plan | None = None, stop: Event | None = None, **more: Any) -> Places:
        return Places(self.registry, self.records, stop=stop, **more)

    def turn(self) -> None:
        """From here on spam comes in its new writing, in the labelled data and in the traffic."""
        write(self.base / "messages.csv", [*self.old, *disguised(self.new)])
        write(self.base / "traffic.csv", disguised(self.asked))

    def day(self, rows: Sequence[Row]) -> None:
        """A day of messages, answered by the champion and logged."""
        task = find_task(TASK)
        predictor = task.open(str(self.registry.fetch(self.registry.find("spam@champion"))), device="cpu", threads=1)
        model, observe = model_digest(predictor.card), task.observe
        assert observe is not None
        texts = [text for _, text in rows]
        with PredictionLog(self.base / "log", TASK) as log:
            logged = []
            for number, (text, result) in enumerate(zip(texts, predictor.predict(texts))):
                at = self.now + DAY * (number / len(texts))
                seen = observe(text, result, predictor=predictor)
                logged.append(Logged(f"{number:016x}", at.timestamp(), model, "1", seen))
            log.append(logged)
        self.now += DAY

    def watched(self, looks: int) -> list[str]:
        """What the watch says in so many looks, without anybody's hand."""
        said: list[str] = []
        watch(self.plan_file, self.places, stop=Looks(looks), say=said.append, now=lambda: self.now)
        return said

    def runs(self) -> tuple[RunRow, ...]:
        return read_runs(self.base / "runs")

    def champion(self) -> int:
        return self.registry.find("spam@champion").number


class Looks(Event):
    """Ends a watch after so many looks, without waiting between them."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._left = count

    def wait(self, timeout: float | None = None) -> bool:
        self._left -= 1
        if self._left <= 0:
            self.set()
        return self.is_set()


def say(world: World, title: str) -> None:
    row = world.runs()[-1]
    done = {name: content["outcome"] for name, content in outcomes(row.folder).items()}
    print(f"\n{title}\n  run {row.number}, {row.why!r}: {row.state}; champion is now spam/{world.champion()}")
    figure = done["evaluate"]["metrics"]["accuracy"]
    print(f"  challenger on its test side: accuracy {figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]")
    print(f"  gate: {done['gate']['verdict']}, record {done['gate']['record']}")
    if "canary" in done:
        print(f"  canary: {done['canary']['action']} after {done['canary'].get('units', 'no units')}")
    for reason in row.reasons:
        print(f"    {reason}")
    print(end="", flush=True)


def story(base: Path, rows: Sequence[Row]) -> None:
    world = World(base, rows)
    began = time.process_time()
    run(read_plan(world.plan_file), world.places())
    say(world, "1. No champion yet: floors alone.")

    world.watched(1)  # the first window begins now
    half = len(world.live) // 2
    world.day(world.live[:half])
    said = world.watched(1)
    check = read_json(world.base / "runs" / "check.json") or {}
    print(f"\n2. A day of {half} messages like those before: alarm {check['alarm']}, {len(said)} runs were started.")
    assert (check["alarm"], said) == (False, [])

    world.day(disguised(world.live[half:]))
    world.turn()
    world.watched(1)
    say(world, "3. Spammers write digits for letters: the next day's window is checked, all else follows.")
    assert (world.runs()[-1].state, world.champion()) == ("promoted", 2)

    world.write_plan(c=1e-6)
    run(read_plan(world.plan_file), world.places(), why="a planted challenger: hardly trained")
    say(world, "4. A planted challenger that the gate must refuse.")
    assert (world.runs()[-1].state, world.champion()) == ("refused", 2)

    world.write_plan()
    write(world.base / "messages.csv", [*world.old, *(row for row in world.new if row[0] == "ham")])
    run(read_plan(world.plan_file), world.places(), why="a planted challenger: the new spam is missing from its data")
    say(world, "5. One that passes the gate, for its data lack what the traffic has.")
    assert (world.runs()[-1].state, world.champion()) == ("rolled back", 2)

    found = world.records.verify()
    print(f"\n{found.records} signed records, chain {'broken' if found.faults else 'whole'}, head {found.head[:16]}")
    print(f"{time.process_time() - began:.1f} s of processor time", flush=True)


def kills(base: Path, rows: Sequence[Row]) -> None:
    """Step 3 again on fewer messages, killed at every moment in turn by SIGKILL, and resumed."""
    first = World(base / "first", rows)
    first.plan_file.write_text(first.plan_file.read_text().partition("[trigger]")[0])
    assert run(read_plan(first.plan_file), first.places()).state == "promoted"
    straight = ready(first, base / "straight", rows)
    assert run(read_plan(straight.plan_file), straight.places()).state == "promoted"
    wanted, same = ends(straight), 0
    moments = [("ingest", "begin"), *((step.name, when) for step in STEPS for when in ("worked", "done"))]
    moments += [(name, "inside") for name in ("gate", "register", "canary", "promote")]
    for step, moment in moments:
        world = ready(first, base / f"{step}-{moment}", rows)
        process = get_context("fork").Process(target=killed, args=(world, step, moment))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, process.exitcode
        left = world.runs()[-1]
        if not left.ended:
            resume(read_plan(world.plan_file), world.places())
        held = ends(world) == wanted
        same += held
        word = "same end" if held else "DIFFERS"
        print(f"  killed at {step:<8} {moment:<6} ({len(left.steps)} steps were done), resumed: {word}", flush=True)
    print(f"{same} of {len(moments)} kills came to the same end: state, digests, figures, versions, moves, records")
    assert same == len(moments)


def ready(first: World, base: Path, rows: Sequence[Row]) -> World:
    """A copy of a world with its first champion, and the new data before it."""
    shutil.copytree(first.base, base)
    world = World(base, rows)
    world.plan_file.write_text(first.plan_file.read_text())
    world.turn()
    return world


def killed(world: World, step: str, moment: str) -> None:
    def tell(at: str, when: str) -> None:
        if (at, when) == (step, moment):
            os.kill(os.getpid(), signal.SIGKILL)

    run(read_plan(world.plan_file), world.places(tell=tell))


def ends(world: World) -> dict[str, Any]:
    row = world.runs()[-1]
    done = {name: content["outcome"] for name, content in outcomes(row.folder).items()}
    return {
        "state": row.state,
        "model": done["train"]["digest"],
        "sides": done["split"],
        "figures": done["evaluate"]["metrics"],
        "canary": {key: done["canary"][key] for key in ("action", "units", "effects")},
        "versions": [(one.number, one.digest) for one in world.registry.versions("spam")],
        "moves": [(one.alias, one.number) for one in world.registry.history("spam")],
        "records": [(one.body["kind"], one.body["verdict"]) for one in world.records.all()],
        "chain": world.records.verify().faults,
    }


def errors(runs: int) -> None:
    """Canaries whose truth is known, looked at twenty times each: a margin of 10 % of the champion's 0.8."""
    rules = CanaryRules((Metric("right", "proportion", "right", margin=0.1),), share=0.3, planned=4000)
    print(f"{runs} canaries each, error {rules.error:g} stated, share {rules.share:.0%}, {rules.planned} units planned")
    print("| champion, challenger | promoted | rolled back | median units |")
    print("| --- | --- | --- | --- |")
    for challenger in (0.84, 0.80, 0.76, 0.72, 0.68, 0.60):
        found = [canary(traffic(0.8, challenger, rules, seed), rules) for seed in range(runs)]
        shares = [wilson(sum(one.action == action for one in found), runs) for action in ("promote", "roll back")]
        told = " | ".join(f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]" for share in shares)
        units = int(np.median([sum(one.units.values()) for one in found]))
        note = {0.72: ", at the margin", 0.80: ", alike"}.get(challenger, "")
        print(f"| 0.80, {challenger:.2f}{note} | {told} | {units} |", flush=True)


def traffic(champion: float, challenger: float, rules: CanaryRules, seed: int) -> Iterator[Outcome]:
    rng = np.random.default_rng(seed)
    new = rng.random(rules.planned) < rules.share
    right = rng.random(rules.planned) < np.where(new, challenger, champion)
    for number, (arm, value) in enumerate(zip(new.tolist(), right.tolist())):
        yield Outcome(str(number), CHALLENGER if arm else CHAMPION, {"right": float(value)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of data sets")
    parser.add_argument("--only", choices=("story", "kills", "errors"))
    parser.add_argument("--runs", type=int, default=200, help="simulated canaries of each kind")
    asked = parser.parse_args()
    if asked.only in (None, "errors"):
        errors(asked.runs)
    if asked.only == "errors":
        return
    if asked.data is None:
        parser.error("--data must name the folder of data sets")
    rows = messages(asked.data)
    print(f"{len(rows)} messages, {sum(label == 'spam' for label, _ in rows)} of them spam")
    with tempfile.TemporaryDirectory() as folder:
        if asked.only != "kills":
            story(Path(folder) / "story", rows)
        if asked.only != "story":
            print("\n6. The run of 3 again, killed by SIGKILL at every moment in turn, and resumed.", flush=True)
            kills(Path(folder) / "kills", rows[:2200])


if __name__ == "__main__":
    main()
