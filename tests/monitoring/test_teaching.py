"""Calibration on items spoilt on purpose, from the command to a check's estimate and its warning."""

from __future__ import annotations

import csv
import dataclasses
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nlp import spoiling as texts
from nlp.types import TextLabels
from shared.cli import monitor_profile
from shared.errors import InputError, UsageError
from shared.monitoring.checking import check
from shared.monitoring.estimate import Calibration
from shared.monitoring.kriging import Shifts, placed
from shared.monitoring.profile_files import load_profile
from shared.monitoring.profiling import Truth, profile_items, profile_source
from shared.monitoring.signals import Observed
from shared.monitoring.teaching import MOST, taught, taught_source
from shared.predictor import Pipeline
from shared.tasks import Task
from shared.testing import fake_card
from vision import spoiling as pictures

RNG = np.random.default_rng(0)


def open_reader(model: str | None, *, device: str, threads: int | None) -> Pipeline[str, str, TextLabels, TextLabels]:
    """Says what letter a text is made of; right as often as it is sure, until dots stand in the text."""

    def run(batch: Any) -> list[TextLabels]:
        found = []
        for text in batch:
            luck, dots = np.random.default_rng(zlib.crc32(text.encode())).random(3), text.count(".") / len(text)
            sure = 0.7 + 0.29 * luck[0] - 0.2 * dots
            right = luck[1] < sure - 0.6 * dots
            truth = "a" if "a" in text else "b"
            said = truth if right else "ba"["ba".index(truth) - 1]
            rest = "b" if said == "a" else "a"
            found.append(TextLabels((said, rest), np.float32([sure, 1 - sure])))
        return found

    return Pipeline(fake_card(name="reader"), str, run, lambda raw, mid: raw)


def observe(item: Any, result: Any, *, predictor: Any = None) -> Observed:
    numbers = {"dots": item.count(".") / len(item), "entropy": 0.3}
    return Observed(numbers, {}, None, float(result.scores[0]), result.labels[0])


def dotted(text: str, rng: np.random.Generator, level: float = 0.0) -> str:
    return "".join("." if k % 20 and rng.random() < level else letter for k, letter in enumerate(text))


def spoilings() -> dict[str, list[Any]]:
    def dots(level: float) -> Any:
        return lambda text, rng: dotted(text, rng, level)

    return {"some": [dots(0.2), dots(0.4)], "many": [dots(0.6), dots(0.8)], "none": [unread]}


def unread(text: str, rng: np.random.Generator) -> str:
    if text.endswith("7"):
        raise InputError("corrupt", "a text must not end so")
    return text + " "


TASK = Task("toy.letters", "letters", "text", open_reader, observe=observe, tools={"spoilt": spoilings})
READER = open_reader(None, device="cpu", threads=1)


def items(seed: int, n: int, level: float = 0.0) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(["a", "b"], n).tolist()
    return [dotted(label * 20 + str(rng.integers(10**9)), rng, level) for label in labels], labels


def test_a_profile_that_was_taught_foretells_a_shift_and_says_what_it_cannot() -> None:
    (texts_, labels), rng = items(0, 1200), np.random.default_rng(0)
    plain = profile_items(TASK, READER, texts_, rng=rng, truth=labels)
    known = taught(TASK, READER, texts_, labels, rng=rng)
    assert known.names.tolist() == ["dots"]
    assert sorted(set(known.shifts.kinds.tolist())) == ["many", "none", "some"]
    reference = dataclasses.replace(plain, calibration=known.arrays())
    shifted, truth = items(1, 1500, 0.5)
    window = profile_items(TASK, READER, shifted, rng=rng, truth=truth)
    true = window.truth[1].mean()
    alone, found = check(plain, window), check(reference, window)
    assert alone.estimate is not None
    assert found.estimate is not None
    assert alone.estimate[0] - true > 0.1
    assert found.estimate[0] == pytest.approx(true, abs=0.03)
    assert found.estimate[1] < true < found.estimate[2]
    assert not any("not trusted" in note for note in found.notes)
    bare = dataclasses.replace(TASK, observe=lambda *one, predictor=None: dataclasses.replace(
        observe(*one), numbers={"dots": -3.0}))  # fmt: skip
    strange = check(reference, profile_items(bare, READER, texts_[:200], rng=rng))
    assert any("not trusted: the window is unlike every shift" in note for note in strange.notes)


def test_of_many_labelled_rows_some_are_spoilt(tmp_path: Path) -> None:
    given, labels = items(2, MOST + 300)
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *zip(given, labels), ["c" * 20, ""]])
    source, truth = str(tmp_path / "a.csv"), Truth("label")
    profile = profile_source(TASK, READER, source, rng=np.random.default_rng(0), truth=truth)
    known = taught_source(TASK, READER, source, truth=truth, rng=np.random.default_rng(0))
    assert (profile.n, known.confidence.size) == (MOST + 301, MOST)
    assert known.accuracy == pytest.approx(profile.truth[1].mean(), abs=0.03)
    again = Calibration.of_arrays(known.arrays())
    assert again.shifts.falls.tolist() == known.shifts.falls.tolist()


