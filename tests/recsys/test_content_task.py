from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import recsys
from recsys.content import catalogue
from recsys.content.catalogue import find_encoder, read_items, read_pictures, read_vectors
from recsys.content.task import NAME, TASK, evaluate, train
from shared.cli.main import triptych
from shared.errors import DataError, UnknownNameError, UsageError
from shared.tasks import Task

RATINGS = "user,item,rating\n7,1,5\n7,2,4\n8,3,5\n8,4,3\n9,1,3\n9,2,5\n"
BOOKS = (
    "id,title,tags\n1,Dune,desert planet\n2,Foundation,planet empire\n"
    "3,Emma,marriage village\n4,Persuasion,marriage\n5,Hyperion,planet pilgrims\n"
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    (tmp_path / "books.csv").write_text(BOOKS)
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 1], [1, 0.1]], dtype=np.float32)
    np.savez(tmp_path / "vectors.npz", ids=np.arange(1, 6), vectors=vectors)
    return {
        name: tmp_path / file
        for name, file in (
            ("ratings", "ratings.csv"),
            ("books", "books.csv"),
            ("vectors", "vectors.npz"),
            ("out", "out"),
        )
    }


@pytest.mark.parametrize("id_type", ["str", "int"])
@pytest.mark.parametrize("kind", ["words", "vectors"])
def test_training_writes_a_model_that_knows_new_items(files: dict[str, Any], id_type: str, kind: str) -> None:
    source = (
        {"items": str(files["books"]), "text": "tags", "max_share": 1.0}
        if kind == "words"
        else {"vectors": str(files["vectors"])}
    )
    report = train(files["ratings"], files["out"], id_type=id_type, **source)
    assert (report["items"], report["new_items"], report["interactions"]) == (5, 1, 6)
    answer = TASK.open(files["out"], k=1).predict(["7"])[0]
    assert [str(item) for item in answer.items] == ["5"]
    assert recsys.load(files["out"]).fold_in(["5"] if id_type == "str" else [5], k=2).items[0] in ("1", "2", 1, 2)


@pytest.mark.parametrize("task", [NAME, "recsys.collaborative"])
def test_the_card_names_this_task_and_older_cards_still_open(files: dict[str, Any], task: str) -> None:
    train(files["ratings"], files["out"], items=str(files["books"]), max_share=1.0)
    card = files["out"] / "card.toml"
    text = card.read_text()
    assert text.count(f'task = "{NAME}"') == 1
    card.write_text(text.replace(NAME, task))
    for verify in (True, False):
        assert recsys.load(files["out"], verify=verify).recommend(["7"], k=1)[0].items == ("5",)
    answer = CliRunner().invoke(triptych, ["recommend", str(files["out"]), "--user", "7", "-k", "1", "--json"])
    assert json.loads(answer.output)["items"] == ["5"]


def test_a_missing_model_is_told_how_to_train_one_of_this_task() -> None:
    told = r"recsys.content has no default model.*'triptych train recsys.content RATINGS"
    with pytest.raises(UsageError, match=told):
        TASK.open(None)


