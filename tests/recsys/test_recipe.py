"""Groups of people, the hybrid by one name, and its task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.collaborative.ease import fit_ease
from recsys.collaborative.popularity import fit_popularity
from recsys.content.tfidf import TfidfConfig, fit_content
from recsys.data import Interactions, from_records
from recsys.features import make_features
from recsys.hybrid.groups import lift_tables, number_groups, person_groups
from recsys.hybrid.members import Fit
from recsys.hybrid.recipe import best_members, fit_hybrid, item_rows
from recsys.hybrid.rerank import RerankConfig, fit_rerank
from recsys.hybrid.task import NAME, TASK, evaluate, train
from recsys.ids import Vocabulary
from recsys.model import Recommender
from recsys.testing import RecommenderContract
from shared.errors import DataError, UnknownNameError, UsageError
from shared.weights import read_model_folder

TWO: dict[str, Fit] = {"popularity": fit_popularity, "ease": fit_ease}


class TestHybridOfGroups(RecommenderContract):
    fold_in_error = None  # groups are known of people, not of histories

    def fit(self, interactions: Interactions) -> Recommender:
        known = make_features("user", interactions.user_ids.ids, {"age": list(range(len(interactions.user_ids)))})
        return fit_hybrid(interactions, RerankConfig(candidates=4, mix=1.0), users=known, members=TWO)


def club(people: int = 80) -> Interactions:
    """Whom a person's history tells nothing of: everybody had the same three, then what their age likes."""
    rng = np.random.default_rng(0)
    rows = []
    for person in range(people):
        own = [f"{'old' if person % 2 else 'new'}{at}" for at in rng.choice(8, 4, replace=False)]
        rows += [(f"p{person:02}", item, 1, at) for at, item in enumerate(["bread", "milk", "salt", *own])]
    return from_records(rows)


def ages(people: int = 80) -> dict[str, list[Any]]:
    return {"age": [70 if person % 2 else 20 for person in range(people)]}


def known(people: int = 80) -> recsys.Features:
    return make_features("user", [f"p{person:02}" for person in range(people)], ages(people))


@pytest.mark.parametrize(
    ("values", "count", "wanted"),
    [
        ([1, 2, 3, 4], 2, [0, 0, 1, 1]),
        ([5, 5, 5], 3, [1, 1, 1]),
        ([np.nan, 1], 2, [-1, 1]),
        ([np.nan], 2, [-1]),
        ([], 2, []),
    ],
)
def test_numbers_are_cut_at_quantiles(values: list[float], count: int, wanted: list[int]) -> None:
    assert number_groups(np.array(values, dtype=np.float32), count).tolist() == wanted


def test_groups_are_categories_and_cut_numbers_of_known_people() -> None:
    features = make_features("user", ["a", "b", "c", "d"], {"sex": ["f", "m", "f", "m"], "age": [9, 8, 2, 1]})
    groups = person_groups(features, Vocabulary("user", ("d", "x", "a")))
    assert groups[0].tolist() == [1, -1, 0]
    assert groups[1][1] == -1
    assert groups[1][0] < groups[1][2]
    assert person_groups(None, Vocabulary("user", ("d",))).shape == (0, 1)
    with pytest.raises(DataError, match="not one of 1 user ids has features"):
        person_groups(features, Vocabulary("user", ("z",)))


def test_lifts_are_their_formula() -> None:
    whole = from_records([("a", "x"), ("b", "x"), ("b", "y"), ("c", "y"), ("c", "z")])
    table = lift_tables(np.array([[0, 0, -1]], dtype=np.int32), whole.matrix)[0]
    share = 3 / 5
    np.testing.assert_allclose(table[0], np.log([7 / (2 * share + 5), 6 / (2 * share + 5), 5 / (share + 5)]), rtol=1e-6)
    assert table[1].tolist() == [0, 0, 0]


