"""The contract of a task's evaluation as a test class: what its items say agrees with the figures that it prints.

class TestReader(EvaluationContract):
    def evaluate(self, order, model): return evaluate_qa(written(QUESTIONS, order), model=MODELS[model])
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from shared.evaluation.items import ItemFigure, Items, Mean, Total
from shared.evaluation.report import Evaluation
from shared.types import Float64, Int64


class EvaluationContract:
    """What every evaluation that tells of its items must keep. A subclass gives :meth:`evaluate`.

    ``n`` is the number of items, ``wholes`` names the figures that no item has a part in, ``ordered`` says whether the
    items follow the order of the data set (recommendation draws users from its rows instead).
    """

    n: int
    wholes: frozenset[str] = frozenset()
    ordered = True

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        """The evaluation of the model 0 or 1 on the data set, its ``n`` items in some order, ``None`` for its own."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def evaluation(cls) -> Evaluation:
        return cls().evaluate(None, 0)

    @pytest.fixture
    def items(self, evaluation: Evaluation) -> Items:
        return items_of(evaluation)

    def test_figures_of_items_are_the_figures(self, evaluation: Evaluation, items: Items) -> None:
        assert set(items.figures) == set(evaluation.metrics) - self.wholes
        for name, figure in items.figures.items():
            assert figure_value(figure) == pytest.approx(evaluation.metrics[name].value, rel=1e-9, abs=1e-12), name

    def test_every_item_is_told_of_once(self, evaluation: Evaluation, items: Items) -> None:
        assert len(items) == evaluation.n == self.n == len(set(items.ids))
        for name, values in items.attributes.items():
            assert values.shape == (self.n,), name
            assert values.dtype.kind in "biufU", name
        assert np.isfinite(items.right()).any()

    def test_asked_again_it_says_the_same(self, evaluation: Evaluation, items: Items) -> None:
        again = items_of(evaluation)
        assert again.ids == items.ids
        np.testing.assert_array_equal(again.right(), items.right())

    def test_another_model_has_the_same_items(self, evaluation: Evaluation, items: Items) -> None:
        other = items_of(self.evaluate(None, 1))
        assert other.ids == items.ids
        assert other.main == items.main
        assert other.attributes.keys() == items.attributes.keys()
        for name, values in items.attributes.items():
            np.testing.assert_array_equal(other.attributes[name], values, err_msg=name)
        for name, figure in items.figures.items():
            if isinstance(figure, Total) and name in other.figures:
                assert figure.rows.shape == _total(other.figures[name]).shape, name
        assert (items.groups is None) == (other.groups is None)
        if items.groups is not None:
            np.testing.assert_array_equal(other.groups, items.groups)

    def test_figures_do_not_hang_on_the_order(self, evaluation: Evaluation, items: Items) -> None:
        order = np.random.default_rng(0).permutation(self.n)
        for name, figure in _taken(items.figures, order).items():
            assert figure == pytest.approx(evaluation.metrics[name].value, rel=1e-9, abs=1e-12), name
        if not self.ordered:
            return
        turned = self.evaluate(order, 0)
        for name, metric in evaluation.metrics.items():
            assert turned.metrics[name].value == pytest.approx(metric.value, rel=1e-6, abs=1e-9), name
        np.testing.assert_allclose(items_of(turned).right(), items.right()[order], rtol=1e-6)


def items_of(evaluation: Evaluation) -> Items:
    """The items of an evaluation that has them."""
    assert evaluation.items is not None
    return evaluation.items()


def figure_value(figure: ItemFigure) -> float:
    """The figure over all its items."""
    if isinstance(figure, Mean):
        return float(np.nanmean(figure.values))
    if isinstance(figure, Total):
        return float(figure.figure(figure.rows.sum(axis=0)))
    return float(figure.figure(figure.records))


def _taken(figures: Mapping[str, ItemFigure], order: Int64) -> dict[str, float]:
    """The figures over the items in another order."""
    found = {}
    for name, figure in figures.items():
        if isinstance(figure, Mean):
            found[name] = float(np.nanmean(figure.values[order]))
        elif isinstance(figure, Total):
            found[name] = float(figure.figure(figure.rows[order].sum(axis=0)))
        else:
            found[name] = float(figure.figure([figure.records[at] for at in order.tolist()]))
    return found


def _total(figure: ItemFigure) -> Float64:
    assert isinstance(figure, Total)
    return figure.rows
