"""A search chooses, goes on after a kill with the same trials, prunes, survives failures, and is honest at its end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from search_toys import hundred_rows, installed_toy

from shared.cli.search import command
from shared.errors import DataError, PlanMismatchError, UnknownNameError, UsageError
from shared.evaluation.report import Metric
from shared.lifecycle.confirming import over_seeds
from shared.lifecycle.parts import cut, portion, read_whole, sizes
from shared.lifecycle.running import Data
from shared.lifecycle.search import search
from shared.lifecycle.space import Range, check_space, direction_of, read_space
from shared.training.watching import EndedEarly, tell_epoch, watched

pytest.importorskip("optuna")
X = {"low": -10.0, "high": 10.0}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return installed_toy(tmp_path, monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return hundred_rows(tmp_path)


def wanted(toy: Any, space: dict[str, Any], **more: Any) -> Any:
    return check_space({"metric": "good", "space": space, **more}, toy)


def noted(tmp_path: Path) -> list[str]:
    return (tmp_path / "log.txt").read_text().splitlines()


def test_the_best_is_kept_and_the_test_part_is_read_at_the_end(toy: Any, data: Data, tmp_path: Path) -> None:
    heard: list[str] = []
    found = search(toy, data, tmp_path / "out", wanted(toy, {"x": [0.0, 3.0, 8.0]}), trials=5, say=heard.append)
    assert found.best.options == {"x": 3.0}
    assert found.trials[0].options == {"x": 0.0}  # the trainer's own comes first
    made = json.loads((tmp_path / "out" / "model" / "model.json").read_text())
    assert (made["x"], made["rows"]) == (3.0, 60)
    lines = noted(tmp_path)
    first_test = lines.index("judge test.txt")
    judged = [line for line in lines[:first_test] if line.startswith("judge")]
    assert set(judged) == {"judge validation.txt"}
    assert lines.count("judge test.txt") == 1 + 3  # the kept model, and three other seeds
    assert found.validation.value == 10.0
    assert found.test.value == 9.5
    # seeds 1 to 3 add 0.1, 0.2 and 0.0: mean 9.6, t(2) = 4.3027 over a spread of 0.1, and 0.2 over items
    assert found.nested.value == pytest.approx(9.6)
    half = np.hypot(4.302653 * 0.1 / np.sqrt(3), 0.2)
    assert found.nested.high - found.nested.value == pytest.approx(half, abs=1e-6)
    assert found.optimism == pytest.approx(0.4)
    assert "tends to read high; here it is 0.4000 ahead of the nested one" in found.note
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == json.loads(json.dumps(found.to_json()))
    assert not list((tmp_path / "out" / "trials").glob("*/model"))
    assert heard[-1].startswith("seed-3: good 9.5")
    assert "nested     good 9.6000" in found.to_text()
    assert sizes(tmp_path / "out" / "parts") == {"train": 60, "validation": 20, "test": 20}


def test_failures_are_trials_too(toy: Any, data: Data, tmp_path: Path) -> None:
    space = {"kind": ["plain", "refused", "dies", "breaks"]}
    found = search(toy, data, tmp_path / "out", wanted(toy, space), trials=12, seed=1, workers=2)
    failed = {one.options["kind"]: one.refused for one in found.trials if one.state == "fail"}
    assert failed.keys() == {"refused", "dies", "breaks"}
    assert failed["refused"] == "DataError: this kind is refused"
    assert failed["dies"].startswith("the process ended with exit code 7")
    assert failed["breaks"].endswith("Its log ends: ZeroDivisionError: no kind divides")
    assert found.best.options == {"kind": "plain"}
    assert len(found.trials) == 12


def test_where_all_fail_the_first_reason_is_said(toy: Any, data: Data, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no trial of test.toy came to a figure. The first said: DataError: this kind"):
        search(toy, data, tmp_path / "out", wanted(toy, {"kind": ["refused"]}), trials=2)


def test_epochs_below_the_median_end_a_trial(toy: Any, data: Data, tmp_path: Path) -> None:
    chosen = wanted(toy, {"x": X}, fixed={"epochs": 3})
    found = search(toy, data, tmp_path / "out", chosen, trials=12)
    pruned = [one for one in found.trials if one.state == "pruned"]
    assert pruned
    assert found.trials.index(pruned[0]) >= 4
    for one in found.trials:
        assert one.steps == {step: pytest.approx(-abs(one.options["x"] - 3) - 1 / step) for step in one.steps}
        assert len(one.steps) == 3 or one.state == "pruned"
    worst = max(abs(one.options["x"] - 3) for one in found.trials if one.state == "complete")
    assert found.best.value == max(one.value for one in found.trials if one.value is not None)
    assert min(abs(one.options["x"] - 3) for one in pruned) < worst  # not the worst of all are pruned, but of late ones


def test_without_epochs_parts_of_the_data_do(toy: Any, data: Data, tmp_path: Path) -> None:
    found = search(toy, data, tmp_path / "out", wanted(toy, {"x": X}), trials=10)
    assert not found.trials[0].steps  # the first shows that there are no epochs
    assert {step for one in found.trials[1:] for step in one.steps} == {1_000_025, 1_000_050}
    assert found.counts["pruned"] > 0
    lines = noted(tmp_path)
    assert {"train share-0.25.txt 0", "train share-0.5.txt 0", "train train.txt 0"} <= set(lines)
    never = search(toy, data, tmp_path / "never", wanted(toy, {"x": X}), trials=10, prune="none")
    assert never.counts == {"complete": 10, "pruned": 0, "fail": 0}


def test_less_is_better_where_the_figure_says_so(toy: Any, data: Data, tmp_path: Path) -> None:
    chosen = check_space({"metric": "bad_error", "space": {"x": [0.0, 3.0]}, "fixed": {"epochs": 1}}, toy)
    found = search(toy, data, tmp_path / "out", chosen, trials=5)
    assert found.best.options == {"x": 3.0}
    assert found.optimism == pytest.approx(0.4)
    assert found.trials[0].steps == {1: 4.0}  # an epoch's score of -4 is an error of 4


def test_killed_it_goes_on_with_the_same_trials(toy: Any, data: Data, tmp_path: Path) -> None:
    space = tmp_path / "space.toml"
    space.write_text(
        'metric = "good"\nspace.x = { low = -10.0, high = 10.0 }\nfixed = { epochs = 2, seconds = 0.05 }\n'
    )
    whole = search(toy, data, tmp_path / "whole", read_space(space, toy), trials=6)
    code = (
        "import sys; from pathlib import Path; from shared.tasks import find_task\n"
        "from shared.lifecycle.running import Data; from shared.lifecycle.search import search\n"
        "from shared.lifecycle.space import read_space\n"
        "toy = find_task('test.toy')\n"
        "search(toy, Data(Path(sys.argv[1])), Path(sys.argv[2]), read_space(Path(sys.argv[3]), toy), trials=6)\n"
    )
    out = tmp_path / "killed"
    started = [sys.executable, "-c", code, str(data.dataset), str(out), str(space)]
    process = subprocess.Popen(started, env=os.environ | {"TOY_HANGS_IN": "0002"})
    until = time.monotonic() + 180
    while not _running(out, 2):
        assert process.poll() is None, "it ended and was not killed"
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = search(toy, data, out, read_space(space, toy), trials=6)
    assert [(one.number, one.options, one.state, one.value) for one in again.trials] == [
        (one.number, one.options, one.state, one.value) for one in whole.trials
    ]
    assert again.nested == whole.nested
    longer = search(toy, data, out, read_space(space, toy), trials=7)
    assert longer.trials[:6] == again.trials
    assert len(longer.trials) == 7


def test_stopped_at_the_terminal_no_trial_fails(toy: Any, data: Data, tmp_path: Path) -> None:
    chosen = wanted(toy, {"x": [3.0]}, fixed={"epochs": 3})

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt):
        search(toy, data, tmp_path / "out", chosen, trials=2, workers=2, say=interrupt)
    found = search(toy, data, tmp_path / "out", chosen, trials=2)
    assert found.counts == {"complete": 2, "pruned": 0, "fail": 0}


def _running(out: Path, begun: int) -> bool:
    """Whether that many trials have begun and the last of them is at work."""
    if not (out / "study.db").exists():
        return False
    try:
        with closing(sqlite3.connect(out / "study.db")) as file:
            states = [row[0] for row in file.execute("select state from trials order by number")]
    except sqlite3.OperationalError:
        return False
    return len(states) > begun and states[-1] == "RUNNING"


def test_another_plan_is_refused(toy: Any, data: Data, tmp_path: Path) -> None:
    search(toy, data, tmp_path / "out", wanted(toy, {"x": [3.0]}), trials=1)
    with pytest.raises(PlanMismatchError, match="seed .was 0, now 1"):
        search(toy, data, tmp_path / "out", wanted(toy, {"x": [3.0]}), trials=1, seed=1)
    with pytest.raises(PlanMismatchError, match="space"):
        search(toy, data, tmp_path / "out", wanted(toy, {"x": [2.0]}), trials=1)
    data.dataset.write_text("another\n" * 100)
    with pytest.raises(PlanMismatchError, match="data"):
        search(toy, data, tmp_path / "out", wanted(toy, {"x": [3.0]}), trials=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").touch()
    with pytest.raises(UsageError, match="Something else stands in"):
        search(toy, data, tmp_path / "other", wanted(toy, {"x": [3.0]}), trials=1)


def test_a_figure_that_is_not_there_ends_the_search(toy: Any, data: Data, tmp_path: Path) -> None:
    chosen = check_space({"metric": "goood", "space": {"x": [3.0]}}, toy)
    with pytest.raises(UnknownNameError, match="no figure of test.toy is called 'goood'. Nearest: good"):
        search(toy, data, tmp_path / "out", chosen, trials=1)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"metric": "good", "space": {"y": [1.0]}}, "no option of training test.toy is called 'y'"),
        ({"metric": "good", "space": {"epoch": [1]}}, "Nearest: epochs"),
        ({"metric": "good", "space": {"x": ["a"]}}, "x must be of type float. Got 'a'"),
        ({"metric": "good", "space": {"x": {"low": 1}}}, "space.x must be a list of values, or"),
        ({"metric": "good", "space": {"x": {"low": 2, "high": 1}}}, "a range must have low < high"),
        ({"metric": "good", "space": {"kind": {"low": 1, "high": 2}}}, "kind must be searched among values"),
        ({"metric": "good", "space": {"threads": [1]}}, "threads is of the machine"),
        ({"metric": "good", "space": {"seed": [1]}}, "the seed is set by the search itself"),
        ({"metric": "good", "space": {"names": ["a"]}}, "names takes several values at once"),
        ({"metric": "good", "space": {}}, r"must have a table \[space\]"),
        ({"space": {"x": [1.0]}}, "must name the figure"),
        ({"metric": "good", "space": {"x": [1.0]}, "fixed": {"x": 1.0}}, "searched or fixed, not both"),
        ({"metric": "good", "space": {"x": [1.0]}, "evaluate": {"strictt": True}}, "Nearest: strict"),
        ({"metric": "good", "space": {"x": [1.0]}, "extra": 1}, "no part of the space is called 'extra'"),
        ({"metric": "good", "direction": "up", "space": {"x": [1.0]}}, "no direction is called 'up'"),
    ],
)
def test_a_wrong_space_says_so(toy: Any, table: dict[str, Any], words: str) -> None:
    with pytest.raises((UsageError, DataError), match=words):
        check_space(table, toy)


def test_a_space_is_typed_by_the_options(toy: Any) -> None:
    space = {"x": {"low": 1, "high": 100, "log": True}, "epochs": {"low": 1, "high": 3}, "kind": ["plain"]}
    found = check_space({"metric": "good", "space": space, "fixed": {"names": ["a"]}}, toy)
    assert found.space == {"x": Range(1.0, 100.0, log=True), "epochs": Range(1, 3, whole=True), "kind": ("plain",)}
    assert found.fixed == {"names": ["a"]}
    assert [direction_of(name) for name in ("f1", "ndcg@10", "rmse", "ter", "eer", "log_loss")] == [
        "maximize", "maximize", "minimize", "minimize", "minimize", "minimize",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [("trials", 0), ("seeds", 1), ("workers", 0)])
def test_a_wrong_number_says_so(toy: Any, data: Data, tmp_path: Path, name: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{name} must be at least"):
        search(toy, data, tmp_path / "out", wanted(toy, {"x": [3.0]}), **{name: value})  # type: ignore[arg-type]


def test_rows_that_are_alike_stay_in_one_part(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    rows = [f'"text, {n // 3}",{"ab"[n // 3 % 2]}' for n in range(90)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    places = cut(read_whole(path), tmp_path / "parts", validation=0.2, test=0.2, seed=0)
    texts = {
        name: [line.rsplit(",", 1)[0] for line in place.read_text().splitlines()[1:]] for name, place in places.items()
    }
    assert sorted(text for part in texts.values() for text in part) == sorted(row.rsplit(",", 1)[0] for row in rows)
    assert not set(texts["train"]) & set(texts["test"]) | set(texts["train"]) & set(texts["validation"])
    assert places["test"].read_text().startswith("text,label\n")
    labels = [line[-1] for line in places["validation"].read_text().splitlines()[1:]]
    assert labels.count("a") == labels.count("b") == 9
    small, large = (
        set(portion(read_whole(path), tmp_path / f"p{share}", share, seed=0).read_text().splitlines())
        for share in (0.25, 0.5)
    )
    assert small < large
    with pytest.raises(UnknownNameError, match="no column of the data set is called 'lable'. Nearest: label"):
        read_whole(path, stratify="lable")


def test_other_kinds_of_data_are_cut(tmp_path: Path) -> None:
    squad = {"data": [{"title": str(n), "paragraphs": []} for n in range(10)], "version": "2"}
    (tmp_path / "squad.json").write_text(json.dumps(squad))
    places = cut(read_whole(tmp_path / "squad.json"), tmp_path / "a", validation=0.2, test=0.2, seed=0)
    titles = [one["title"] for place in places.values() for one in json.loads(place.read_text())["data"]]
    assert sorted(titles) == sorted(map(str, range(10)))
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for n in range(10):
            (tmp_path / "pictures" / label / f"{n}.jpg").write_text(label)
    places = cut(read_whole(tmp_path / "pictures"), tmp_path / "b", validation=0.2, test=0.2, seed=0)
    assert {place.name: sorted(len(list(one.iterdir())) for one in place.iterdir()) for place in places.values()} == {
        "train": [6, 6], "validation": [2, 2], "test": [2, 2],
    }  # fmt: skip
    (tmp_path / "x.conll").write_text("\n\n".join(f"word{n} O" for n in range(10)))
    assert read_whole(tmp_path / "x.conll").units == 10
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"prompt": f"p{n}"}) + "\n" for n in range(10)))
    assert read_whole(tmp_path / "rows.jsonl").groups[3] == "p3"
    (tmp_path / "plain.bin").write_text("x")
    for name in ("plain.bin", "coco.json"):
        (tmp_path / name).write_text("{}")
        with pytest.raises(UsageError, match="--validation and --test"):
            read_whole(tmp_path / name)


def test_given_parts_are_taken_as_they_are(toy: Any, data: Data, tmp_path: Path) -> None:
    for name in ("held", "last"):
        (tmp_path / f"{name}_test.txt").write_text("row\n")
    given = Data(data.dataset, tmp_path / "held_test.txt", tmp_path / "last_test.txt")
    found = search(toy, given, tmp_path / "out", wanted(toy, {"x": [3.0]}), trials=2)
    assert found.validation.value == found.test.value == 9.5
    assert "judge held_test.txt" in noted(tmp_path)
    assert "train data.txt 0" in noted(tmp_path)


def test_the_command_prints_the_nested_figure(toy: Any, data: Data, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text('metric = "good"\nspace.x = [1.0, 3.0]\n')
    words = ["test.toy", str(data.dataset), str(tmp_path / "out"), "--space", str(tmp_path / "space.toml")]
    done = CliRunner().invoke(command, [*words, "--trials", "2"], standalone_mode=False, catch_exceptions=False)
    assert done.return_value == 0
    assert "nested     good" in done.stdout
    assert "trial 2 of 2" in done.stderr
    with pytest.raises(UsageError, match="--space must be a file"):
        CliRunner().invoke(command, [*words[:-1], "nowhere.toml"], standalone_mode=False, catch_exceptions=False)


def test_an_interval_over_seeds_is_wider_than_over_items() -> None:
    with pytest.raises(UsageError, match="at least 2 trainings"):
        over_seeds([Metric(0.5, 0.4, 0.6)])
    same = over_seeds([Metric(0.5, 0.4, 0.6)] * 4)
    assert (same.low, same.high) == (pytest.approx(0.4), pytest.approx(0.6))
    spread = over_seeds([Metric(0.4, 0.3, 0.5), Metric(0.6, 0.5, 0.7)])
    assert spread.high - spread.low > 2 * 0.1


def test_who_watches_a_training_may_end_it() -> None:
    tell_epoch(1, 0.0)  # nobody watches
    with watched(lambda epoch, _: epoch < 2):
        tell_epoch(1, 0.5)
        with pytest.raises(EndedEarly, match="ended after epoch 2"):
            tell_epoch(2, 0.5)
