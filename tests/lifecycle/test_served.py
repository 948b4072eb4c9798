"""A model served by its alias: a promotion and a rollback are seen after a reload, without a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import serving_toy
from lifecycle_toys import toy_model
from serving_toy import Yell, running

from shared.lifecycle.registry import registry
from shared.predictor import Pipeline
from shared.serving import Config, ServedModel
from shared.tasks import Option, Task
from shared.weights import resolve

KEY = "k" * 32


def open_fake(model: str | None, *, device: str, threads: int | None, tone: str = "") -> Pipeline[str, str, str, Yell]:
    opened = resolve(model, task="test.fake")
    said = opened.files["weights.bin"].read_text()
    return Pipeline(opened.card, str, list, lambda raw, mid: Yell(said + tone))


FAKE = Task("test.fake", "says its weights", "text", open_fake, options=(Option("tone", str, "", "what is added"),))


def test_a_rollback_is_seen_after_a_reload(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(serving_toy.TASKS, "test.fake", FAKE)
    there = registry()
    for number in (1, 2):
        there.register(toy_model(tmp_path / f"m{number}", b"model %d" % number), name="toy")
    there.alias("toy", "champion", 1)
    keys = tmp_path / "keys"
    keys.write_text(f"boss {KEY} admin\n")
    served_as = ServedModel("test.fake", "registry:toy@champion", request_options=("tone",))
    config = Config(models=(served_as, ServedModel("test.fake", "registry:toy/2", "2")), api_key_file=str(keys))
    with running(config) as served, served.client(headers={"x-api-key": KEY}) as client:

        def says(**body: Any) -> str:
            found = client.post("/v1/tasks/test.fake", json={"item": "?", **body}).json()
            return str(found["result"]["text"])

        def reloaded(version: str = "1") -> str:
            row = client.post(f"/v1/models/test.fake/{version}/reload").json()
            return str(row["source"])

        before = served.service.registry.find("test.fake", "1")
        assert (says(), says(model="2")) == ("model 1", "model 2")
        assert reloaded() == "registry:toy/1"
        assert served.service.registry.find("test.fake", "1") is before, "where nothing moved nothing is opened"

        there.alias("toy", "champion", 2)
        assert says() == "model 1", "until somebody says so, what is served stays"
        assert says(options={"tone": "!"}) == "model 1!", "a variant is of the version that is served"
        assert reloaded() == "registry:toy/2"
        assert (says(), says(options={"tone": "!"})) == ("model 2", "model 2!")
        assert client.get("/v1/models").json()["models"][0]["source"] == "registry:toy/2"

        there.rollback("toy")
        assert reloaded() == "registry:toy/1"
        assert says() == "model 1"

        there.unalias("toy", "champion")
        there.remove(there.find("toy/1"))
        gone = client.post("/v1/models/test.fake/1/reload").json()
        assert "no alias of toy is called 'champion'" in gone["error"]["message"]
        assert says() == "model 1", "what cannot be reloaded stays"
        assert client.post("/v1/models/test.fake/9/reload").status_code == 404
