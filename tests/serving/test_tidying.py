"""Memory that is free goes back to the machine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.serving import tidying

FRAGMENTS = """
import psutil
from shared.serving.tidying import trimmer
trim, process = trimmer(), psutil.Process()
trim()
before = process.memory_info().rss
blocks = [bytes(2000) for _ in range(60_000)]
last = blocks[::6000]
full = process.memory_info().rss
del blocks
held = process.memory_info().rss
found = trim()
print(found, full - before, held - before, process.memory_info().rss - before)
"""


@pytest.mark.skipif(tidying.trimmer() is None, reason="the C library here is not glibc")
def test_what_is_free_between_blocks_that_live_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", FRAGMENTS], capture_output=True, text=True, check=True)
    found, full, held, after = done.stdout.split()
    assert found == "True"
    assert int(held) > 0.8 * int(full) > 80e6  # what lives keeps the rest in the process
    assert int(after) < 0.2 * int(full)


def test_it_goes_on_until_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int] = []
    monkeypatch.setattr(tidying, "trimmer", lambda: lambda: bool(times.append(1)))

    async def run() -> None:
        task = asyncio.create_task(tidying.tidy(every=0.001))
        while len(times) < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ThreadPoolExecutor(1) as own:  # a loop of its own, whatever loop this thread has
        own.submit(asyncio.run, run()).result(timeout=30)
    assert len(times) >= 3


ARENAS = """
import threading, sys
from pathlib import Path
from shared.serving.tidying import share_arenas
if sys.argv[1] == "few":
    assert share_arenas()
go, kept = threading.Barrier(25), []
def work():
    go.wait()
    kept.append([bytes(1000) for _ in range(2000)])
    go.wait()
threads = [threading.Thread(target=work) for _ in range(24)]
for thread in threads:
    thread.start()
go.wait()
go.wait()
starts = [int(line.split("-")[0], 16) for line in Path("/proc/self/maps").read_text().splitlines() if " rw-p " in line]
print(sum(start % 2**26 == 0 for start in starts))  # glibc puts the heaps of an arena at multiples of 64 MiB
"""


@pytest.mark.skipif(tidying.trimmer() is None, reason="the C library here is not glibc")
def test_threads_share_few_arenas() -> None:
    run = [sys.executable, "-c", ARENAS]
    few, many = (
        int(subprocess.run([*run, how], capture_output=True, text=True, check=True).stdout) for how in ("few", "many")
    )
    assert few <= 2 < many
