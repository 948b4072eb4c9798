from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.content.ease import EaseContentConfig, fit_ease_content
from recsys.content.embeddings import fit_embeddings, join_vectors
from recsys.content.model import ContentConfig, fit_vectors
from recsys.content.tfidf import TfidfConfig, fit_content
from recsys.data import Interactions, from_records
from recsys.model import Recommender
from recsys.testing import COFFEES, TEAS, RecommenderContract, tastes
from shared.errors import DataError, UsageError
from shared.types import Id

NAMES = ["everything", *TEAS, *COFFEES, *(f"no {item}" for item in TEAS + COFFEES)]


def active(interactions: Interactions) -> list[Id]:
    return [interactions.item_ids.ids[code] for code in np.unique(interactions.items)]


def is_tea(item: Id) -> bool:
    return (NAMES[item - 100] if isinstance(item, int) else item) in (*TEAS, "tea")


class TestTfidf(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        texts = {item: f"a {'leaf tea' if is_tea(item) else 'roasted coffee'}" for item in active(interactions)}
        return fit_content(interactions, TfidfConfig(max_share=1), items=texts)


class TestVectors(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        items = active(interactions)
        vectors = np.array([[2, 0.1] if is_tea(item) else [0.1, 3] for item in items], dtype=np.float32)
        return fit_vectors(
            interactions, ContentConfig(popularity_power=0.1), items=items, vectors=vectors.reshape(-1, 2)
        )


TEXTS: dict[Id, str] = {
    "dune": "desert planet spice empire",
    "ubik": "dream reality future",
    "emma": "village marriage letters",
    "foundation": "planet empire future history",  # nobody has read the last two
    "persuasion": "marriage letters navy",
}


def readers() -> Interactions:
    return from_records([("ann", "dune", 5), ("ann", "ubik", 4), ("bob", "emma", 5), ("cat", "dune", 3)])


def test_new_items_are_recommended_by_their_text() -> None:
    model = fit_content(readers(), items=TEXTS)
    assert model.item_ids.ids == ("dune", "emma", "ubik", "foundation", "persuasion")
    assert model.popularity.tolist() == [2, 1, 1, 0, 0]
    assert model.recommend(["ann"], k=1)[0].items == ("foundation",)
    assert model.recommend(["bob"], k=1)[0].items == ("persuasion",)
    assert model.fold_in(["persuasion"], k=1).items == ("emma",)
    assert model.similar_items(["emma"], k=1)[0].items == ("persuasion",)


@pytest.mark.parametrize("power", [0.0, 0.7])
@pytest.mark.parametrize("dense", [False, True])
def test_a_score_is_explained_by_the_history(dense: bool, power: float) -> None:
    config = {"popularity_power": power}
    words = fit_content(readers(), TfidfConfig(**config), items=TEXTS)
    vectors = words.vectors(list(TEXTS))
    made = fit_vectors(readers(), ContentConfig(**config), items=list(TEXTS), vectors=vectors)
    model: Recommender = made if dense else words
    for item, score in zip(model.item_ids.ids, model.score(["ann"])[0]):
        found = recsys.explain(model, "ann", item)
        assert found.score == pytest.approx(score, abs=1e-6)
    found = recsys.explain(model, "ann", "foundation")
    assert found.because == ("dune", "ubik")  # planet and empire against future
    assert found.say() == "because you liked dune, ubik"
    assert recsys.explain_history(model, ["emma"], "dune").say() == "for no reason in your history"


def test_features_are_those_of_scikit_learn() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    model = fit_content(readers(), TfidfConfig(ngrams=2, max_share=0.9), items=TEXTS)
    reader = text.TfidfVectorizer(ngram_range=(1, 2), max_df=0.9, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    wanted = reader.fit_transform([TEXTS[item] for item in model.item_ids.ids]).toarray()
    np.testing.assert_allclose(model.vectors(model.item_ids.ids), wanted, atol=1e-6)
    profile = np.log1p(5) * wanted[0] + np.log1p(4) * wanted[2]
    np.testing.assert_allclose(model.score(["ann"])[0], wanted @ profile / np.linalg.norm(profile), atol=1e-6)


def test_items_can_be_added_without_a_fit(tmp_path: Path) -> None:
    first = {item: text for item, text in TEXTS.items() if item != "persuasion"}
    model = fit_content(readers(), items=first | {"navy": "letters navy"})
    model.save(tmp_path / "model")
    loaded = recsys.load(tmp_path / "model")
    assert isinstance(loaded, recsys.content.tfidf.TfidfContent)
    wider = loaded.add_items({"persuasion": TEXTS["persuasion"], "ubik": "village marriage"})
    assert wider.item_ids.ids[-1] == "persuasion"
    assert set(wider.recommend(["bob"], k=2)[0].items) == {"persuasion", "ubik"}
    np.testing.assert_allclose(wider.vectors(["dune"]), model.vectors(["dune"]))
    assert wider.recommend(["stranger"])[0].items[0] == "dune"


def test_an_item_without_text_is_like_nothing() -> None:
    model = fit_content(readers(), items={item: text for item, text in TEXTS.items() if item != "ubik"})
    assert model.score(["ann"])[0, model.item_ids.code("ubik")] == 0
    assert model.similar_items(["ubik"])[0].items == ()
    assert "ubik" not in model.similar_items(["dune"])[0].items


def test_popular_items_can_be_preferred() -> None:
    items = ["dune", "emma", "ubik"]
    alike = np.ones((3, 2), dtype=np.float32)
    model = fit_vectors(readers(), ContentConfig(popularity_power=1), items=items, vectors=alike)
    np.testing.assert_allclose(model.score(["bob"])[0], [3, 2, 2], rtol=1e-6)


def encode(inputs: list[Any]) -> list[np.ndarray]:
    return [np.array([len(one), one.count("a"), one.count("e")], dtype=np.float32) for one in inputs]


def test_text_and_pictures_share_the_likeness() -> None:
    rng = np.random.default_rng(0)
    words, looks = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(3, 5)).astype(np.float32)
    joined = join_vectors(list("abcd"), [(list("abcd"), words, 0.75), (list("abc"), looks, 0.25)])
    assert joined.shape == (4, 8)

    def unit(rows: np.ndarray) -> np.ndarray:
        centred = rows - rows.mean(axis=0)
        return centred / np.linalg.norm(centred, axis=1, keepdims=True)

    w, p = unit(words), unit(looks)
    np.testing.assert_allclose(joined[0] @ joined[1], 0.75 * w[0] @ w[1] + 0.25 * p[0] @ p[1], atol=1e-6)
    np.testing.assert_allclose(joined[0] @ joined[3], 0.75 * w[0] @ w[3], atol=1e-6)


def test_encoders_come_in_as_functions() -> None:
    texts: dict[Id, str] = {"dune": "aaaa", "ubik": "aaa", "emma": "eeee", "new": "eee"}
    model = fit_embeddings(readers(), items=texts, encode=encode)
    assert model.recommend(["bob"], k=1)[0].items == ("new",)
    pictured = fit_embeddings(
        readers(),
        items=texts,
        encode=encode,
        pictures={"emma": "eeeeee", "ubik": "eeeee", "dune": "a"},
        encode_pictures=encode,
        picture_share=1.0,
    )
    assert pictured.recommend(["bob"], k=1)[0].items == ("ubik",)


@pytest.mark.parametrize("name", ["features.data", "idf", "term.ends"])
def test_a_saved_model_that_lacks_something(name: str) -> None:
    model = fit_content(readers(), items=TEXTS)
    arrays = {key: array for key, array in model.arrays().items() if key != name}
    parts = (model.user_ids, model.item_ids, model.histories)
    with pytest.raises(DataError, match="must have"):
        type(model).restore({}, parts, arrays)


def test_wrong_arguments_say_so() -> None:
    with pytest.raises(UsageError, match="a row for each of the 1 items"):
        fit_vectors(readers(), items=["dune"], vectors=np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(DataError, match="item ids must be all str or all int"):
        fit_content(readers(), items={1: "tea"})
    with pytest.raises(DataError, match="must leave terms"):
        fit_content(readers(), items={"dune": "..."})
    with pytest.raises(UsageError, match="belong together"):
        fit_embeddings(readers(), items=TEXTS, encode=encode, pictures={"dune": "x"})
    with pytest.raises(UsageError, match="a vector for each of the 5 inputs"):
        fit_embeddings(readers(), items=TEXTS, encode=lambda texts: [1.0])
    for wrong, message in (
        ({"ngrams": 4}, "ngrams must be"),
        ({"min_items": 0}, "min_items"),
        ({"max_share": 0}, "max_share"),
        ({"popularity_power": 2}, "popularity_power"),
        ({"weighting": "odd"}, "weighting must be"),
    ):
        with pytest.raises(UsageError, match=message):
            TfidfConfig(**wrong)  # type: ignore[arg-type]


def kinds(interactions: Interactions) -> tuple[list[Id], np.ndarray]:
    items = active(interactions)
    return items, np.array([[1, 0] if is_tea(item) else [0, 1] for item in items], dtype=np.float32)


class TestEaseContent(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        items, features = kinds(interactions)
        return fit_ease_content(interactions, items=items, features=features.reshape(-1, 2))


@pytest.mark.parametrize("dropout", [0.0, 0.9])
def test_ease_without_content_is_ease(dropout: float) -> None:
    items, features = kinds(tastes())
    config = EaseContentConfig(content=0, dropout=dropout)
    model = fit_ease_content(tastes(), config, items=items, features=features)
    plain = recsys.fit_ease(tastes(), recsys.EaseConfig(dropout=dropout))
    np.testing.assert_allclose(model.weights, plain.weights, atol=1e-6)


def test_ease_with_content_is_its_closed_form() -> None:
    config = EaseContentConfig(weighting="binary", activity_power=0, popularity_power=0, l2=0.7, content=2.0)
    items = list(TEXTS)
    features = np.eye(5, 3, dtype=np.float32)
    model = fit_ease_content(readers(), config, items=items, features=features)
    x = (model.histories.toarray() > 0).astype(float)
    f = features[[items.index(str(item)) for item in model.item_ids.ids]].T
    p = np.linalg.inv(x.T @ x + 2 * f.T @ f + 0.7 * np.eye(5))
    np.testing.assert_allclose(model.weights, np.eye(5) - p / np.diag(p), atol=1e-6)


def test_new_items_draw_on_what_they_share() -> None:
    features = np.array([[1, 0], [0, 1], [0.7, 0.7], [1, 0], [0, 1]], dtype=np.float32)
    model = fit_ease_content(readers(), items=["dune", "emma", "ubik", "foundation", "persuasion"], features=features)
    assert model.fold_in(["emma"], k=1).items == ("persuasion",)
    with pytest.raises(UsageError, match="a row for each of the 1 items"):
        fit_ease_content(readers(), items=["dune"], features=features)
    with pytest.raises(UsageError, match="content must be at least 0"):
        EaseContentConfig(content=-1)
