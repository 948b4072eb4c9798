"""From live predictions to the log and to windows that are checked, in a thread of its own that nobody waits for.

Handing over a prediction costs a hash and a place in a queue. The queue is bounded in items and in bytes; when it is
full the prediction is left out and counted. The thread works at most :data:`SHARE` of the time, so that a busy server
loses rows of its log rather than speed, and nothing that goes wrong in it reaches a request.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from shared.errors import InputError
from shared.monitoring.alerts import Rules
from shared.monitoring.checking import Check, check
from shared.monitoring.log import PredictionLog
from shared.monitoring.log_rows import Key, Logged
from shared.monitoring.profile import Profile, ProfileBuilder
from shared.monitoring.signals import Observe, Observed
from shared.types import Result

T = TypeVar("T")
WAITING, HELD = 1024, 64 * 2**20
"""Predictions that wait at most, and bytes of their items."""
SHARE = 0.25
"""Of one processor's time that the thread takes at most."""
PATIENCE = 5.0
"""Seconds that closing takes at most; what waits longer is left out."""
_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction on its way to the log.

    Attributes:
        request: the request's id, and the item's place in it where it has several.
        item: as the predictor was given it.
        result: the answer; ``None`` where the item failed.
        fault: the kind of the failure.
        predictor: that answered.
        model: what identifies it.
        version: under which it was served.
        before: parts of the answer that came before ``result``, where it came as a stream.
        time: in seconds since 1970.
    """

    request: str
    item: Any
    result: Result | None
    fault: str | None
    predictor: Any
    model: str
    version: str
    before: tuple[Result, ...] = ()
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Windows:
    """How windows are checked while a model is live.

    Attributes:
        profile: the reference.
        size: answered items of a window, at least 1; those that are observed.
        rate: chance of a false alarm of a window's check, in (0, 1).
        rules: further bounds by version, made when a version's first window is full.
        heard: called with each check and the version that it is of.
    """

    profile: Profile
    size: int
    heard: Callable[[Check, str], None]
    rate: float = 0.01
    rules: Callable[[str], Rules] | None = None


class Recorder:
    """The thread, and the queue before it.

    Args:
        task: whose predictions come.
        observe: what is watched of them.
        rate: share of the requests that is taken, in (0, 1].
        log: the open log that rows go to; the recorder closes it. ``None`` keeps none.
        windows: how windows are checked; ``None`` checks none.
        redact: from a text to the text that may be kept; ``None`` keeps no text.
        joined: from the parts of a stream to what they say together; the last stands for all when not given.
        counted: told of every prediction that was taken: ``"logged"``, ``"dropped"`` or ``"unobserved"``.
        said: told of what went wrong, in a sentence.
        key: says which requests are taken where there is no log; a secret drawn now when not given, so that nobody
            outside can choose an id that is, or is not, among them.
        share: of a processor's time at most.
    """

    def __init__(
        self,
        task: str,
        observe: Observe,
        *,
        rate: float,
        log: PredictionLog | None = None,
        windows: Windows | None = None,
        redact: Callable[[str], str | None] | None = None,
        joined: Callable[[Sequence[Any]], Result] | None = None,
        counted: Callable[[str], None] = lambda outcome: None,
        said: Callable[[str], None] = lambda message: None,
        key: Key | None = None,
        share: float = SHARE,
    ) -> None:
        self._task, self._observe, self._rate, self._log = task, observe, rate, log
        self._windows, self._redact, self._joined, self._counted, self._said = windows, redact, joined, counted, said
        self._key = log.key if log is not None else key or Key(secrets.token_bytes(32))
        self._share, self._held, self._guard = share, 0, threading.Lock()
        self._queue: queue.Queue[Prediction | None] = queue.Queue(WAITING)
        self._builders: dict[str, ProfileBuilder] = {}
        self._rules: dict[str, Rules] = {}
        self._until = float("inf")
        self._thread = threading.Thread(target=self._work, name=f"monitor {task}", daemon=True)
        self._thread.start()

    def takes(self, request: str) -> bool:
        """Whether a request is among those that are watched."""
        return self._rate >= 1 or self._key.takes(request, self._rate)

    def offer(self, prediction: Prediction) -> None:
        """Hand over a prediction whose request is taken; never waits and never raises."""
        size = _size(prediction.item)
        with self._guard:
            room = self._held + size <= HELD
            if room:
                self._held += size
        try:
            if room:
                self._queue.put_nowait(prediction)
            else:
                self._counted("dropped")
        except queue.Full:
            self._let_go(size)
            self._counted("dropped")

    def close(self) -> None:
        """Write what waits, within :data:`PATIENCE`, and end."""
        self._until = time.monotonic() + PATIENCE
        try:
            self._queue.put(None, timeout=PATIENCE)
        except queue.Full:
            self._said("the log of predictions could not be finished: its thread does not answer")
            return
        self._thread.join(2 * PATIENCE)

    def _let_go(self, size: int) -> None:
        with self._guard:
            self._held -= size

    def _work(self) -> None:
        ended = False
        while not ended:
            some = self._taken()
            ended = None in some
            began = time.perf_counter()
            self._handle([one for one in some if one is not None])
            took = time.perf_counter() - began
            if not ended and self._until == float("inf"):
                time.sleep(min(took * (1 / self._share - 1), 1.0))
        self._end()

    def _taken(self) -> list[Prediction | None]:
        """A few that wait; none after a second in which nothing came."""
        try:
            some = [self._queue.get(timeout=1.0)]
        except queue.Empty:
            return []
        while some[-1] is not None and len(some) < _TOGETHER:
            try:
                some.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return some

    def _handle(self, some: list[Prediction]) -> None:
        rows: list[Logged] = []
        for one in some:
            self._let_go(_size(one.item))
            if time.monotonic() > self._until:
                self._counted("dropped")
                continue
            row = self._safely("a prediction was left out of the log", partial(self._row, one))
            if row is not None:
                rows.append(row)
            self._counted("logged" if row is not None else "unobserved")
        log, windows = self._log, self._windows
        if log is not None:
            self._safely("rows were lost", lambda: log.append(rows))
        if windows is not None:
            self._safely("a window was not checked", lambda: self._grow(windows, rows))

    def _safely(self, lost: str, step: Callable[[], T]) -> T | None:
        """Take a step, and say what went wrong in it: the boundary that no fault of monitoring passes."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - whatever observers, disks and tests raise, requests go on
            self._said(f"{lost}: {type(error).__name__}: {error}")
            return None

    def _row(self, one: Prediction) -> Logged:
        observed = text = None
        if one.result is not None:
            whole = one.result
            if one.before and self._joined is not None:
                whole = self._joined((*one.before, one.result))
            try:
                observed = self._observe(one.item, whole, predictor=one.predictor)
            except InputError:
                observed = Observed()  # that it was answered is known all the same
            if self._redact is not None and isinstance(one.item, str):
                text = self._redact(one.item)
        return Logged(self._key.of(one.request), one.time, one.model, one.version, observed, one.fault, text)

    def _grow(self, windows: Windows, rows: list[Logged]) -> None:
        for row in rows:
            builder = self._builders.get(row.version)
            if builder is None or builder.model != row.model:
                rng = np.random.default_rng()
                builder = ProfileBuilder(self._task, rng, model=row.model, rate=self._rate)
                self._builders[row.version] = builder
            if row.observed is None:
                builder.add_failed(first=row.time, last=row.time)
                continue
            builder.add([row.observed], time=row.time)
            if builder.n >= windows.size:
                del self._builders[row.version]
                self._check(windows, builder.done(), row.version)

    def _check(self, windows: Windows, window: Profile, version: str) -> None:
        if windows.rules is not None and version not in self._rules:
            self._rules[version] = windows.rules(version)
        windows.heard(check(windows.profile, window, rate=windows.rate, rules=self._rules.get(version)), version)

    def _end(self) -> None:
        log = self._log
        if log is not None:
            self._safely("the log was not finished", lambda: log.__exit__(None, None, None))


def _size(item: Any) -> int:
    return len(item) if isinstance(item, bytes | str) else int(getattr(item, "nbytes", 0))
