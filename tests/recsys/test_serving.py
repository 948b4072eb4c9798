"""Everybody's ranking in one file, and approximate search."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix

from recsys.collaborative.als import Als, AlsConfig
from recsys.collaborative.ease import fit_ease
from recsys.data import from_records
from recsys.ids import Vocabulary
from recsys.model import Recommender
from recsys.serving.ann import approximate
from recsys.serving.bulk import rank_blocks, recommend_all
from recsys.testing import tastes
from shared.errors import DataError, UsageError


@pytest.fixture(scope="module")
def model() -> Recommender:
    return fit_ease(tastes())


def read(path: Path) -> list[dict[str, object]]:
    return pq.ParquetFile(path).read(use_threads=False).to_pylist()


@pytest.mark.parametrize("threads", [1, 3])
def test_the_file_holds_everybodys_ranking(
    model: Recommender, tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.serving.bulk._USERS", 2)
    monkeypatch.setattr("recsys.serving.bulk._ROWS", 5)
    report = recommend_all(model, tmp_path / "new" / "all.parquet", k=3, threads=threads)
    wanted = [
        {"user": answer.user, "item": item, "rank": rank, "score": score}
        for answer in model.recommend(model.user_ids.ids, k=3)
        for rank, (item, score) in enumerate(zip(answer.items, answer.scores.tolist()), 1)
    ]
    found = read(report.path)
    assert [{**row, "score": None} for row in found] == [{**row, "score": None} for row in wanted]
    np.testing.assert_allclose([row["score"] for row in found], [row["score"] for row in wanted], rtol=1e-5)
    assert (report.users, report.rows) == (9, 24)  # "everything" has nothing left
    assert pq.ParquetFile(report.path).num_row_groups == 4
    assert [path.name for path in report.path.parent.iterdir()] == ["all.parquet"]


def test_users_filters_and_whole_number_ids(tmp_path: Path) -> None:
    numbered = fit_ease(tastes(lambda name: sum(map(ord, name)) * 1000 + len(name)))
    user = numbered.user_ids.ids[0]
    allowed = numbered.item_ids.ids[:2]
    path = recommend_all(
        numbered, tmp_path / "a.parquet", k=5, users=[user, 7], exclude_seen=False, among=iter(allowed)
    ).path
    rows = read(path)
    assert [row["user"] for row in rows] == [user, user, 7, 7]
    assert {row["item"] for row in rows} == set(allowed)
    assert [row["rank"] for row in rows] == [1, 2, 1, 2]


def test_ids_of_other_kinds_are_written_as_text(tmp_path: Path) -> None:
    ann, bob = UUID(int=1), UUID(int=2)
    day, night = date(2020, 1, 1), date(2020, 1, 2)
    rows = from_records([(ann, day), (bob, day), (bob, night)])
    heard: list[int] = []
    report = recommend_all(fit_ease(rows), tmp_path / "all.parquet", k=2, heard=heard.append)
    assert [(row["user"], row["item"]) for row in read(report.path)] == [(str(ann), "2020-01-02")]
    assert heard == [2]


def test_a_place_that_cannot_be_written_says_so(model: Recommender, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="all.parquet could not be written: (Not a directory|File exists)"):
        recommend_all(model, tmp_path / "file" / "all.parquet")


def test_nobody_gives_a_file_without_rows(model: Recommender, tmp_path: Path) -> None:
    report = recommend_all(model, tmp_path / "none.parquet", users=[])
    assert report.rows == 0
    assert read(report.path) == []


def test_a_failure_leaves_the_old_file(model: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "all.parquet"
    out.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr("recsys.serving.bulk._write", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        recommend_all(model, out)
    assert out.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]


def test_wrong_arguments_are_refused(model: Recommender, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="k must be"):
        recommend_all(model, tmp_path / "x", k=0)
    with pytest.raises(UsageError, match="users must be a list of ids. Got 'ann' instead"):
        recommend_all(model, tmp_path / "x", users="ann")
    assert not (tmp_path / "x").exists()


def test_ranking_by_blocks_keeps_the_order_and_stops_when_told(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.serving.bulk._USERS", 1)
    users = model.user_ids.ids
    blocks = list(rank_blocks(model, users, 4, threads=2))
    assert [block.start for block, _ in blocks] == list(range(9))
    whole = np.concatenate([ranking.items for _, ranking in blocks])
    np.testing.assert_array_equal(whole, model.rank(users, 4).items)
    next(iter(rank_blocks(model, users, 4, threads=2)))


def random_factors(users: int = 200, items: int = 700) -> Als:
    rng = np.random.default_rng(0)
    lengths = rng.uniform(0.2, 3, size=(items, 1))
    vectors = rng.normal(size=(users, 8)), rng.normal(size=(items, 8)) * lengths
    taken = rng.random((users, items)) < 0.02
    seen = csr_matrix(taken[:, np.argsort(-taken.sum(axis=0))].astype(np.float32))
    names = Vocabulary("user", tuple(f"u{n}" for n in range(users))), Vocabulary("item", tuple(range(items)))
    return Als(AlsConfig(factors=8), *names, seen, *(one.astype(np.float32) for one in vectors))


def test_approximate_search_measures_what_it_finds() -> None:
    pytest.importorskip("usearch", reason="approximate search needs the extra 'recsys'")
    model = random_factors()
    near = approximate(model, k=10, sample=100)
    assert (near.k, near.sampled) == (10, 100)
    assert near.recall > 0.9
    users = [*model.user_ids.ids, "stranger"]
    hits = total = 0
    for found, exact in zip(near.recommend(users), model.recommend(users)):
        assert found.user == exact.user
        assert found.kind == exact.kind
        hits, total = hits + len(set(found.items) & set(exact.items)), total + len(exact.items)
        by_item = dict(zip(exact.items, exact.scores.tolist()))
        for item, score in zip(found.items, found.scores.tolist()):
            assert score == pytest.approx(by_item.get(item, score), rel=1e-4)
    assert hits / total == pytest.approx(near.recall, abs=0.05)
    assert near.recommend(["u0"])[0].reason == "personal: approximate"


def test_little_effort_finds_less_and_says_so() -> None:
    pytest.importorskip("usearch", reason="approximate search needs the extra 'recsys'")
    model = random_factors(items=3000)
    little, much = (approximate(model, sample=50, connectivity=2, effort=effort).recall for effort in (1, 300))
    assert little < much


def test_families_without_factors_are_refused(model: Recommender) -> None:
    with pytest.raises(UsageError, match="needs a vector for each user and item. A ease model has none"):
        approximate(model)
    with pytest.raises(UsageError, match="sample must be at least 1. Got 0 instead"):
        approximate(random_factors(5, 5), sample=0)
