"""What the benchmarks of text models share: systems that take turns at the same work, and how far they agree."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def take_turns(systems: Mapping[str, Callable[[], Any]], *, repeats: int, count: int, unit: str) -> dict[str, Any]:
    """Run every system once a turn, each going first in its turn, and print speeds and ratios to the first system.

    A ratio is the median over the turns of the system's seconds / the first system's seconds, on the wall clock and in
    processor time; the second hardly feels what else the machine is doing.

    Args:
        systems: what to run, ours first; each is run once before, to warm up.
        repeats: turns.
        count: how many units of work one run is.
        unit: their name, in the plural.

    Returns:
        What each system answered last.
    """
    wall: dict[str, list[float]] = {name: [] for name in systems}
    busy: dict[str, list[float]] = {name: [] for name in systems}
    answers = {name: system() for name, system in systems.items()}
    for turn in range(repeats):
        names = list(systems)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began, used = time.perf_counter(), time.process_time()
            answers[name] = systems[name]()
            wall[name].append(time.perf_counter() - began)
            busy[name].append(time.process_time() - used)
    ours = next(iter(systems))
    for name in systems:
        ratios = statistics.median(p / o for p, o in zip(wall[name], wall[ours]))
        work = statistics.median(p / o for p, o in zip(busy[name], busy[ours]))
        rate = count / statistics.median(wall[name])
        print(
            f"{name:34} {rate:9.1f} {unit}/s   takes {ratios:5.2f}x ours on the wall clock, {work:5.2f}x processor time"
        )
    return answers


def same_share(ours: Sequence[object], theirs: Sequence[object]) -> float:
    """Share of items for which two systems say the same."""
    return sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours)


def peak_megabytes() -> float:
    """The most memory that this process ever held, in megabytes.

    What `getrusage` says begins with the memory of the process that started this one, so Linux is asked elsewhere.
    """
    import resource
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.is_file():
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
