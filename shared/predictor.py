"""The one inference contract, and the one machine behind it: prepare -> run -> decode.

A model is three functions. ``prepare`` turns one item into arrays, ``run`` answers a whole batch of those, and
``decode`` turns one raw answer into a result. :class:`Pipeline` owns everything else: batching, order, threads,
and the rule that one bad item never costs its neighbours.
"""

from __future__ import annotations

import itertools
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from shared.catalogue import ModelCard
from shared.errors import InputError, PredictError, UsageError
from shared.settings import cpu_count
from shared.types import Failure

In = TypeVar("In")
Mid = TypeVar("Mid")
Raw = TypeVar("Raw")
Out = TypeVar("Out")
In_contra = TypeVar("In_contra", contravariant=True)
T = TypeVar("T")

OnError: TypeAlias = Literal["raise", "keep"]

_TRACEBACK = 4000  # characters of a failure's traceback, the last ones: they say where it was raised


class Predictor(Protocol[In_contra, Out]):
    """What every task's opener returns."""

    @property
    def card(self) -> ModelCard:
        """What model this is."""

    def predict(self, items: Sequence[In_contra], /, *, on_error: OnError = "raise") -> list[Out | Failure]:
        """One result an item, same length, same order; nothing in gives nothing out; inputs are not changed.

        Args:
            items: the inputs.
            on_error: ``"raise"`` ends with one error that names every failing item; ``"keep"`` puts a
                :class:`~shared.types.Failure` in the place of each and keeps the rest.

        Raises:
            PredictError: items failed and ``on_error`` is ``"raise"``.
        """

    def stream(
        self, items: Iterable[In_contra], /, *, batch_size: int | None = None, on_error: OnError = "keep"
    ) -> Iterator[Out | Failure]:
        """Results in order, as they come, in flat memory over an endless input.

        Args:
            items: read only a bounded number ahead of what was taken.
            batch_size: items that run together; ``None`` takes the model's own.
            on_error: as in :meth:`predict`; ``"raise"`` raises at the first failing item.
        """


@dataclass(frozen=True)
class Pipeline(Generic[In, Mid, Raw, Out]):
    """A :class:`Predictor` made of three functions.

    Attributes:
        card: what model this is.
        prepare: one item to arrays. Called in several threads at once. It raises
            :class:`~shared.errors.InputError` for an item that cannot be used.
        run: a non-empty batch of prepared items to as many raw answers, same order. Called in one thread at a time,
            unless ``side_by_side`` or ``reentrant``.
        decode: a raw answer and its prepared item to the result.
        batch_size: items that run together.
        threads: how many threads prepare; ``None`` takes one a processor.
        side_by_side: for models whose items gain nothing from one another's company: each batch goes through prepare,
            run and decode in one thread, as many batches at once as there are threads, and none waits for another.
        reentrant: whether ``run`` may be called in several threads at once, so that a server may answer a long item
            beside the others.

    Example:
        >>> from shared.testing import fake_card
        >>> twice = Pipeline(fake_card(), int, lambda batch: [2 * x for x in batch], lambda raw, mid: raw)
        >>> twice.predict(["1", "2"])
        [2, 4]
    """

    card: ModelCard
    prepare: Callable[[In], Mid]
    run: Callable[[Sequence[Mid]], Sequence[Raw]]
    decode: Callable[[Raw, Mid], Out]
    batch_size: int = 8
    threads: int | None = None
    side_by_side: bool = False
    reentrant: bool = False

    def predict(self, items: Sequence[In], /, *, on_error: OnError = "raise") -> list[Out | Failure]:
        """See :meth:`Predictor.predict`."""
        _check_on_error(on_error)
        if isinstance(items, str | bytes):
            raise UsageError(
                f"predict takes a list of items. Got one {type(items).__name__}: wrap it, predict([item])[0]"
            )
        results = list(self._results(items, self.batch_size))
        if on_error == "raise":
            failures = [r for r in results if isinstance(r, Failure)]
            if failures:
                raise PredictError(failures, len(results))
        return results

    def stream(
        self, items: Iterable[In], /, *, batch_size: int | None = None, on_error: OnError = "keep"
    ) -> Iterator[Out | Failure]:
        """See :meth:`Predictor.stream`."""
        _check_on_error(on_error)
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise UsageError(f"batch_size must be at least 1. Got {size} instead")
        return self._checked(self._results(items, size), on_error)

    def predict_here(self, items: Sequence[In], /) -> list[Out | Failure]:
        """All items as one batch in the calling thread, which has threads of its own: a server's, say.

        It starts none, which :meth:`predict` does each time. Items that fail are kept as failures. As ``run`` it is
        called in one thread at a time, unless ``side_by_side`` or ``reentrant``.

        Args:
            items: at most as many as may run together.

        Returns:
            One result an item, same order.

        Example:
            >>> from shared.testing import fake_card
            >>> twice = Pipeline(fake_card(), int, lambda batch: [2 * x for x in batch], lambda raw, mid: raw)
            >>> twice.predict_here(["1", "2"])
            [2, 4]
        """
        return [
            Failure(index, result.kind, result.message) if isinstance(result, Failed) else result
            for index, result in enumerate(self._whole(items))
        ]

    def _checked(self, results: Iterator[Out | Failure], on_error: OnError) -> Iterator[Out | Failure]:
        for count, result in enumerate(results, 1):
            if on_error == "raise" and isinstance(result, Failure):
                raise PredictError([result], count)
            yield result

    def _results(self, items: Iterable[In], size: int) -> Iterator[Out | Failure]:
        way = self._side_by_side if self.side_by_side else self._in_turn
        with closing(way(items, size)) as batches:
            for index, result in enumerate(itertools.chain.from_iterable(batches)):
                yield result.at(index) if isinstance(result, Failed) else result

    def _side_by_side(self, items: Iterable[In], size: int) -> Generator[list[Out | Failed], None, None]:
        """Every batch from its items to its results in one thread."""
        threads = self.threads or cpu_count()
        with ThreadPoolExecutor(threads, "predict") as pool:
            chunks = _chunks(items, size)
            yield from _map_ahead(pool, self._whole, chunks, ahead=8 * threads, together=4 * threads)

    def _whole(self, batch: Sequence[In]) -> list[Out | Failed]:
        """A batch from its items to its results, in this thread."""
        return self._decoded(self._run([_attempt(self.prepare, item) for item in batch]))

    def _in_turn(self, items: Iterable[In], size: int) -> Generator[list[Out | Failed], None, None]:
        """Prepare ahead in threads, run one batch at a time in one thread, decode the batch before meanwhile."""
        threads = self.threads or cpu_count()
        with ThreadPoolExecutor(threads, "prepare") as preparers, ThreadPoolExecutor(1, "run") as runner:
            prepared = _map_ahead(preparers, lambda item: _attempt(self.prepare, item), items, ahead=2 * size + threads)
            running: deque[Future[list[Any]]] = deque()
            try:
                for batch in _chunks(prepared, size):
                    running.append(runner.submit(self._run, batch))
                    if len(running) > 1:
                        yield self._decoded(running.popleft().result())
                while running:
                    yield self._decoded(running.popleft().result())
            finally:
                prepared.close()
                for future in running:
                    future.cancel()

    def _run(self, batch: list[Mid | Failed]) -> list[Any]:
        """Answer the good items of a batch and leave the failed ones in their places."""
        good = [mid for mid in batch if not isinstance(mid, Failed)]
        answers = iter(_run_isolated(self.run, good))
        return [mid if isinstance(mid, Failed) else next(answers) for mid in batch]

    def _decoded(self, answers: list[Any]) -> list[Out | Failed]:
        return [
            answer if isinstance(answer, Failed) else _attempt(lambda a: self.decode(a.raw, a.mid), answer)
            for answer in answers
        ]


