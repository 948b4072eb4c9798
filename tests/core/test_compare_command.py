"""``triptych compare`` over a task that answers from its options: what is passed on, printed and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from shared.cli import options
from shared.cli.main import triptych
from shared.errors import UsageError
from shared.evaluation.items import Items, Mean
from shared.evaluation.report import Evaluation, Metric
from shared.tasks import Option, Task

SEEN: list[dict[str, Any]] = []


def evaluate(dataset: Path, *, model: str, **rest: Any) -> Evaluation:
    """A model named ``0.7`` is right on that share of the items, and one named ``untold`` does not tell them."""
    SEEN.append({"model": model, **rest})
    n = rest["limit"] or 100
    if model == "untold":
        return Evaluation("test.hits", model, dataset.name, n, 0, {"hit": Metric(0.5, 0.4, 0.6)})
    right = (np.arange(n) < float(model) * n).astype(float)
    items = Items(tuple(map(str, range(n))), {"hit": Mean(right)}, "hit")
    failed = rest["failing"]
    return Evaluation("test.hits", model, dataset.name, n, failed, {"hit": Metric(0.5, 0.4, 0.6)}, items=lambda: items)


TASK = Task(
    "test.hits",
    "hits",
    "text",
    lambda *_, **__: None,  # type: ignore[arg-type,return-value]
    options=(Option("unit", str, "letters", "of one's own"),),
    evaluate=evaluate,
    evaluate_options=(Option("failing", int, 0, "failed items"), Option("against", str, None, "another")),
)


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.clear()
    monkeypatch.setattr(options, "find_task", lambda name: TASK)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(triptych, ["compare", "test.hits", *arguments], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.stdout


def test_both_models_get_the_same_options(tmp_path: Path) -> None:
    arguments = [str(tmp_path), "--models", "0.5", "0.8", "--limit", "50", "--seed", "3", "--unit", "words"]
    code, said = run(*arguments, "--json")
    assert code == 0
    assert [row.pop("model") for row in SEEN] == ["0.5", "0.8"]
    assert SEEN[0] == SEEN[1]
    assert (SEEN[0]["limit"], SEEN[0]["seed"], SEEN[0]["unit"]) == (50, 3, "words")
    assert "against" not in SEEN[0]
    found = json.loads(said)
    assert found["figures"]["hit"]["difference"]["value"] == pytest.approx(0.3)
    assert found["verdict"].startswith("0.8 is better than 0.5: hit +0.3000")
    assert run(*arguments, "--failing", "2")[0] == 1


def test_what_is_refused_before_and_between(tmp_path: Path) -> None:
    models = ["--models", "untold", "0.5"]
    with pytest.raises(UsageError, match=r"must end in .html, .htm, .md, .json"):
        run(str(tmp_path), *models, "--report", str(tmp_path / "r.txt"))
    with pytest.raises(UsageError, match="Nothing stands at"):
        run(str(tmp_path / "none"), *models)
    assert not SEEN
    with pytest.raises(UsageError, match="test.hits must tell what each item says of its figures"):
        run(str(tmp_path), *models)
    assert len(SEEN) == 1  # the second is not evaluated in vain
