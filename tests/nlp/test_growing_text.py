"""What text classifiers are grown by, and training labels that look wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tiny_several
from test_baselines import WORDS, texts

from nlp.classification.growing import grow_classification
from nlp.classification.noise import FILE
from nlp.classification.train import train
from shared.errors import DataError, UsageError
from shared.evaluation.growing import grow


def table(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


@pytest.mark.parametrize("method", ["tfidf", "linear-head"])
def test_figures_of_more_texts_are_better(method: str, tmp_path: Path, encoder_folder: Path) -> None:
    rows = texts(240) if method == "tfidf" else [(f"{word} {at}", word) for at in range(60) for word in ("good", "bad")]
    path = table(tmp_path / "data.csv", rows)
    growing = grow_classification(path, method=method, encoder=encoder_folder, c=2.0, held_out=0.25)
    different = len({text for text, _ in rows})
    assert (growing.size, growing.held_out) == (different - round(different / 4), round(different / 4))
    found = grow(growing, steps=4, runs=2, rng=np.random.default_rng(0), resamples=20)
    accuracy = found.figures["accuracy"].mean(axis=1)
    assert 0.9 < accuracy[-1] <= 1
    assert accuracy[-1] >= accuracy[0]


def test_what_is_learnt_from_is_not_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nlp.classification import growing as module

    learnt: list[set[str]] = []
    real = module.learn
    monkeypatch.setattr(module, "learn", lambda part, **rest: (learnt.append(set(part.texts)), real(part, **rest))[1])
    rows = texts(90) + texts(90)  # each text stands twice
    growing = grow_classification(table(tmp_path / "data.csv", rows), method="tfidf", c=2.0)
    whole = {text for text, _ in rows}
    assert growing.size + growing.held_out == len(whole)
    learn = growing.draw(np.random.default_rng(0))
    for count in (6, 20, growing.size):
        learn(count)
    assert [len(part) for part in learnt] == [6, 20, growing.size]
    assert learnt[0] < learnt[1] < learnt[2] < whole


def test_the_first_texts_are_of_every_label(tmp_path: Path) -> None:
    rows = [(f"the {word} was {at}", label) for label, words in WORDS.items() for at in range(20) for word in words]
    rare = [row for at, row in enumerate(rows) if row[1] != "film" or at % 8 == 0]
    growing = grow_classification(table(tmp_path / "data.csv", rare), method="tfidf", c=2.0, held_out=0.3)
    assert growing.least == 6
    for seed in range(3):
        found = growing.draw(np.random.default_rng(seed))(6)
        assert 0 <= found["accuracy"] <= 1


def test_texts_of_several_labels_are_grown_by_too(tmp_path: Path) -> None:
    path = tiny_several.written(tmp_path / "data.jsonl", tiny_several.rows(160))
    growing = grow_classification(path, method="tfidf", c=2.0)
    found = growing.draw(np.random.default_rng(0))(growing.size)
    assert set(found) == {"accuracy", "f1", "f1_micro"} == set(growing.best)
    assert found["f1_micro"] > 0.7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "lora"}, "method must be one of tfidf, linear-head. Got 'lora'"),
        ({"held_out": 1.0}, r"held_out must lie in \(0, 1\)"),
        ({"estimator": "forest"}, "estimator must be one of logistic, svm, trees. Got 'forest'"),
    ],
)
def test_options_of_growing_are_checked(arguments: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        grow_classification(table(tmp_path / "data.csv", texts(30)), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["tfidf", "linear-head"])
def test_wrong_labels_come_first(method: str, tmp_path: Path, encoder_folder: Path) -> None:
    rows = texts(240) if method == "tfidf" else [(f"{word} {at}", word) for at in range(60) for word in ("good", "bad")]
    labels = sorted({label for _, label in rows})
    wrong = {7, 30, 65, 100}
    turned = [
        (text, labels[(labels.index(label) + 1) % len(labels)] if at in wrong else label)
        for at, (text, label) in enumerate(rows)
    ]
    out = tmp_path / "out"
    report = train(
        table(tmp_path / "data.csv", turned), out, method=method, encoder=encoder_folder, c=2.0, label_noise=True
    )
    with (out / FILE).open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert report["label_noise"]["candidates"] == len(found)
    lines = [int(row["place"].rsplit(" ", 1)[1]) - 2 for row in found]
    assert wrong <= set(lines[: len(wrong) + 2])
    for row, at in zip(found[:4], lines):
        assert row["text"] == turned[at][0]
        assert row["label"] == turned[at][1] != row["suggested"]
        assert float(row["probability"]) < float(row["suggested_probability"]) <= 1
    assert (out / "card.toml").is_file()


def test_without_being_asked_nothing_is_written(tmp_path: Path) -> None:
    report = train(table(tmp_path / "data.csv", texts(60)), tmp_path / "out", method="tfidf", c=2.0)
    assert "label_noise" not in report
    assert not (tmp_path / "out" / FILE).exists()


def test_label_noise_is_of_one_label_and_of_light_methods(tmp_path: Path) -> None:
    several = tiny_several.written(tmp_path / "data.jsonl", tiny_several.rows(40))
    with pytest.raises(UsageError, match="label_noise is for texts of one label"):
        train(several, tmp_path / "out", method="tfidf", label_noise=True)
    with pytest.raises(UsageError, match="label_noise is for the methods tfidf and linear-head. Got 'lora'"):
        train(several, tmp_path / "out", method="lora", label_noise=True)
    assert not (tmp_path / "out").exists()


def test_too_few_texts_say_so(tmp_path: Path) -> None:
    growing = grow_classification(table(tmp_path / "data.csv", texts(30)), method="tfidf", c=2.0)
    with pytest.raises(DataError, match="the smallest size must be 6 texts at least"):
        grow(growing, rng=np.random.default_rng(0))
    assert json.dumps(dict(growing.best)) == '{"accuracy": 1.0, "f1": 1.0}'
