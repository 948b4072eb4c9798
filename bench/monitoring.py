"""What drift detection and accuracy without labels promise, on windows whose truth is known, beside evidently and
NannyML.

    python bench/monitoring_data.py vision FOLDER                # once: what the models say of spoilt items; minutes
    python bench/monitoring_data.py nlp FOLDER
    python bench/monitoring.py --data FOLDER --story vision      # or nlp, recsys (which needs no FOLDER)
    python bench/monitoring.py --data FOLDER --accuracy
    ... --evidently PYTHON --nannyml PYTHON                      # pythons of environments that hold the peers

*Stories.* 1,000 windows without drift, each with a reference of its own, both drawn without replacement from one pool,
so that nothing differs but chance: alarms are counted against the stated rate. Then shifts that begin in a known
window: how many windows until the alarm, that one counted, over several repeats. What alarms is `check`, over profiles
of what the tasks' own observers tell: tests of drift at half of the rate and checks of quality at the other half.
*Evidence* is the e-detector over the drift's p-values, at the same number of windows between false alarms. evidently's
default preset gets the first of the same windows (it takes half a second of processor time each); its own alarm is half
of the columns, "any" is one or more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monitoring_accuracy import LEARNT, PEERS, accuracy, load

from shared.evaluation.intervals import wilson
from shared.monitoring.checking import check
from shared.monitoring.multiple import Evidence
from shared.monitoring.profile import Profile, ProfileBuilder
from shared.monitoring.signals import Batch


@dataclass
class Pool:
    """Items of one kind: numbers (n, columns), categories (n, columns) and perhaps vectors, with their names."""

    numbers: np.ndarray
    categories: np.ndarray
    embedding: np.ndarray | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def profile(self, rows: np.ndarray, rng: np.random.Generator) -> Profile:
        """What `triptych monitor profile` would make of these items."""
        k = self.numbers.shape[1]
        counts = [np.unique(column[rows], return_counts=True) for column in self.categories.T]
        builder = ProfileBuilder("a.task", rng)
        builder.add_batch(
            Batch(
                len(rows),
                {name: column[rows].astype(np.float64) for name, column in zip(self.names, self.numbers.T)},
                {
                    name: {str(v): int(c) for v, c in zip(*count, strict=True) if v}
                    for name, count in zip(self.names[k:], counts, strict=True)
                },
                None if self.embedding is None else self.embedding[rows],
            )
        )
        return builder.done()


@dataclass
class Shift:
    """A drift that begins with its first window: of each window the share of rows from each pool."""

    name: str
    mixes: Sequence[dict[int, float]]


@dataclass
class World:
    """Pools of which the first has no drift; sizes of reference and window; shifts."""

    title: str
    pool: Pool
    starts: np.ndarray
    plain: int
    reference: int
    window: int
    shifts: list[Shift]
    aligned: bool = False  # whether the pools are of the same items, so that a window's are none of the reference's
    shared: bool = False  # whether there are items enough for many windows with one reference


def joined(pools: Sequence[Pool]) -> tuple[Pool, np.ndarray]:
    vectors = None if pools[0].embedding is None else np.concatenate([one.embedding for one in pools])
    both = [np.concatenate([getattr(one, name) for one in pools]) for name in ("numbers", "categories")]
    return Pool(both[0], both[1], vectors, pools[0].names), np.cumsum([0, *(len(one) for one in pools)])


def seen(folder: Path, name: str) -> Pool:
    items = load(folder, name)
    with np.load(folder / f"{name}.npz") as file:
        names = (*file["names"].tolist(), "confidence", *file["category_names"].tolist(), "label")
    numbers = np.column_stack([items["numbers"], items["confidence"]])
    return Pool(numbers, np.column_stack([items["categories"], items["label"]]), items["embedding"], names)


def vision(folder: Path) -> World:
    names = ["plain-0", *(f"{kind}-{k}" for kind in ("dark", "blur") for k in (1, 2, 3))]
    pool, starts = joined([seen(folder, f"vision-{name}") for name in names])

    def rising(first: int) -> list[dict[int, float]]:
        """From plain to the worst in nine windows."""
        steps = [0, first, first + 1, first + 2]
        mixes = []
        for level in np.arange(1, 10) / 3:
            low = min(int(level), 2)
            mixes.append({steps[low]: 1 - (level - low), steps[low + 1]: level - low})
        return mixes

    shifts = [Shift("darker over nine windows", rising(1)), Shift("dark (a quarter) at once", [{2: 1.0}] * 3)]
    shifts += [Shift("more blurred over nine windows", rising(4)), Shift("blurred (mildly) at once", [{4: 1.0}] * 3)]
    return World("vision: MobileNetV2, 500 images", pool, starts, starts[1], 350, 100, shifts, aligned=True)


def nlp(folder: Path) -> World:
    names = ["sst2-plain-0", "other-question-0", "sst2-imdb-1", "sst2-typed-1"]
    pool, starts = joined([seen(folder, name) for name in names])

    def mixed(k: int) -> list[dict[int, float]]:
        return [{0: 1 - share, k: share} for share in np.arange(1, 11) / 10]

    shifts = [
        Shift("questions mixed in, 10 % more a window", mixed(1)),
        Shift("questions, 20 % at once", [{0: 0.8, 1: 0.2}] * 3),
        Shift("long reviews mixed in, 10 % more a window", mixed(2)),
        Shift("letters typed wrongly (3 %) in all at once", [{3: 1.0}] * 3),
    ]
    return World("nlp: sentiment, SST-2's test sentences", pool, starts, starts[1], 1000, 200, shifts)


REQUESTS, SHIFTED, LATEST = 20_000, 5_000, 10
"""Requests without drift, those of each shift, and items of the history that comes with one."""


def recsys(folder: Path | None) -> World:
    """Requests for recommendations: the latest items of somebody at some time, item-kNN's answer, what is observed."""
    from monitoring_data import ROOT

    import recsys as recommendation

    rows = np.loadtxt(ROOT / "recsys" / "ml-100k" / "ml-100k" / "u.data", np.int64)
    rows = rows[np.lexsort((rows[:, 3], rows[:, 0]))]
    place = ROOT / "recsys" / "ml-100k" / "ml-100k" / "u.data"
    model = recommendation.fit_item_knn(recommendation.load_interactions(place, id_type="int"))
    rank = {item: at / len(model.item_ids) for at, item in enumerate(model.item_ids.ids)}
    first = np.searchsorted(rows[:, 0], rows[:, 0])
    rng = np.random.default_rng(0)
    order = rng.permutation(np.flatnonzero(np.arange(len(rows)) - first >= 2 * LATEST))

    def history(at: int) -> list[int]:
        return rows[first[at] : at + 1, 1].tolist()

    def rarer(at: int) -> list[int]:
        return sorted(history(at)[-3 * LATEST :], key=rank.__getitem__)[-LATEST:]

    def best(at: int) -> list[int]:
        return sorted(history(at)[-3 * LATEST :], key=rank.__getitem__)[:LATEST]

    pools = [
        requests(model, [history(at)[-LATEST:] for at in order[:REQUESTS]]),
        requests(model, [rarer(at) for at in order[:SHIFTED]]),
        requests(model, [[*history(at)[1 - LATEST :], 10_000 + int(rng.integers(30))] for at in order[:SHIFTED]]),
        requests(model, [best(at) for at in order[:SHIFTED]]),
    ]
    pool, starts = joined(pools)
    shifts = [
        Shift("to rarer items, 3 % more a window", [{0: 1 - s, 1: s} for s in np.arange(1, 11) * 0.03]),
        Shift("to the best known items, 2 % more a window", [{0: 1 - s, 3: s} for s in np.arange(1, 11) * 0.02]),
        Shift("a new item in 3 % of histories, at once", [{0: 0.97, 2: 0.03}] * 3),
        Shift("to rarer items, 15 % at once", [{0: 0.85, 1: 0.15}] * 3),
    ]
    title = "recsys: MovieLens 100k, requests with a history"
    return World(title, pool, starts, starts[1], 5000, 1000, shifts, shared=True)


