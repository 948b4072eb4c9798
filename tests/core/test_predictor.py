"""The one machine behind every predictor: isolation, order, laziness, splitting."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Sequence

import numpy as np
import pytest

from shared.backends.fake import FakeBackend
from shared.errors import InputError, PredictError
from shared.predictor import Pipeline
from shared.testing import fake_card
from shared.testing.contracts import PredictorContract
from shared.types import Failure


def prepare(item: object) -> int:
    if not isinstance(item, int):
        raise InputError("wrong-type", f"an item must be an int. Got {type(item).__name__} instead")
    return item


def pipeline(backend: FakeBackend, **changes: int) -> Pipeline[object, int, int, int]:
    def run(batch: Sequence[int]) -> list[int]:
        return [int(answer["y"][0]) for answer in backend.run([{"x": np.array([x])} for x in batch])]

    return Pipeline(fake_card(), prepare, run, lambda raw, mid: raw, **changes)  # type: ignore[arg-type]


def doubler(refused: set[int] | None = None) -> FakeBackend:
    refused = refused or set()
    return FakeBackend(lambda feed: {"y": feed["x"] * 2}, refuse=lambda feed: int(feed["x"][0]) in refused)


class TestFakePipeline(PredictorContract):
    def build(self) -> Pipeline[object, int, int, int]:
        return pipeline(doubler(), batch_size=3)

    def good(self) -> list[int]:
        return [1, 2, 3]

    def bad(self) -> str:
        return "no number"


class TestSideBySide(TestFakePipeline):
    def build(self) -> Pipeline[object, int, int, int]:
        return pipeline(doubler(), batch_size=1, threads=3, side_by_side=True)


def test_batches_side_by_side_do_not_wait_for_one_another() -> None:
    met = threading.Barrier(3, timeout=60)

    def run(batch: Sequence[int]) -> list[int]:
        met.wait()
        return list(batch)

    three = Pipeline(fake_card(), prepare, run, lambda raw, mid: raw, batch_size=1, threads=3, side_by_side=True)
    assert three.predict([1, 2, 3]) == [1, 2, 3]


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_a_refused_item_is_found_by_splitting_and_its_neighbours_are_answered(size: int) -> None:
    n, bad = 64, {20}
    backend = doubler(bad)
    results = pipeline(backend, batch_size=size).predict(range(n), on_error="keep")
    assert [r.index for r in results if isinstance(r, Failure)] == [20]
    assert [r for r in results if not isinstance(r, Failure)] == [2 * x for x in range(n) if x not in bad]
    batches = math.ceil(n / size)
    assert len(backend.calls) <= batches + 2 * math.ceil(math.log2(size)) + 1


def test_a_batch_is_never_replayed_one_by_one() -> None:
    backend = doubler({5})
    pipeline(backend, batch_size=256).predict(range(256), on_error="keep")
    assert len(backend.calls) == 1 + 2 * 8
    assert backend.calls.count(1) == 2


def test_failures_carry_kind_message_and_absolute_index_in_a_stream() -> None:
    results = list(pipeline(doubler({4}), batch_size=2).stream([0, "x", 2, 3, 4]))
    assert results[1] == Failure(1, "wrong-type", "an item must be an int. Got str instead")
    assert isinstance(results[4], Failure)
    assert (results[4].index, results[4].kind) == (4, "BackendError")


def test_a_fault_in_decode_stays_with_its_item() -> None:
    def decode(raw: int, mid: int) -> int:
        return 10 // raw

    results = Pipeline(fake_card(), prepare, lambda b: b, decode).predict([1, 0, 2], on_error="keep")
    assert results[0::2] == [10, 5]
    assert isinstance(results[1], Failure)
    assert results[1].kind == "ZeroDivisionError"


def test_the_error_lists_ten_failures_and_counts_the_rest() -> None:
    with pytest.raises(PredictError, match=r"12 of 12 items failed: item 0: \[wrong-type\].*; and 2 more") as caught:
        pipeline(doubler()).predict(["x"] * 12)
    assert len(caught.value.failures) == 12


def test_run_must_answer_every_item() -> None:
    short = Pipeline(fake_card(), prepare, lambda batch: batch[1:], lambda raw, mid: raw)
    with pytest.raises(Exception, match="run must answer each of its 2 items"):
        short.predict([1, 2])


@pytest.mark.parametrize("side_by_side", [False, True])
def test_an_abandoned_stream_ends_its_threads(side_by_side: bool) -> None:
    before = threading.active_count()
    results = pipeline(doubler(), batch_size=2, side_by_side=side_by_side).stream(iter(range(10_000)))
    next(results)
    results.close()  # type: ignore[attr-defined]  # streams are generators
    assert threading.active_count() == before


def test_items_are_let_go_once_answered() -> None:
    class Item:
        pass

    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def items() -> object:
        for _ in range(500):
            item = Item()
            alive.add(item)
            yield item

    holding = Pipeline(fake_card(), lambda item: item, lambda batch: batch, lambda raw, mid: 1, batch_size=4)
    for _ in holding.stream(items()):  # type: ignore[arg-type]
        most = max(most, len(alive))
    assert most < 60


def test_a_fault_of_the_input_itself_is_raised_not_hidden() -> None:
    def items() -> object:
        yield 1
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="the disk went away"):
        list(pipeline(doubler()).stream(items()))  # type: ignore[call-overload]
