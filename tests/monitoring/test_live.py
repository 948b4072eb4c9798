"""Monitoring of what is served: the recorder's thread, and a server with it on."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serving_toy
from serving_toy import GATE, Yell, running

from shared.errors import DataError, InputError
from shared.monitoring import recorder as recording
from shared.monitoring.checking import Check
from shared.monitoring.log import PredictionLog
from shared.monitoring.log_reading import profile_log, read_texts
from shared.monitoring.profile import Profile, ProfileBuilder
from shared.monitoring.profile_files import save_profile
from shared.monitoring.recorder import Prediction, Recorder, Windows
from shared.monitoring.settings import Monitoring
from shared.monitoring.signals import Observed
from shared.serving import Config, ServedModel
from shared.serving.config_file import parse_config
from shared.serving.server import config_from_json, config_to_json


def observe(item: Any, result: Any, *, predictor: Any = None) -> Observed:
    if item == "gone":
        raise InputError("not-found", "the item is gone")
    if item == "broken":
        raise RuntimeError("a fault of the observer")
    return Observed({"length": float(len(item))}, {"first": item[0]}, confidence=0.5, label=result.text)


def prediction(text: str, n: int = 0) -> Prediction:
    return Prediction(f"request {n}", text, Yell(text.upper()), None, None, "m", "1", time=float(n))


def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_rows_reach_the_log_and_faults_reach_nobody(tmp_path: Path) -> None:
    said: list[str] = []
    counts: Counter[str] = Counter()
    log = PredictionLog(tmp_path, "a.task").__enter__()
    recorder = Recorder(
        "a.task", observe, rate=1.0, log=log, counted=lambda o: counts.update([o]), said=said.append, share=1.0
    )
    for n, text in enumerate(["one", "broken", "three", "gone"]):
        recorder.offer(prediction(text, n))
    recorder.offer(Prediction("request 9", None, None, "corrupt", None, "m", "1"))
    recorder.close()
    found = profile_log(tmp_path, rng=np.random.default_rng(0))
    assert (found.n, found.failed) == (3, 1)
    assert found.numbers["length"].mean == 4
    assert counts == {"logged": 4, "unobserved": 1}
    assert "a fault of the observer" in said[0]
    assert not list(tmp_path.glob("*.lock"))


def test_a_full_queue_leaves_out_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()
    monkeypatch.setattr(recording, "HELD", 1000)
    waiting = [True]

    def slow(item: Any, result: Any, *, predictor: Any = None) -> Observed:
        until(lambda: not waiting[0])
        return Observed()

    recorder = Recorder("a.task", slow, rate=1.0, counted=lambda o: counts.update([o]))
    began = time.monotonic()
    recorder.offer(prediction("x" * 900))
    recorder.offer(prediction("y" * 900))
    for _ in range(2 * recording.WAITING):
        recorder.offer(prediction(""))
    assert time.monotonic() - began < 30  # or it waited for the observer
    assert counts["dropped"] >= 1 + recording.WAITING - recording._TOGETHER
    waiting[0] = False
    recorder.close()
    assert counts["logged"] + counts["dropped"] == 2 + 2 * recording.WAITING


def reference(word: str = "word") -> Profile:
    builder = ProfileBuilder("toy.shouts", np.random.default_rng(0))
    rng = np.random.default_rng(1)
    builder.add(observe("a" * int(n), Yell(word)) for n in rng.integers(3, 9, 500))
    return builder.done()


def test_a_window_is_checked_when_it_is_full() -> None:
    heard: list[tuple[Check, str]] = []
    windows = Windows(reference(), 60, lambda check, version: heard.append((check, version)))
    recorder = Recorder("toy.shouts", observe, rate=1.0, windows=windows, share=1.0)
    for n in range(130):
        recorder.offer(prediction("a" * 40, n))
    recorder.close()
    assert [(found.window["items"], version, found.alarm) for found, version in heard] == [(60, "1", True)] * 2
    assert heard[0][0].window["first"] == 0.0
    assert heard[1][0].window["last"] == 119.0


@pytest.fixture
def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("toy.shouts", "toy.colours"):
        monkeypatch.setitem(serving_toy.TASKS, name, dataclasses.replace(serving_toy.TASKS[name], observe=observe))


@pytest.mark.usefixtures("_watched")
def test_a_server_logs_what_it_answers_and_tells_of_windows(tmp_path: Path) -> None:
    save_profile(reference(), tmp_path / "reference")
    monitoring = Monitoring(str(tmp_path / "log"), rate=1.0, profile=str(tmp_path / "reference"), window=60)
    config = Config((ServedModel("toy.shouts"),), monitoring={"toy.shouts": monitoring})
    with running(config) as server, server.client() as client:
        for n in range(30):
            assert client.post("/v1/tasks/toy.shouts", json={"item": "a" * (n + 20)}).status_code == 200
        assert client.post("/v1/tasks/toy.shouts", json={"item": "bad"}).status_code == 422
        some = client.post("/v1/tasks/toy.shouts/batch", json={"items": ["aaa", "bad", *["a" * 50] * 29]})
        assert some.status_code == 200
        for line in (  # a thread beside the server tells of both, when it has come so far
            'triptych_monitoring_alarm{task="toy.shouts",version="1"} 1.0',
            'triptych_monitored_items_total{outcome="logged",task="toy.shouts"} 62.0',
        ):
            until(lambda line=line: line in client.get("/metrics").text)  # type: ignore[misc]
    assert '"event":"window"' in server.log.getvalue()
    found = profile_log(tmp_path / "log", rng=np.random.default_rng(0))
    assert (found.n, found.failed) == (60, 2)
    assert found.columns.categories["first"] == {"a": 60}
    assert not list(read_texts(tmp_path / "log"))


def spelt(predictor: Any, text: str) -> Iterator[Yell]:
    """A letter at a time; before "_" until the client has gone."""
    for letter in text:
        if letter == "_" and not GATE.wait(20):
            raise TimeoutError("nobody opened the gate")
        yield from serving_toy.letters(predictor, letter)


def word(parts: Sequence[Yell]) -> Yell:
    return Yell("".join(part.text for part in parts))


@pytest.mark.parametrize("tools", [{"parts": spelt}, {"parts": spelt, "joined": word}], ids=["last", "joined"])
def test_a_stream_is_logged_at_its_end_whoever_ended_it(
    tools: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = dataclasses.replace(serving_toy.TASKS["toy.letters"], observe=observe, tools=tools)
    monkeypatch.setitem(serving_toy.TASKS, "toy.letters", row)
    config = Config((ServedModel("toy.letters"),), monitoring={"toy.letters": Monitoring(str(tmp_path), rate=1.0)})
    path = "/v1/tasks/toy.letters/stream"
    with running(config) as server, server.client() as client:
        assert '"parts":3' in client.post(path, json={"item": "abc"}).text
        assert "unsupported" in client.post(path, json={"item": "de1"}).text
        assert client.post(path, json={"item": "1"}).status_code == 422
        with client.stream("POST", path, json={"item": "xy_z"}) as answer:
            heard = ""
            for text in answer.iter_text():
                heard += text
                if '"Y"' in heard:
                    break
        logged = 'triptych_monitored_items_total{outcome="logged",task="toy.letters"} 4.0'
        until(lambda: logged in client.get("/metrics").text)
    found = profile_log(tmp_path, rng=np.random.default_rng(0))
    assert (found.n, found.failed) == (2, 2)
    assert found.columns.categories["label"] == ({"ABC": 1, "XY": 1} if "joined" in tools else {"C": 1, "Y": 1})
    assert found.columns.categories["first"] == {"a": 1, "x": 1}


@pytest.mark.usefixtures("_watched")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "nowhere"}, "must be the folder of a profile"),
        ({"log": "log", "inputs": True}, "tasks of texts alone"),
    ],
)
def test_a_server_does_not_start_with_monitoring_that_cannot_be(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config((ServedModel("toy.colours"),), monitoring={"toy.colours": Monitoring(**options)})
    with running(config) as server:
        assert message in str(server.service.failure)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("", "a log, a profile, or both"),
        ('log = "l"\nrat = 1', "Nearest: rate"),
        ('log = "l"\nrate = 2', "a rate in"),
        ('log = "l"\nwindow = 3', "window of at least 50"),
        ('log = "l"\ndays = 0', "days and megabytes"),
        ('log = "l"\nrules = "r"', "rules without one"),
        ('profile = "p"\ninputs = true', "inputs are kept in a log"),
        ("log = 3", "log must be a str"),
    ],
)
def test_the_table_is_checked(row: str, message: str) -> None:
    text = f'[[models]]\ntask = "toy.shouts"\n[monitoring."toy.shouts"]\n{row}'
    with pytest.raises(DataError, match=message):
        parse_config(text)


def test_the_table_reaches_worker_processes() -> None:
    text = '[[models]]\ntask = "nlp.ner"\n[monitoring."nlp.ner"]\nlog = "l"\nrate = 0.5'
    config = parse_config(text)
    assert config.monitoring["nlp.ner"] == Monitoring("l", rate=0.5)
    assert config_from_json(config_to_json(config)) == config
    with pytest.raises(DataError, match="monitoring needs models of its task"):
        parse_config(text.replace('[monitoring."nlp.ner"]', '[monitoring."nlp.qa"]'))