def test_what_is_known_of_people_helps_where_histories_do_not() -> None:
    whole = club()
    rows = np.arange(len(whole))
    users = np.array(whole.user_ids.ids)[whole.users]
    items = np.array(whole.item_ids.ids)[whole.items]
    fresh = np.isin(users, ["p00", "p01"]) & ~np.isin(items, ["bread", "milk", "salt"])
    train_part = whole.take(rows[~fresh])
    config = RerankConfig(candidates=16, mix=0.0)
    informed = fit_rerank(train_part, config, members={"popularity": fit_popularity}, users=known())
    young, old = informed.recommend(["p00", "p01"], k=8)
    assert {str(item)[:3] for item in young.items} == {"new"}
    assert {str(item)[:3] for item in old.items} == {"old"}
    blind = fit_rerank(train_part, config, members={"popularity": fit_popularity})
    same, too = blind.recommend(["p00", "p01"], k=8)
    assert same.items == too.items


def test_somebody_without_a_group_is_answered_by_the_history() -> None:
    model = fit_rerank(club(), RerankConfig(candidates=16), members=TWO, users=known())
    assert len(model.fold_in(["bread", "old1"], k=3).items) == 3


def test_groups_are_saved_and_checked(tmp_path: Path) -> None:
    model = fit_rerank(club(), RerankConfig(candidates=8), members=TWO, users=known())
    model.save(tmp_path / "model")
    assert recsys.load(tmp_path / "model").recommend(["p00", "p01"]) == model.recommend(["p00", "p01"])
    parts = model.user_ids, model.item_ids, model.histories
    for name, wrong, message in (
        ("groups", np.zeros((1, 3), np.int32), "groups must be int32, at least -1 for each user"),
        ("leaders", np.zeros(1, np.float32), r"leaders must be a finite float32 array of shape \(2,\)"),
    ):
        with pytest.raises(DataError, match=message):
            type(model).restore({}, parts, {**model.arrays(), name: wrong})


def test_leaders_are_the_better_half() -> None:
    rng = np.random.default_rng(0)
    whole = from_records(
        [(f"p{p:02}", f"i{i}") for p in range(40) for i in rng.choice(6, 4, replace=False) + 6 * (p % 2)]
    )
    model = fit_rerank(whole, RerankConfig(candidates=8), members=TWO)
    assert model.leaders.tolist() == [0, 1]


def test_mix_only_weighs_the_leaders_in() -> None:
    far = fit_rerank(club(), RerankConfig(candidates=30, mix=1e9), members={"ease": fit_ease})
    ease = fit_ease(club())
    assert far.recommend(["p00"], k=8)[0].items == ease.recommend(["p00"], k=8)[0].items


def test_strangers_get_what_is_popular_of_late(tmp_path: Path) -> None:
    day = 86_400
    old = [(f"a{at}", item, 1, at) for at in range(6) for item in ("radio", "lamp")]
    late = [(f"b{at}", item, 1, 300 * day + at) for at in range(4) for item in ("phone", "lamp")]
    texts: dict[str | int, str] = {"radio": "sound", "lamp": "light", "phone": "sound", "torch": "light"}
    members: dict[str, Fit] = {
        "ease": fit_ease,
        "words": lambda part: fit_content(part, TfidfConfig(max_share=1.0), items=texts),
    }
    always = fit_rerank(from_records([*old, *late]), RerankConfig(candidates=4), members=members)
    lately = fit_rerank(from_records([*old, *late]), RerankConfig(candidates=4, half_life=30.0), members=members)
    assert always.recommend(["stranger"], k=9)[0].items == ("lamp", "radio", "phone", "torch")
    found = lately.recommend(["stranger"], k=9)[0]
    assert found.items == ("lamp", "phone", "radio", "torch")
    np.testing.assert_allclose(found.scores[:2], [4, 4], atol=0.01)
    np.testing.assert_allclose(
        lately.score(["a0"])[0][lately.item_ids.encode(always.item_ids.ids)], always.score(["a0"])[0], rtol=1e-4
    )
    lately.save(tmp_path / "model")
    assert recsys.load(tmp_path / "model").recommend(["stranger", "a1"]) == lately.recommend(["stranger", "a1"])
    with pytest.raises(DataError, match="half_life needs the time"):
        fit_rerank(from_records([("a", "x"), ("b", "x")]), RerankConfig(half_life=1.0), members=TWO)