@dataclass(frozen=True)
class Failed:
    """An item's fault before its place in the input is known."""

    kind: str
    message: str
    traceback: str = ""

    def at(self, index: int) -> Failure:
        """The same, now that its place is known."""
        return Failure(index, self.kind, self.message, self.traceback)


@dataclass(frozen=True)
class Answered(Generic[Raw, Mid]):
    """A raw answer beside the prepared item that it belongs to."""

    raw: Raw
    mid: Mid


def _attempt(function: Callable[[In], Out], item: In) -> Out | Failed:
    """Call, and turn a fault into a value. This is the one place that catches everything an item can raise."""
    try:
        return function(item)
    except Exception as error:  # noqa: BLE001 - the isolation boundary: any item's fault stays with that item
        return _failed(error)


def _failed(error: Exception) -> Failed:
    kind = error.kind if isinstance(error, InputError) else type(error).__name__
    told = "".join(traceback.format_exception(error))
    return Failed(kind, str(error) or kind, told[-_TRACEBACK:])


def _run_isolated(
    run: Callable[[Sequence[Mid]], Sequence[Raw]], batch: Sequence[Mid]
) -> list[Answered[Raw, Mid] | Failed]:
    """Run a batch; when it fails, halve it until the bad items stand alone.

    One bad item in n costs at most 2 log2(n) further runs, and never a replay one by one.
    """
    if not batch:
        return []
    answers = _attempt(run, batch)
    if not isinstance(answers, Failed):
        if len(answers) != len(batch):
            raise UsageError(f"run must answer each of its {len(batch)} items. Got {len(answers)} answers instead")
        return [Answered(raw, mid) for raw, mid in zip(answers, batch)]
    if len(batch) == 1:
        return [answers]
    middle = len(batch) // 2
    return _run_isolated(run, batch[:middle]) + _run_isolated(run, batch[middle:])


def _map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[In], Out], items: Iterable[In], *, ahead: int, together: int = 1
) -> Generator[Out, None, None]:
    """Map in threads, in order, reading at most ``ahead`` items beyond the one that was taken.

    With so many under way, ``together`` of them are waited for at once: a thread that is woken for each answer takes
    the processor from those that work on the next.
    """
    waiting: deque[Future[Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                waiting[together - 1].exception()
                for _ in range(together):
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "keep"):
        raise UsageError(f"on_error must be 'raise' or 'keep'. Got {on_error!r} instead")
