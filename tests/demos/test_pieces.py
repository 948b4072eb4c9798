"""What the pages are made of, without a server."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

import gradio as gr

from demos.app import JOBS
from demos.choosing import Choice
from demos.examples import CLASSIFY, DETECT, pictures
from demos.home import model_row
from demos.models import OWN_LABELS_KEPT, OwnLabels, declare
from demos.opening import Model
from demos.pages import model_line, plain_errors, refusal
from demos.pictures import chosen
from demos.speed import measured
from demos.tables import Cell, table
from shared.catalogue import ModelFile
from shared.errors import TriptychError, WeightsError
from shared.testing import fake_card


def test_many_visitors_open_a_model_once() -> None:
    opened: list[int] = []

    def slow() -> str:
        time.sleep(0.05)
        opened.append(1)
        return "model"

    model = Model("Test", fake_card(), slow)
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(model.get(str))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["model"] * 8
    assert opened == [1]


def test_a_model_that_could_not_be_had_is_tried_again() -> None:
    answers: list[str | TriptychError] = [WeightsError("the index did not answer"), "model"]

    def flaky() -> str:
        answer = answers.pop(0)
        if isinstance(answer, TriptychError):
            raise answer
        return answer

    model = Model("Test", fake_card(), flaky)
    with pytest.raises(WeightsError, match="did not answer"):
        model.get(str)
    assert not model.opened
    assert model.get(str) == "model"


def test_a_first_use_says_what_it_waits_for(empty_home: Path) -> None:
    def one(model: Model[Any]) -> Choice[Any]:
        return Choice({model.card.name: model})

    missing = ModelFile("graph.onnx", 14_246_826, "0" * 64, ("https://models.example/graph.onnx",))
    said: list[str] = []
    model = Model("Test", fake_card(name="net", files=(missing,)), lambda: "model")
    model.get(said.append)
    model.get(said.append)
    assert said == ["Fetching net (14.2 MB), once"]


@pytest.mark.parametrize(
    ("offline", "where", "now"),
    [("", "would be fetched from its publisher", "opens at first use"), ("1", "not here", "not available")],
)
def test_home_tells_where_a_model_would_come_from(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, offline: str, where: str, now: str
) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", offline)

    def one(model: Model[Any]) -> Choice[Any]:
        return Choice({model.card.name: model})

    missing = ModelFile("graph.onnx", 14_246_826, "0" * 64, ("https://models.example/graph.onnx",))
    row = model_row(fake_card(name="net", files=(missing,)), "Test", opened=False)
    assert [cell.text for cell in row] == ["net", "Test", "Apache-2.0", "14.2 MB", where, now]
    built = model_row(fake_card(name="own"), "Test", opened=True, built="fitted")
    assert [cell.text for cell in built] == ["own", "Test", "Apache-2.0", "—", "built here", "loaded"]


def test_visitors_labels_are_kept_within_bounds() -> None:
    own = OwnLabels(fake_card())
    first = own.model(("a", "b"))
    assert own.model(("a", "b")) is first
    for number in range(OWN_LABELS_KEPT):
        own.model(("a", str(number)))
    assert own.model(("a", "b")) is not first
    assert not own.opened


def test_tables_escape_what_they_show() -> None:
    shown = table(
        "<c>", ["<a>", "b", "c"], [["<script>", Cell("x", soft="<i>", href='"><u>'), Cell("1", tag="number")]]
    )
    for raw in ("<c>", "<a>", "<script>", "<i>", "<u>"):
        assert raw not in shown
    assert 'data-label="c"' in shown


def test_a_message_is_escaped_and_has_no_traceback() -> None:
    error = refusal("<img src=x onerror=alert(1)>'s name")
    assert error.message == "&lt;img src=x onerror=alert(1)&gt;'s name"
    assert not error.print_exception


def test_only_errors_of_ours_become_messages() -> None:
    with pytest.raises(gr.Error, match="plain words"), plain_errors():
        raise WeightsError("plain words")
    with pytest.raises(ZeroDivisionError), plain_errors():
        raise ZeroDivisionError


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def test_a_picture_has_the_visitors_name(uploads: Path) -> None:
    path = uploads / "f3a9.jpg"
    path.touch()
    picture = chosen({"path": str(path), "orig_name": "holiday.jpg"})
    assert picture is not None
    assert picture.plain(f"{path} is truncated") == "holiday.jpg is truncated"
    assert chosen(None) is None


@pytest.mark.parametrize("path", [None, "", "/etc/passwd", "uploads/../../secret.jpg", "http://models.example/a.jpg"])
def test_only_uploads_are_read(uploads: Path, path: str | None) -> None:
    with pytest.raises(gr.Error, match="must be an uploaded file"):
        chosen({"path": path})


def test_an_upload_that_was_deleted_says_so(uploads: Path) -> None:
    with pytest.raises(gr.Error, match="deleted meanwhile"):
        chosen({"path": str(uploads / "gone.jpg")})


def test_examples_are_found_where_they_are_installed() -> None:
    found = pictures(CLASSIFY)
    assert len(found) >= 2
    assert all(Path(path).is_file() for path in found)
    assert pictures(DETECT)


def test_speed_is_measured_on_what_is_here_and_nothing_is_fetched(empty_home: Path) -> None:
    class Opened:
        def predict(self, items: list[object]) -> list[object]:
            return items

        def fold_in(self, history: list[str], k: int) -> list[str]:
            return history[:k]

    def fake(job: str) -> Model[Any]:
        return Model(job, fake_card(name=job.lower()), Opened)

    def one(model: Model[Any]) -> Choice[Any]:
        return Choice({model.card.name: model})

    missing = ModelFile("graph.onnx", 1, "0" * 64, ("https://models.example/graph.onnx",))
    models = replace(
        declare(),
        classifiers=one(Model("Classify", fake_card(name="net", files=(missing,)), pytest.fail)),
        detectors=one(fake("Detect")),
        segmenters={"all": one(fake("Segment"))},
        faces=fake("Faces"),
        heads={"Spam": one(fake("Text"))},
        recognisers=one(fake("Entities")),
        translators={"zh to en": one(Model("No", fake_card(), pytest.fail)), "en to de": one(fake("Translate"))},
        readers=one(fake("Ask")),
        recommenders={"EASE": fake("Recommend")},
    )
    first, *others = measured(models)
    assert (first.job, first.milliseconds, first.why) == ("Classify", None, "not on this machine")
    own = [job.PAGE.name for job in JOBS if job.PAGE.name not in ("Compare", "Experiments", "Drift")]  # no model
    assert [one.job for one in others] == own[1:]
    assert all(one.milliseconds is not None and one.milliseconds >= 0 for one in others)


def test_a_first_use_of_what_is_here_says_what_it_opens_and_how_large_it_is(tmp_path: Path) -> None:
    said: list[str] = []
    detector = declare().own_labels.card
    Model("Test", detector, lambda: "model", built="").get(said.append)
    assert len(said) == 1
    assert re.fullmatch(r"(Opening|Fetching) minilm-zero-shot \([\d.]+ [kM]B\)(, once)?", said[0])
    assert model_line(detector, fake_card(name="hello")).startswith("Models: **minilm-zero-shot** · Apache-2.0 · ")