def requests(model: Any, histories: list[list[int]]) -> Pool:
    """What the observer tells of requests and their answers."""
    from recsys.monitoring import observe
    from recsys.predictor import recommender

    opened = recommender(model, k=10)
    told = [observe(*one, predictor=opened) for one in zip(histories, opened.stream(histories), strict=True)]
    names = ("history", "seen_rank", "unknown_items", "recommended_rank", "count")
    numbers = np.array([[one.numbers.get(name, np.nan) for name in names] for one in told])
    categories = np.array([[one.categories["reason"], one.categories["person"], one.label or ""] for one in told])
    return Pool(numbers, categories, None, (*names, "reason", "person", "label"))


def drawn(world: World, mix: dict[int, float], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a reference and of a window with none of its items."""
    order = rng.permutation(world.plain)
    reference, rest = order[: world.reference], order[world.reference :]
    kinds = rng.choice(list(mix), world.window, p=list(mix.values()))
    rows = []
    for kind in np.unique(kinds):
        size = int((kinds == kind).sum())
        start, end = world.starts[kind], world.starts[kind + 1]
        if kind == 0 or world.aligned:
            rows.append(start + rest[:size])
            rest = rest[size:]
        else:
            rows.append(rng.choice(np.arange(start, end), size, replace=False))
    return reference, np.concatenate(rows)


def quiet_windows(world: World, options: argparse.Namespace, rng: np.random.Generator) -> None:
    """Windows in which nothing has drifted, and how many alarms they raise."""
    rate = options.rate
    quiet = [drawn(world, {0: 1.0}, rng) for _ in range(options.windows)]
    begun = time.process_time()
    found = [judged(world, *pair, rate, rng) for pair in quiet]
    spent = (time.process_time() - begun) / len(found)
    kept = []
    for _ in range(5 if world.shared else 0):
        reference, _ = drawn(world, {0: 1.0}, rng)
        rest = np.setdiff1d(np.arange(world.plain), reference)
        windows = [rng.choice(rest, world.window, replace=False) for _ in range(options.windows // 5)]
        kept.append(sum(judged(world, reference, window, rate, rng)[0] for window in windows))
    theirs = evidently(options.evidently, world, quiet[: options.peer_windows]) if options.evidently else None
    print("| without drift | windows | alarms | rate (95 % interval) | seconds a window |")
    print("| --- | ---: | ---: | --- | ---: |")
    row("ours: drift or quality", sum(alarm for alarm, _, _ in found), len(found), spent)
    row("ours: drift alone", sum(alarm for _, alarm, _ in found), len(found), 0.0)
    row("ours: drift, whatever the effect", sum(p <= rate / 2 for _, _, p in found), len(found), 0.0)
    evidence, restarts = Evidence(1 / rate), 0
    for _, _, p in found:
        evidence = evidence.after(p)
        if evidence.alarm:
            evidence, restarts = Evidence(1 / rate), restarts + 1
    row("ours, evidence over windows", restarts, len(found), 0.0)
    for k, alarms in enumerate(kept, 1):
        row(f"ours, all windows against reference {k}", alarms, options.windows // 5, spent)
    if theirs:
        shares = np.array(theirs["shares"])
        row("evidently, its own alarm", int((shares >= 0.5).sum()), len(shares), theirs["seconds"])
        row("evidently, any column", int((shares > 0).sum()), len(shares), theirs["seconds"])


def story(world: World, options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    rate = options.rate
    told = [[[drawn(world, mix, rng) for mix in one.mixes] for _ in range(options.repeats)] for one in world.shifts]
    print(f"{world.title}: reference of {world.reference}, windows of {world.window}, at most {rate:.0%} false alarms")
    if options.windows:
        quiet_windows(world, options, rng)
    print("| shift | windows until the alarm: median (worst) | drift alone | evidence | evidently | any column |")
    print("| --- | --- | --- | --- | --- | --- |")
    for shift, repeats in zip(world.shifts, told):
        cells: list[list[float]] = [[], [], [], [], []]
        few = repeats[: options.peer_repeats]
        flat = [pair for one in few for pair in one]
        peers = evidently(options.evidently, world, flat) if options.evidently else None
        for k, pairs in enumerate(repeats):
            results = [judged(world, *pair, rate, rng) for pair in pairs]
            cells[0].append(delay([alarm for alarm, _, _ in results]))
            cells[1].append(delay([alarm for _, alarm, _ in results]))
            evidence, states = Evidence(1 / rate), []
            for _, _, p in results:
                evidence = evidence.after(p)
                states.append(evidence.alarm)
            cells[2].append(delay(states))
            if peers and k < len(few):
                shares = np.array(peers["shares"][k * len(pairs) : (k + 1) * len(pairs)])
                cells[3].append(delay((shares >= 0.5).tolist()))
                cells[4].append(delay((shares > 0).tolist()))
        print(f"| {shift.name} | " + " | ".join(said(cell, len(shift.mixes)) for cell in cells) + " |", flush=True)


def judged(
    world: World, reference: np.ndarray, window: np.ndarray, rate: float, rng: np.random.Generator
) -> tuple[bool, bool, float]:
    """Whether the check alarms, whether its tests of drift do, and their p-value."""
    sides = [world.pool.profile(rows, rng) for rows in (reference, window)]
    found = check(sides[0], sides[1], rate=rate, rng=rng)
    return found.alarm, found.drift.alarm, found.drift.p_value


def delay(alarms: Sequence[bool]) -> float:
    return alarms.index(True) + 1 if True in alarms else float("inf")


def said(delays: list[float], most: int) -> str:
    if not delays:
        return "not run"
    text = [f"{d:g}" if np.isfinite(d) else f"none in {most}" for d in (np.sort(delays)[len(delays) // 2], max(delays))]
    return f"{text[0]} ({text[1]}), {len(delays)} repeats"


def row(name: str, alarms: int, n: int, spent: float) -> None:
    found = wilson(alarms, n)
    cost = f"{spent:.3f}" if spent else ""
    print(f"| {name} | {n} | {alarms} | {found.value:.1%} ({found.low:.1%} to {found.high:.1%}) | {cost} |", flush=True)


def evidently(python: str, world: World, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("in.npz", "out.json")]
        np.savez(
            paths[0],
            numbers=world.pool.numbers,
            categories=world.pool.categories,
            names=np.array(world.pool.names),
            reference=np.array([reference for reference, _ in pairs]),
            window=np.array([window for _, window in pairs]),
        )
        quiet = os.environ | {"DO_NOT_TRACK": "1"}
        subprocess.run([python, str(PEERS), "evidently", *paths], check=True, env=quiet)
        return json.loads(Path(paths[1]).read_text("utf-8"))


STORIES = {"vision": vision, "nlp": nlp, "recsys": recsys}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that bench/monitoring_data.py wrote")
    parser.add_argument("--story", nargs="+", choices=STORIES, default=[])
    parser.add_argument("--accuracy", nargs="*", choices=LEARNT, help="tasks; all when none is named")
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--windows", type=int, default=1000, help="without drift")
    parser.add_argument("--repeats", type=int, default=10, help="of each shift")
    parser.add_argument("--evidently", help="python of an environment with evidently")
    parser.add_argument("--peer-windows", type=int, default=100, help="of those without drift, for evidently")
    parser.add_argument("--peer-repeats", type=int, default=3)
    parser.add_argument("--nannyml", help="python of an environment with nannyml")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for name in asked.story:
        story(STORIES[name](asked.data), asked)
    if asked.accuracy is not None:
        accuracy(asked.data, peer=asked.nannyml, seed=asked.seed, tasks=asked.accuracy or list(LEARNT))
