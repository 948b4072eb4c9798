"""Contract test classes: a new model or backend is tested by a subclass of three lines.

class TestClassifier(PredictorContract):
    def build(self): return vision.classifier()
    def good(self): return [image_a, image_b, image_c]
    def bad(self): return b"no image"
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from shared.backends.base import Backend
from shared.errors import BackendError, PredictError, UsageError
from shared.predictor import Predictor
from shared.types import AnyArray, Failure, Result


class PredictorContract:
    """What every :class:`~shared.predictor.Predictor` must keep. A subclass gives three methods.

    ``rtol`` and ``atol`` bound how far a batch may differ from one by one (for arrays and numbers in results).
    """

    rtol = 1e-4
    atol = 1e-4

    def build(self) -> Predictor[Any, Any]:
        """The predictor under test."""
        raise NotImplementedError

    def good(self) -> Sequence[Any]:
        """At least two different usable items."""
        raise NotImplementedError

    def bad(self) -> Any:
        """An item that cannot be used."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def predictor(cls) -> Predictor[Any, Any]:
        return cls().build()

    def test_card_names_the_task(self, predictor: Predictor[Any, Any]) -> None:
        assert predictor.card.name
        assert predictor.card.task

    def test_nothing_in_gives_nothing_out(self, predictor: Predictor[Any, Any]) -> None:
        assert predictor.predict([]) == []
        assert list(predictor.stream([])) == []

    def test_batch_equals_one_by_one_in_order(self, predictor: Predictor[Any, Any]) -> None:
        items = [*self.good(), *reversed(self.good())]
        batch = predictor.predict(items)
        assert len(batch) == len(items)
        for got, item in zip(batch, items):
            self.same(got, predictor.predict([item])[0])

    def test_stream_equals_predict_for_any_batch_size(self, predictor: Predictor[Any, Any]) -> None:
        items = [*self.good(), *self.good()]
        wanted = predictor.predict(items)
        for size in (1, 2, 1000):
            got = list(predictor.stream(iter(items), batch_size=size))
            assert len(got) == len(wanted)
            for g, w in zip(got, wanted):
                self.same(g, w)

    def test_one_that_several_threads_may_call_answers_them_alike(self, predictor: Predictor[Any, Any]) -> None:
        if not getattr(predictor, "reentrant", False):
            pytest.skip("its batches run in one thread at a time")
        items = list(self.good())
        wanted, backwards = predictor.predict(items), items[::-1]
        with ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(predictor.predict, given) for given in (items, backwards, items, backwards)]
        for got, order in zip(runs, (1, -1, 1, -1)):
            for g, w in zip(got.result()[::order], wanted):
                self.same(g, w)

    def test_a_bad_item_is_a_failure_in_its_place(self, predictor: Predictor[Any, Any]) -> None:
        good = list(self.good())
        wanted = predictor.predict(good)
        got = predictor.predict([good[0], self.bad(), *good[1:]], on_error="keep")
        assert isinstance(got[1], Failure)
        assert got[1].index == 1
        assert got[1].kind
        assert got[1].message
        for g, w in zip([got[0], *got[2:]], wanted):
            self.same(g, w)

    def test_raise_names_every_failing_item(self, predictor: Predictor[Any, Any]) -> None:
        with pytest.raises(PredictError, match=r"item 0.*item 2") as caught:
            predictor.predict([self.bad(), self.good()[0], self.bad()])
        assert [f.index for f in caught.value.failures] == [0, 2]

    def test_stream_raises_at_the_first_failing_item(self, predictor: Predictor[Any, Any]) -> None:
        results = predictor.stream([self.good()[0], self.bad()], on_error="raise")
        assert not isinstance(next(results), Failure)
        with pytest.raises(PredictError, match="item 1"):
            next(results)

    def test_stream_reads_a_bounded_number_ahead(self, predictor: Predictor[Any, Any]) -> None:
        read = itertools.count()
        endless: Iterator[Any] = (item for item in itertools.cycle(self.good()) if next(read) >= 0)
        results = predictor.stream(endless, batch_size=2)
        for _ in range(4):
            next(results)
        assert next(read) < 200
        results.close()  # type: ignore[attr-defined]  # streams are generators

    def test_inputs_are_not_changed(self, predictor: Predictor[Any, Any]) -> None:
        items = list(self.good())
        before = copy.deepcopy(items)
        predictor.predict(items)
        for item, old in zip(items, before):
            np.testing.assert_array_equal(np.asarray(item), np.asarray(old))

    def test_results_survive_json(self, predictor: Predictor[Any, Any]) -> None:
        for result in predictor.predict(self.good()):
            if isinstance(result, Result):
                assert Result.from_json(result.to_json()) == result

    def test_wrong_arguments_say_so(self, predictor: Predictor[Any, Any]) -> None:
        with pytest.raises(UsageError, match="on_error must be"):
            predictor.predict([], on_error="ignore")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="batch_size must be at least 1"):
            predictor.stream([], batch_size=0)
        with pytest.raises(UsageError, match="takes a list"):
            predictor.predict("one item")

    def same(self, got: Any, wanted: Any) -> None:
        """Assert that two results agree within tolerance; a subclass may say what agreement means for its results."""
        assert type(got) is type(wanted)
        if isinstance(got, Result):
            self._same(got.to_json(), wanted.to_json())
        else:
            self._same(got, wanted)

    def _same(self, got: Any, wanted: Any) -> None:
        if isinstance(wanted, Mapping):
            assert got.keys() == wanted.keys()
            for key in wanted:
                self._same(got[key], wanted[key])
        elif isinstance(wanted, np.ndarray | float) or (isinstance(wanted, list) and _numbers(wanted)):
            np.testing.assert_allclose(got, wanted, rtol=self.rtol, atol=self.atol)
        elif isinstance(wanted, list):
            assert len(got) == len(wanted)
            for g, w in zip(got, wanted):
                self._same(g, w)
        else:
            assert got == wanted