def test_the_command_keeps_what_was_learnt(tmp_path: Path) -> None:
    given, labels = items(3, 80)
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *zip(given, labels)])
    own: dict[str, Any] = {option.name: option.default for option in monitor_profile._OWN}
    own |= {"model": None, "device": "cpu", "threads": 1, "source": str(tmp_path / "a.csv"), "out": tmp_path / "kept"}
    assert monitor_profile.run(TASK, **own | {"truth": "label", "spoilt": True}) == 0
    known = Calibration.of_arrays(load_profile(tmp_path / "kept").calibration)
    assert (known.confidence.size, known.shifts.falls.shape) == (80, (201, 5))
    with pytest.raises(UsageError, match="--spoilt needs --truth, and a task whose items can be spoilt"):
        monitor_profile.run(TASK, **own | {"spoilt": True})


def test_a_task_without_ways_to_spoil_is_refused() -> None:
    with pytest.raises(UsageError, match="of tasks that say how. Got toy.letters"):
        taught(dataclasses.replace(TASK, tools={}), READER, ["a"] * 30, ["a"] * 30, rng=RNG)


def seen(places: list[list[float]], falls: list[float], kinds: str) -> Shifts:
    moves = np.zeros((1, len(falls), 2))
    moves[0, :, 0] = -1.0
    return Shifts(np.array(list(kinds)), moves, np.array([falls]), np.full(len(falls), 1e-4), np.array(places))


def test_shifts_that_look_alike_deviate_alike() -> None:
    known = seen([[1.0, 0.0], [0.0, 1.0]], [-1.5, -0.5], "ab")
    moves = np.array([[-1.0, 0.0]])
    for place, fall in (([1.0, 0.0], -1.5), ([0.0, 1.0], -0.5)):
        told, variance = known.foretold(moves, np.array(place))
        assert told[0] == pytest.approx(fall, abs=0.02)
        assert variance < 0.02
    told, variance = known.foretold(moves, np.array([0.7, 0.7]))
    assert told[0] == pytest.approx(-1.0, abs=0.05)
    assert variance > 0.1
    nothing, sure = known.foretold(np.zeros((1, 2)), np.zeros(2))
    assert nothing[0] == pytest.approx(0, abs=0.01)
    assert sure < 1e-3


def test_what_lies_beyond_all_that_was_seen() -> None:
    known = seen([[1.0, 0.0], [0.0, 1.0]], [-1.5, -0.5], "ab")
    assert not known.beyond(np.array([-1.2, 0.0]), np.array([0.7, 0.7]))
    assert known.beyond(np.array([-1.2, 0.0]), np.array([0.0, -3.0]))
    assert known.beyond(np.array([-1.6, 0.0]), np.array([0.7, 0.7]))
    assert known.doubt() == 1
    assert seen([[1.0], [1.0]], [-3.0, -0.2], "ab").doubt() > 2
    told = placed(np.array([5.0, np.nan, 2.0]), np.array([5.0, 0.0, 1.0]), np.array([1.0, 1.0, 0.0]))
    assert told.tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", sorted(pictures.SPOILT))
def test_a_picture_is_spoilt_and_keeps_its_size(kind: str) -> None:
    photo = Image.fromarray(RNG.integers(0, 255, (30, 40, 3), np.uint8)).resize((250, 190), Image.Resampling.BICUBIC)
    changes = [
        np.abs(np.asarray(spoil(photo, np.random.default_rng(0)), float) - np.asarray(photo)).mean()
        for spoil in pictures.spoilings()[kind]
    ]
    assert changes[0] > 0
    assert changes == sorted(changes) or kind == "turned"
    assert {spoil(photo, RNG).size for spoil in pictures.spoilings()[kind]} == {(250, 190)}


@pytest.mark.parametrize(
    ("kind", "kept"),
    [("typed", None), ("lost", range(20, 101)), ("cut", [70, 40]), ("tail", [70, 40]), ("replaced", [100]),
     ("shuffled", [100])],
)  # fmt: skip
def test_a_text_is_spoilt(kind: str, kept: list[int] | None) -> None:
    text = " ".join(f"word{n}" for n in range(100))
    for spoil in texts.spoilings()[kind]:
        found = spoil(text, np.random.default_rng(0))
        assert found != text
        assert kept is None or len(found.split()) in kept
    assert texts.spoilings()["tail"][1](text, RNG).endswith("word99")
    assert texts.spoilings()["lost"][2]("one", np.random.default_rng(1)) == "one"
