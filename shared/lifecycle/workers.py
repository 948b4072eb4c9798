"""Processes that train and evaluate side by side, each with its share of the processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import Any

from shared.settings import cpu_count

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""What the libraries of linear algebra read when they are loaded."""
_SAID = 500
"""Characters of a log that say why a process ended."""
Heard = Callable[[Mapping[str, Any]], bool]
"""From what a trial says of a step to whether it is to go on."""


class Stopped(Exception):  # noqa: N818 - no fault: the search ends
    """A worker was stopped while it did an order, which then has no answer."""


class Worker:
    """One process that does orders; it is started at the first one, and again where it died."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def do(self, order: Mapping[str, Any], heard: Heard) -> dict[str, Any]:
        """Have an order done; see :func:`shared.lifecycle.trying.work` for it and for the answer.

        A process that dies over it is an answer too: ``{"refused": ...}`` with the end of its log.

        Raises:
            Stopped: :meth:`stop` was called meanwhile.
        """
        process = self._process or self._start()
        try:
            self._say(process, order)
            while line := self._hear(process):
                answer = json.loads(line)
                if "done" in answer:
                    return dict(answer["done"])
                self._say(process, {"go": heard(answer)})
        except (BrokenPipeError, ValueError):  # ValueError: stop() closed the pipe
            pass
        code = process.wait()
        if self._stopped:
            raise Stopped
        self._end()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return {"refused": f"the process ended with {how}. {_end_of(Path(order['place']) / 'log.txt')}".strip()}

    def stop(self) -> None:
        """End the process, whatever it does; a stopped worker does no more orders."""
        self._stopped = True
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):  # an order that it was just being told is lost with it
                        stream.close()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        own = os.environ | {name: str(self._threads) for name in THREADS}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shared.lifecycle.trying"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=own,
            start_new_session=True,  # an interrupt at the terminal is for the search, which then stops its workers
        )
        return self._process

    @staticmethod
    def _say(process: subprocess.Popen[str], row: Mapping[str, Any]) -> None:
        if process.stdin is not None:
            process.stdin.write(json.dumps(row) + "\n")
            process.stdin.flush()

    @staticmethod
    def _hear(process: subprocess.Popen[str]) -> str:
        return process.stdout.readline() if process.stdout is not None else ""


def threads_each(workers: int) -> int:
    """Processors of each of so many processes, at least 1."""
    return max(1, cpu_count() // workers)


@contextmanager
def started(workers: int) -> Iterator[list[Worker]]:
    """So many workers; their processes are ended at the end."""
    found = [Worker(threads_each(workers)) for _ in range(workers)]
    try:
        yield found
    finally:
        for worker in found:
            worker.stop()


def side_by_side(workers: list[Worker], work: Callable[[Worker], bool]) -> None:
    """Let each worker, in a thread of its own, do ``work`` until it says that there is no more.

    The first error of any stops all, and is raised.
    """
    faults: Queue[BaseException] = Queue()

    def loop(worker: Worker) -> None:
        try:
            while faults.empty() and work(worker):
                pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            faults.put(error)

    threads = [threading.Thread(target=loop, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # so that an interrupt reaches this thread
            if not faults.empty():
                raise faults.get()
    if not faults.empty():
        raise faults.get()


def _end_of(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", "replace")[-_SAID:].strip().splitlines()
    except OSError:
        return ""
    return f"Its log ends: {lines[-1]}" if lines else ""
