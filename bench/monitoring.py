"""What drift detection and accuracy without labels promise, on windows whose truth is known, beside evidently and
NannyML.

    python bench/monitoring_data.py vision FOLDER                # once: what the models say of spoilt items; minutes
    python bench/monitoring_data.py nlp FOLDER
    python bench/monitoring.py --data FOLDER --story vision      # or nlp, recsys (which needs no FOLDER)
    python bench/monitoring.py --data FOLDER --accuracy
    ... --evidently PYTHON --nannyml PYTHON                      # pythons of environments that hold the peers

*Stories.* 1,000 windows without drift, each with a reference of its own, both drawn without replacement from one pool,
so that nothing differs but chance: alarms are counted against the stated rate. Then shifts that begin in a known
window: how many windows until the alarm, that one counted, over several repeats. *Evidence* is the e-detector over the
same checks, at
the same number of windows between false alarms. evidently's default preset gets the first of the same windows (it takes
half a second of processor time each); its own alarm is half of the columns, "any" is one or more.
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

import numpy as np
from monitoring_accuracy import LEARNT, PEERS, accuracy, load

from shared.evaluation.intervals import wilson
from shared.monitoring.columns import Columns
from shared.monitoring.drift import drift
from shared.monitoring.multiple import Evidence


@dataclass
class Pool:
    """Items of one kind: numbers (n, columns), categories (n, columns) and perhaps vectors, with their names."""

    numbers: np.ndarray
    categories: np.ndarray
    embedding: np.ndarray | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def columns(self, rows: np.ndarray) -> Columns:
        k = self.numbers.shape[1]
        counts = [np.unique(column[rows], return_counts=True) for column in self.categories.T]
        return Columns(
            len(rows),
            {name: column[rows].astype(np.float64) for name, column in zip(self.names, self.numbers.T)},
            {
                name: {str(v): int(c) for v, c in zip(*count, strict=True)}
                for name, count in zip(self.names[k:], counts, strict=True)
            },
            None if self.embedding is None else self.embedding[rows],
        )


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
        names = (*file["names"].tolist(), "confidence", "label")
    numbers = np.column_stack([items["numbers"], items["confidence"]])
    return Pool(numbers, items["label"][:, None], items["embedding"], names)


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


def recsys(folder: Path | None) -> World:
    from monitoring_data import ROOT

    rows = np.loadtxt(ROOT / "recsys" / "ml-100k" / "ml-100k" / "u.data", np.int64)
    with (ROOT / "recsys" / "ml-100k" / "ml-100k" / "u.item").open(encoding="latin-1") as file:
        genres = {int(line.split("|")[0]): line.strip().split("|")[5:].index("1") for line in file}
    item, user = rows[:, 1], rows[:, 0]
    counts, activity = np.bincount(item), np.bincount(user)
    rank = np.empty(len(counts))
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts)) / len(counts)
    numbers = np.column_stack([rank[item], np.log(activity[user]), rows[:, 2], rows[:, 3] // 3600 % 24])
    kinds = np.array([f"g{genres[i]}" for i in item.tolist()])
    categories = np.column_stack([item.astype(str), kinds])
    names = ("popularity_rank", "activity", "rating", "hour", "item", "genre")
    plain = Pool(numbers, categories, None, names)
    tail = np.flatnonzero(rank[item] > 0.25)
    few = Pool(numbers[tail], categories[tail], None, names)
    new = Pool(numbers[:5000].copy(), categories[:5000].copy(), None, names)
    new.categories[:, 0] = [f"new{k % 30}" for k in range(5000)]
    hits = np.isin(item, np.argsort(-counts)[:20])
    best = Pool(numbers[hits], categories[hits], None, names)
    pool, starts = joined([plain, few, new, best])
    shifts = [
        Shift("to rarer items, 3 % more a window", [{0: 1 - s, 1: s} for s in np.arange(1, 11) * 0.03]),
        Shift("to the 20 best known, 2 % more a window", [{0: 1 - s, 3: s} for s in np.arange(1, 11) * 0.02]),
        Shift("30 new items, 3 % at once", [{0: 0.97, 2: 0.03}] * 3),
        Shift("to rarer items, 15 % at once", [{0: 0.85, 1: 0.15}] * 3),
    ]
    return World("recsys: MovieLens 100k, events", pool, starts, starts[1], 5000, 1000, shifts, shared=True)


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


def story(world: World, options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    rate = options.rate
    quiet = [drawn(world, {0: 1.0}, rng) for _ in range(options.windows)]
    told = [[[drawn(world, mix, rng) for mix in one.mixes] for _ in range(options.repeats)] for one in world.shifts]
    begun = time.process_time()
    found = [check(world, *pair, rate, rng) for pair in quiet]
    spent = (time.process_time() - begun) / len(found)
    kept = []
    for _ in range(5 if world.shared else 0):
        reference, _ = drawn(world, {0: 1.0}, rng)
        rest = np.setdiff1d(np.arange(world.plain), reference)
        windows = [rng.choice(rest, world.window, replace=False) for _ in range(options.windows // 5)]
        kept.append(sum(check(world, reference, window, rate, rng)[0] for window in windows))
    theirs = evidently(options.evidently, world, quiet[: options.peer_windows]) if options.evidently else None
    print(f"{world.title}: reference of {world.reference}, windows of {world.window}, at most {rate:.0%} false alarms")
    print("| without drift | windows | alarms | rate (95 % interval) | seconds a window |")
    print("| --- | ---: | ---: | --- | ---: |")
    row("ours", sum(alarm for alarm, _ in found), len(found), spent)
    row("ours, whatever the effect", sum(p <= rate for _, p in found), len(found), spent)
    evidence, restarts = Evidence(1 / rate), 0
    for _, p in found:
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
    print("| shift | windows until the alarm: median (worst) | evidence | evidently, its own | evidently, any column |")
    print("| --- | --- | --- | --- | --- |")
    for shift, repeats in zip(world.shifts, told):
        cells = [[], [], [], []]
        few = repeats[: options.peer_repeats]
        flat = [pair for one in few for pair in one]
        peers = evidently(options.evidently, world, flat) if options.evidently else None
        for k, pairs in enumerate(repeats):
            results = [check(world, *pair, rate, rng) for pair in pairs]
            cells[0].append(delay([alarm for alarm, _ in results]))
            evidence, states = Evidence(1 / rate), []
            for _, p in results:
                evidence = evidence.after(p)
                states.append(evidence.alarm)
            cells[1].append(delay(states))
            if peers and k < len(few):
                shares = np.array(peers["shares"][k * len(pairs) : (k + 1) * len(pairs)])
                cells[2].append(delay((shares >= 0.5).tolist()))
                cells[3].append(delay((shares > 0).tolist()))
        print(f"| {shift.name} | " + " | ".join(said(cell, len(shift.mixes)) for cell in cells) + " |", flush=True)


def check(
    world: World, reference: np.ndarray, window: np.ndarray, rate: float, rng: np.random.Generator
) -> tuple[bool, float]:
    found = drift(world.pool.columns(reference), world.pool.columns(window), rate=rate, rng=rng)
    return found.alarm, found.p_value


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