def test_members_follow_what_is_known() -> None:
    films = make_features("item", ["bread", "milk"], {"kind": ["food", "food"], "price": [1, 2]})
    timed, plain = club(), from_records([("a", "x"), ("b", "x")])
    both = set(best_members(timed, items=films)) - set(best_members(plain))
    assert both == {"ease-time-300", "ease-time-3600", "ease-content"}
    assert item_rows(films).toarray().sum(axis=1).tolist() == [2, 2]
    with pytest.raises(UsageError, match="items must have categories, tags or numbers"):
        item_rows(make_features("item", ["a"], {"title": ["x"]}, kinds={"title": "text"}))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mix": -1.0}, "mix must be at least 0"),
        ({"half_life": -1.0}, "half_life must be"),
        ({"l2": 0.0}, "l2 must be"),
    ],
)
def test_wrong_options_say_so(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RerankConfig(**wrong)  # type: ignore[arg-type]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    whole = club(24)
    rows = zip(whole.users, whole.items, whole.times if whole.times is not None else [])
    lines = [f"{whole.user_ids.ids[u]},{whole.item_ids.ids[i]},1,{t}" for u, i, t in rows]
    (tmp_path / "ratings.csv").write_text("user,item,rating,time\n" + "\n".join(lines) + "\n")
    people = "\n".join(f"p{at:02},{age}" for at, age in enumerate(ages(24)["age"]))
    (tmp_path / "people.csv").write_text(f"user,age\n{people}\n")
    goods = "\n".join(f"{item},{str(item)[:3]}" for item in whole.item_ids.ids)
    (tmp_path / "goods.csv").write_text(f"item,kind\n{goods}\n")
    return {"ratings": tmp_path / "ratings.csv", "out": tmp_path / "model", "folder": tmp_path}


def test_one_command_trains_it_and_another_evaluates_it(files: dict[str, Any]) -> None:
    pytest.importorskip("implicit", reason="ALS needs the extra 'recsys'")
    options: dict[str, Any] = {
        "items": str(files["folder"] / "goods.csv"),
        "users": str(files["folder"] / "people.csv"),
        "folds": 2,
    }
    said = train(files["ratings"], files["out"], candidates=10, **options)
    assert {"ease-content", "ease-time-300", "als-24"} <= set(said["members"])
    assert said["options"]["candidates"] == 10
    assert read_model_folder(files["out"]).task == NAME
    with pytest.raises(UsageError, match="recsys.hybrid has no default model"):
        TASK.open(None)
    model = TASK.open(files["out"])
    answer = model.predict(["p00"])[0]
    assert isinstance(answer, recsys.Recommendations)
    assert len(answer.items) == 10
    found = evaluate(files["ratings"], k=2, candidates=10, **options)
    assert (found.task, found.model, found.n) == (NAME, "rerank", 24)
    held = files["folder"] / "held.csv"
    held.write_text("user,item,rating\np00,old0,4\n")
    assert evaluate(held, model=str(files["out"]), k=3).task == NAME
    with pytest.raises(UnknownNameError, match="no split is called 'randm'"):
        evaluate(files["ratings"], split="randm")
    with pytest.raises(UsageError, match="a saved model was fitted with its own options. Got candidates"):
        evaluate(held, model=str(files["out"]), candidates=3)


def test_the_task_is_named_in_the_project() -> None:
    assert f'"{NAME}" = "recsys.hybrid.task:TASK"' in Path(__file__).parents[2].joinpath("pyproject.toml").read_text()
