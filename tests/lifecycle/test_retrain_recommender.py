"""A real recommender's retraining, in this process and as tasks of Ray: the same model, byte for byte."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from shared.lifecycle.engines import open_engine
from shared.lifecycle.history import outcomes
from shared.lifecycle.pipeline import Places, run
from shared.lifecycle.plan import Plan, plan_of
from shared.lifecycle.records import Records
from shared.lifecycle.registry import registry

for name in ("cryptography", "mlflow"):
    pytest.importorskip(name, reason="needs the extra lifecycle")


def ratings(path: Path, *, worlds: int) -> None:
    """People of so many tastes, who like the items of theirs."""
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user", "item"))
        for user in range(240):
            taste = user % worlds
            for item in rng.permutation(20)[:9].tolist():
                writer.writerow((f"u{user}", f"i{taste}-{item}"))


def plan(base: Path, algorithm: str) -> Plan:
    gate = {"figures": {"ndcg@5": {"need": "not worse", "margin": 0.05}}, "licence": {"allowed": ["CC0-1.0"]}}
    return plan_of(
        {
            "task": "recsys.collaborative",
            "name": "films",
            "runs": "runs",
            "data": {"source": "ratings.csv"},
            "split": {"test": 0.3, "key": ["user", "item"]},
            "train": {"algorithm": algorithm, "licence": "CC0-1.0", "threads": 1},
            "evaluate": {"split": "none", "k": "5", "threads": 1},
            "gate": gate,
        },
        base=base,
    )


def test_a_recommender_takes_the_place_of_a_lesser_one_and_keeps_it(store: Path, tmp_path: Path) -> None:
    ratings(tmp_path / "ratings.csv", worlds=4)
    places = Places(registry(), Records())
    assert run(plan(tmp_path, "popularity"), places).state == "promoted"
    assert run(plan(tmp_path, "item_knn"), places).state == "promoted"
    back = run(plan(tmp_path, "popularity"), places)
    assert (back.state, registry().find("films@champion").number) == ("refused", 2)
    assert "ndcg@5 may be worse by 0.05 at most" in back.reasons[0]


@pytest.mark.cluster
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install 'triptych[cluster]'")
def test_ray_trains_the_same_model(empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    digests = []
    for engine in ("local", "ray"):
        (tmp_path / engine).mkdir()
        ratings(tmp_path / engine / "ratings.csv", worlds=4)
        with open_engine(engine) as opened:
            places = Places(registry(tmp_path / engine / "registry"), Records(tmp_path / engine / "r"), engine=opened)
            row = run(plan(tmp_path / engine, "item_knn"), places)
        assert row.state == "promoted"
        done = outcomes(row.folder)
        digests.append((done["train"]["outcome"]["digest"], done["evaluate"]["outcome"]))
    assert digests[0] == digests[1]
