"""Real tasks over tiny models: streams, recommenders, and schemas that hold for every installed task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import serving_toy
import tiny_qa
import tiny_translator

import nlp
import recsys
from nlp.translation.streaming import joined, parts
from nlp.types import Translation
from recsys.testing import tastes
from shared.serving import Config, ServedModel
from shared.serving.result_schema import result_schema, result_type
from shared.tasks import find_task, task_names

TEXT = "Good bread.  Good water!\n\nWhy?"
USER = "no mocha"
CONTEXT = "the river is long . " * 12 + "bern"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("model")
    recsys.fit_item_knn(tastes(), rng=np.random.default_rng(0)).save(folder)
    models = (
        ServedModel("nlp.translation", str(tiny_translator.english_german()), options={"source": "en", "target": "de"}),
        ServedModel("nlp.qa", str(tiny_qa.reader_folder())),
        ServedModel("recsys.collaborative", str(folder), options={"k": 2}, request_options=("k",)),
    )
    patch = pytest.MonkeyPatch()
    patch.setattr(serving_toy, "find", find_task)
    with serving_toy.running(Config(models=models, threads=1)) as served, served.client() as found:
        assert served.service.ready, served.log.getvalue()
        yield found
    patch.undo()


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    pairs = (block.split("\n") for block in text.strip().split("\n\n"))
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


def test_a_translation_comes_sentence_by_sentence(client: httpx.Client) -> None:
    whole = client.post("/v1/tasks/nlp.translation", json={"item": TEXT}).json()["result"]
    found = events(client.post("/v1/tasks/nlp.translation/stream", json={"item": TEXT}).text)
    said = [data for name, data in found if name == "part"]
    assert len(said) == len(whole["sentences"]) > 1
    assert "".join(part["text"] for part in said) == whole["text"]
    places = [(one["start"], one["end"]) for part in said for one in part["sentences"]]
    assert places == [(one["start"], one["end"]) for one in whole["sentences"]]
    assert found[-1][0] == "done"
    together = joined([Translation.from_json(part) for part in said]).to_json()
    assert {**together, "score": whole["score"]} == whole


def test_answers_come_while_the_context_is_read(client: httpx.Client) -> None:
    item = {"question": "long ?", "context": CONTEXT}
    whole = client.post("/v1/tasks/nlp.qa", json={"item": item}).json()["result"]
    found = events(client.post("/v1/tasks/nlp.qa/stream", json={"item": item}).text)
    parts = [data for name, data in found if name == "part"]
    assert len(parts) > 1
    assert parts[-1] == whole


def test_a_recommender_takes_a_user_or_a_history(client: httpx.Client) -> None:
    def ask(item: Any, **more: Any) -> dict[str, Any]:
        answer = client.post("/v1/tasks/recsys.collaborative", json={"item": item, **more})
        found: dict[str, Any] = answer.json()["result"]
        return found

    data = tastes()
    known, stranger = ask(USER), ask("nobody")
    assert (known["user"], len(known["items"])) == ("no mocha", 2)
    assert known["reason"].startswith("personal")
    assert stranger["reason"].startswith("popular")
    assert ask({"history": [str(data.item_ids.ids[0])]})["reason"].startswith("fold-in")
    assert len(ask(USER, options={"k": 1})["items"]) == 1


@pytest.mark.parametrize("name", task_names())
def test_every_task_says_what_it_answers(name: str) -> None:
    kind = result_type(find_task(name))
    assert kind is not None
    named: dict[str, Any] = {}
    assert result_schema(kind, named) == {"$ref": f"#/components/schemas/{kind.__name__}"}
    assert named[kind.__name__]["properties"]["type"] == {"const": kind.__name__}
    assert all(schema for one in named.values() for schema in one["properties"].values())


def test_parts_of_a_text_without_words_are_the_text() -> None:
    translator = nlp.translator(tiny_translator.english_german(), source="en", target="de", threads=1)
    assert [one.text for one in parts(translator, "1, 2")] == ["1, 2"]


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from shared.cli.serve import command
    from shared.errors import UsageError

    for words, message in (
        ([], "say what to serve"),
        (["nlp.ner="], "must be TASK or TASK=MODEL"),
        (["nlp.ner", "--rate", "5/y"], "must be like 50/s"),
    ):
        outcome = CliRunner().invoke(command, words)
        assert isinstance(outcome.exception, UsageError)
        assert message in str(outcome.exception)
