"""``triptych monitor`` from inputs, a batch job and a log to a verdict, by a recommender that needs no weights."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.collaborative.popularity import fit_popularity
from recsys.testing import COFFEES, TEAS, tastes
from shared.cli.main import triptych
from shared.errors import DataError, UnknownNameError, UsageError
from shared.monitoring.log import PredictionLog
from shared.monitoring.log_rows import Logged
from shared.monitoring.profile_files import load_profile
from shared.monitoring.profiling import profile_items
from shared.monitoring.signals import Observed
from shared.predictor import Pipeline
from shared.tasks import Task
from shared.testing import fake_card

TASK = "recsys.collaborative"
PROFILE = ("profile", TASK, "--out", "x")
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str]:
        code = triptych.main(["monitor", *map(str, words)], standalone_mode=False)
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, and people to ask it about: those of training, and strangers."""
    monkeypatch.chdir(tmp_path)
    fit_popularity(tastes()).save("model")
    known = [f"no {name}" for name in TEAS + COFFEES] + ["everything"]
    for name, people in (("known", known * 30), ("strangers", [f"stranger {n}" for n in range(270)])):
        with open(f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([["user"], *([person] for person in people)])
    return tmp_path


def test_from_inputs_to_a_verdict(run: Run, place: Path) -> None:
    assert run("profile", TASK, "known.csv", "--model", "model", "--out", "reference")[0] == 0
    assert run("profile", TASK, "known.csv", "--model", "model", "--limit", 200, "--seed", 1, "--out", "same")[0] == 0
    assert run("profile", TASK, "strangers.csv", "--model", "model", "--out", "other")[0] == 0
    profile = load_profile("reference")
    assert profile.columns.categories["person"] == {"known": 270}
    assert profile.numbers["history"].mean == pytest.approx((8 * 3 + 8) / 9)

    code, said = run("check", "reference", "same")
    assert (code, "no alarm" in said) == (0, True)
    rules = '[[rules]]\nname = "small"\nstatistic = "items"\nbelow = 300\nseverity = "info"\n'
    (place / "rules.toml").write_text(rules)
    options = ("--rules", "rules.toml", "--gauges", "a.prom", "--report", "a.html", "--version", "7")
    code, said = run("check", "reference", "other", *options)
    assert code == 1
    assert "recsys.collaborative: ALARM, 270 items held against 270" in said
    assert "small  info" in said
    assert 'version="7"' in (place / "a.prom").read_text()
    code, said = run("check", "reference", "other", "--json")
    (place / "check.json").write_text(said)
    assert json.loads(said)["alarm"] is True
    assert run("report", "check.json", "b.html")[0] == 0
    assert "history" in (place / "b.html").read_text()
    assert run("merge", "same", "other", "--out", "both") == (0, "both: 470 items of 2 profiles\n")


def test_a_batch_job_gives_the_profile_of_its_inputs(run: Run, place: Path) -> None:
    triptych.main(["batch", TASK, "known.csv", "job", "--model", "model", "--no-progress"], standalone_mode=False)
    assert run("profile", TASK, "job", "--model", "model", "--out", "of-job")[0] == 0
    run("profile", TASK, "known.csv", "--model", "model", "--out", "of-inputs")
    one, other = load_profile("of-job"), load_profile("of-inputs")
    assert one.columns.categories == other.columns.categories
    assert {name: column.mean for name, column in one.numbers.items()} == pytest.approx(
        {name: column.mean for name, column in other.numbers.items()}
    )
    run("profile", TASK, "job", "--out", "without-model")
    assert "seen_rank" not in load_profile("without-model").numbers


def test_a_log_is_profiled_by_windows(run: Run, place: Path) -> None:
    with PredictionLog("log", TASK, rate=0.5) as log:
        log.append([Logged(f"{n:016x}", 86_400.0 * n, "m", "1", Observed({"count": 10.0})) for n in range(4)])
    window = ("--since", "1970-01-02", "--until", "1970-01-04T00:00:00Z")
    assert run("profile", TASK, "log", *window, "--out", "w") == (0, "w: 2 items, 0 failed, 1 columns\n")
    assert load_profile("w").rate == 0.5
    with pytest.raises(UsageError, match="must be a log of recsys.content. It is of recsys.collaborative"):
        run("profile", "recsys.content", "log", "--out", "x")


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        ((*PROFILE, "known.csv", "--model", "model", "--since", "2026-01-01"), UsageError,
         "--since must be left out for inputs"),
        ((*PROFILE, "log", "--truth", "user"), UsageError, "--truth must be left out for a prediction log"),
        ((*PROFILE, "log", "--since", "monday"), UsageError, "--since must be a time such as"),
        ((*PROFILE, "known.csv", "--model", "model", "--embedder", "m"), UsageError, "which has none"),
        (("profile", "recsys.colaborative", "known.csv"), UnknownNameError, "Nearest: recsys.collaborative"),
        (("check", "nowhere", "nowhere"), DataError, "must be the folder of a profile"),
        (("report", "rules.toml", "x.pdf"), UsageError, "must end in .html"),
        (("prfile",), UnknownNameError, "Nearest: profile"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_said(
    words: tuple[str, ...], kind: type[Exception], message: str, run: Run, place: Path
) -> None:
    PredictionLog("log", TASK)
    with pytest.raises(kind, match=message):
        run(*words)


def test_truth_is_kept_beside_confidence() -> None:
    def observe(item: str, result: str, *, predictor: object = None) -> Observed:
        return Observed(confidence=0.75, label=result)

    model = Pipeline(fake_card(), lambda text: text[0].upper(), list, lambda raw, mid: raw)
    task = Task("a.task", "", "text", lambda *_: model, observe=observe)  # type: ignore[arg-type]
    found = profile_items(
        task, model, ["ab", "ba", "", "ca"], rng=np.random.default_rng(0), truth=["A", "A", "A", None]
    )
    assert (found.n, found.failed) == (3, 1)
    confidence, correct = found.truth
    assert confidence.tolist() == [0.75, 0.75]
    assert sorted(correct) == [0, 1]
    with pytest.raises(UsageError, match=r"a.task says nothing"):
        profile_items(Task("a.task", "", "text", lambda *_: model), model, [], rng=np.random.default_rng(0))


def test_rows_that_cannot_be_read_count_as_failed(run: Run, place: Path) -> None:
    (place / "some.jsonl").write_text('{"user": "everything"}\n{"user": null}\n{"user": "no mocha"}\n')
    code, said = run("profile", TASK, "some.jsonl", "--model", "model", "--out", "x")
    assert (code, said) == (1, "x: 2 items, 1 failed, 7 columns\n")