def test_an_encoder_is_found_by_its_task(files: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def embedder(name: str | None, *, threads: int | None) -> Any:
        opened.append((name, threads))
        words = ["planet", "marriage", "village", "empire"]
        return SimpleNamespace(predict=lambda texts: [np.array([t.count(w) for w in words], np.float32) for t in texts])

    fake = Task("nlp.fake", "", "text", embedder, tools={"embedder": embedder})
    monkeypatch.setattr(catalogue, "find_task", {"nlp.fake": fake, NAME: TASK}.__getitem__)
    train(files["ratings"], files["out"], items=str(files["books"]), encoder="nlp.fake:tiny", threads=1)
    assert opened == [("tiny", 1)]
    assert recsys.load(files["out"]).recommend(["7"], k=1)[0].items == ("5",)
    with pytest.raises(UsageError, match="recsys.content offers no 'embedder'"):
        find_encoder(NAME)


def test_the_tasks_of_texts_and_pictures_offer_their_encoders() -> None:
    import nlp
    import vision
    from nlp.classification.task import TASK as TEXT
    from vision.classification.task import TASK as PICTURES

    assert TEXT.tools[catalogue.ENCODER] is nlp.embedder
    assert PICTURES.tools[catalogue.ENCODER] is vision.embedder


@pytest.fixture
def seeing(files: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Encoders that see how bright a picture is and count words, and a folder of pictures."""

    def embedder(name: str | None, *, threads: int | None) -> Any:
        return SimpleNamespace(predict=lambda paths: [np.eye(2)[int(path.read_text() == "dark")] for path in paths])

    def reader(name: str | None, *, threads: int | None) -> Any:
        return SimpleNamespace(predict=lambda texts: [np.array([t.count("planet"), 1.0]) for t in texts])

    tasks = {
        "vision.fake": Task("vision.fake", "", "image", embedder, tools={"embedder": embedder}),
        "nlp.fake": Task("nlp.fake", "", "text", reader, tools={"embedder": reader}),
    }
    monkeypatch.setattr(catalogue, "find_task", tasks.__getitem__)
    pictures = files["ratings"].parent / "pictures"
    pictures.mkdir()
    (pictures / ".hidden").write_text("")
    for item, light in {"1": "light", "2": "light", "3": "dark", "4": "dark", "6": "dark"}.items():
        (pictures / f"{item}.jpg").write_text(light)
    return files | {"pictures": pictures}


def test_pictures_alone_are_content(seeing: dict[str, Any]) -> None:
    report = train(
        seeing["ratings"], seeing["out"], pictures=str(seeing["pictures"]), picture_encoder="vision.fake", threads=1
    )
    assert (report["items"], report["new_items"]) == (5, 1)
    assert recsys.load(seeing["out"]).recommend(["8"], k=1)[0].items == ("6",)


@pytest.mark.parametrize(("share", "alike"), [(0.0, {"2", "5"}), (1.0, {"2"})])
def test_pictures_beside_texts(seeing: dict[str, Any], share: float, alike: set[str]) -> None:
    table = seeing["pictures"].parent / "pictures.csv"
    table.write_text("id,note,picture\n" + "".join(f"{item},x,pictures/{item}.jpg\n" for item in (1, 2, 3, 4)))
    texts = {"items": str(seeing["books"]), "encoder": "nlp.fake"}
    sight = {"pictures": str(table), "picture_encoder": "vision.fake", "picture_share": share}
    train(seeing["ratings"], seeing["out"], **texts, **sight)
    found = recsys.load(seeing["out"]).similar_items(["1"], k=4)[0]
    assert {item for item, score in zip(found.items, found.scores) if score > 0} == alike


def test_pictures_that_are_not_there_say_so(seeing: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Nothing stands at"):
        read_pictures(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="must hold one picture an item. It holds 0 for 0 items"):
        read_pictures(tmp_path / "empty")
    (seeing["pictures"] / "1.png").write_text("light")
    with pytest.raises(DataError, match="It holds 6 for 5 items"):
        read_pictures(seeing["pictures"])
    (tmp_path / "table.csv").write_text("id,picture\n1,gone.jpg\n")
    with pytest.raises(DataError, match="the picture of item '1' must be a file. Nothing stands at .*gone.jpg"):
        read_pictures(tmp_path / "table.csv")


def test_evaluation_fits_on_the_training_part(files: dict[str, Any]) -> None:
    found = evaluate(files["ratings"], items=str(files["books"]), train=0.5, k=2)
    assert (found.task, found.model, found.n) == (NAME, "content_tfidf", 3)
    assert set(found.metrics) == {f"{name}@2" for name in ("ndcg", "precision", "recall", "f1", "map", "mrr", "hit")}
    assert found.notes["train_interactions"] + found.notes["test_interactions"] == 6
    with pytest.raises(UnknownNameError, match="no split is called 'randm'. Nearest: random"):
        evaluate(files["ratings"], items=str(files["books"]), split="randm")


def test_evaluation_of_a_saved_model(files: dict[str, Any], tmp_path: Path) -> None:
    train(files["ratings"], files["out"], items=str(files["books"]), max_share=1.0)
    held = tmp_path / "held.csv"
    held.write_text("user,item,rating\n7,5,4\n")
    found = evaluate(held, model=str(files["out"]), k=1)
    assert (found.task, found.metrics["hit@1"].value) == (NAME, 1.0)
    with pytest.raises(DataError, match="must be new to the model"):
        evaluate(files["ratings"], model=str(files["out"]))


def test_items_of_several_rows_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "tags.tsv"
    path.write_text("item\ttag\n1\tsea\n2\tland\n1\tship\n")
    assert read_items(path) == {"1": "sea ship", "2": "land"}
    with pytest.raises(DataError, match="must have a column 'name'. It has: item, tag"):
        read_items(path, text=["name"])
    path.write_text("item\ttag\n1\n")
    with pytest.raises(DataError, match="line 2: expected 2 fields. Got 1"):
        read_items(path)
    with pytest.raises(UsageError, match="Nothing stands at"):
        read_items(tmp_path / "none.csv")


def test_vectors_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    np.savez(path, ids=np.arange(3), vectors=np.zeros((2, 2)))
    with pytest.raises(DataError, match="a finite vector for each id"):
        read_vectors(path)
    np.savez(path, ids=np.array([object()], dtype=object), vectors=np.zeros((1, 2)))
    with pytest.raises(DataError, match=r"must be an \.npz file"):
        read_vectors(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs to know what items are"),
        ({"items": "books", "vectors": "vectors"}, "needs to know what items are"),
        ({"pictures": "books", "vectors": "vectors"}, "needs to know what items are"),
        ({"items": "books", "pictures": "books"}, "--pictures and --picture-encoder belong together"),
        ({"items": "books", "picture_encoder": "vision.classification"}, "belong together"),
        ({"vectors": "vectors", "ngrams": 2}, "options of words do not fit vectors. Got ngrams"),
        ({"items": "ratings"}, "item of the interactions"),
    ],
)
def test_wrong_options_say_so(files: dict[str, Any], options: dict[str, Any], message: str) -> None:
    given = {key: str(files[value]) if value in files else value for key, value in options.items()}
    with pytest.raises(UsageError, match=message):
        train(files["ratings"], files["out"], **given)