class BackendContract:
    """What every :class:`~shared.backends.base.Backend` must keep. A subclass gives two methods."""

    def build(self) -> Backend:
        """The backend under test."""
        raise NotImplementedError

    def feed(self, rng: np.random.Generator) -> dict[str, AnyArray]:
        """A usable request."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        return cls().build()

    @pytest.fixture
    def feeds(self) -> list[dict[str, AnyArray]]:
        rng = np.random.default_rng(0)
        return [self.feed(rng) for _ in range(5)]

    def test_names_its_inputs_and_outputs(self, backend: Backend, feeds: list[dict[str, AnyArray]]) -> None:
        assert {spec.name for spec in backend.inputs} == set(feeds[0])
        answer = backend.run(feeds[:1])[0]
        assert [spec.name for spec in backend.outputs] == list(answer)
        for spec in backend.outputs:
            assert answer[spec.name].dtype == np.dtype(spec.dtype)
            assert len(spec.shape) == answer[spec.name].ndim

    def test_many_equal_one_by_one_in_order(self, backend: Backend, feeds: list[dict[str, AnyArray]]) -> None:
        for got, feed in zip(backend.run(feeds), feeds):
            for name, wanted in backend.run([feed])[0].items():
                np.testing.assert_allclose(got[name], wanted, rtol=1e-5, atol=1e-6)

    def test_answers_are_the_callers_own(self, backend: Backend, feeds: list[dict[str, AnyArray]]) -> None:
        first = backend.run(feeds[:1])[0]
        kept = {name: array.copy() for name, array in first.items()}
        backend.run(feeds[1:])
        for name, array in first.items():
            np.testing.assert_array_equal(array, kept[name])

    def test_nothing_in_gives_nothing_out(self, backend: Backend) -> None:
        assert backend.run([]) == []

    def test_a_refused_request_is_a_backend_error_and_the_next_call_works(
        self, backend: Backend, feeds: list[dict[str, AnyArray]]
    ) -> None:
        wrong = {name: array[..., :0] for name, array in feeds[0].items()}
        with pytest.raises(BackendError, match="refused"):
            backend.run([feeds[0], wrong, feeds[1]])
        assert len(backend.run(feeds)) == len(feeds)


def _numbers(values: list[Any]) -> bool:
    return bool(values) and all(
        isinstance(v, int | float) or (isinstance(v, list) and (not v or _numbers(v))) for v in values
    )
