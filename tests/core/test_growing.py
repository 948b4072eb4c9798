"""Figures at growing sizes: what is asked of a task, what is refused, and what is printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from shared.cli import learning_curve as command
from shared.cli import options
from shared.cli.main import triptych
from shared.errors import DataError, UsageError
from shared.evaluation.growing import Growing, grow
from shared.tasks import Option, Task

ASKED: list[int] = []


def growing(size: int = 3200, *, least: int = 2, scale: float = 2.0, held_out: int = 100) -> Growing:
    def draw(rng: np.random.Generator) -> Any:
        def learn(count: int) -> Mapping[str, float]:
            ASKED.append(count)
            noise = rng.normal(0, 1e-4)
            return {"accuracy": 0.9 - scale * count**-0.5 + noise, "error": 0.1 + scale * count**-0.5 + noise}

        return learn

    return Growing("a.task", "a model", "a file", "texts", size, held_out, least, {"accuracy": 1, "error": 0}, draw)


def test_sizes_double_and_end_with_all_there_is() -> None:
    ASKED.clear()
    found = grow(growing(), steps=5, runs=2, rng=np.random.default_rng(0))
    assert found.sizes.tolist() == [200, 400, 800, 1600, 3200]
    assert found.sizes.tolist() * 2 == ASKED
    assert found.figures["error"].shape == (5, 2)


def test_the_law_behind_the_figures_is_found_whichever_way_they_go() -> None:
    found = grow(growing(), rng=np.random.default_rng(0))
    assert found.curves["accuracy"].limit.value == pytest.approx(0.9, abs=0.005)
    assert found.curves["error"].limit.value == pytest.approx(0.1, abs=0.005)
    assert found.curves["accuracy"].gain().value > 0 > found.curves["error"].gain().value
    printed = found.to_json(times=4)
    at = printed["figures"]["accuracy"]["at"]["value"]
    assert at == pytest.approx(0.9 - 2 * (4 * 3200) ** -0.5, abs=0.002)
    assert json.loads(json.dumps(printed)) == printed
    text = found.to_text()
    assert "up to 3200 texts, 100 others held out in each of 3 runs" in text
    assert text.count("twice the data (6,400 instead of 3,200)") == 2


def test_a_figure_without_a_number_at_some_size_has_no_curve() -> None:
    made = growing()
    lacking = Growing(
        made.task, made.model, made.dataset, made.unit, 3200, 100, 2, {"accuracy": 1, "auc": 1, "error": 0}, made.draw
    )
    found = grow(lacking, rng=np.random.default_rng(0))
    assert set(found.curves) == {"accuracy", "error"}


@pytest.mark.parametrize(
    ("size", "arguments", "error", "message"),
    [
        (3200, {"steps": 3}, UsageError, "steps must be at least 4"),
        (3200, {"runs": 1}, UsageError, "runs at least 2. Got 6 and 1"),
        (63, {}, DataError, "the smallest size must be 2 texts at least. Of 63 in 6 steps it would be 1"),
    ],
)
def test_what_gives_no_curve(size: int, arguments: dict[str, int], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        grow(growing(size), rng=np.random.default_rng(0), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "held_out"), [(1, 5), (5, 0)])
def test_too_little_to_learn_from_or_to_measure_on(size: int, held_out: int) -> None:
    with pytest.raises(DataError, match=f"needs 2 texts to learn from at least.*Got {size} and {held_out}"):
        growing(size, held_out=held_out)


class TestCommand:
    @pytest.fixture(autouse=True)
    def one_task(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        task = Task(
            "test.length",
            "length of a text",
            "text",
            lambda *a, **k: None,  # type: ignore[arg-type,return-value]
            grow=lambda dataset, *, format, seed, scale: growing(scale=scale),
            grow_options=(Option("scale", float, 2.0, "how steep"),),
        )
        bare = Task("test.bare", "nothing", "text", task.open)
        tasks = {one.name: one for one in (task, bare)}
        monkeypatch.setattr(options, "task_names", lambda: list(tasks))
        monkeypatch.setattr(options, "find_task", tasks.__getitem__)
        self.file = tmp_path / "data"
        self.file.write_text("")

    def test_it_prints_the_curve_or_json(self) -> None:
        arguments = ["test.length", str(self.file), "--scale", "1", "--steps", "5", "--times", "3"]
        said = CliRunner().invoke(triptych, ["learning-curve", *arguments], standalone_mode=False)
        assert said.exit_code == 0, said.exception
        assert "3 times the data (9,600 instead of 3,200) would give 0.88" in said.stdout
        printed = CliRunner().invoke(command.command, [*arguments, "--json"], standalone_mode=False)
        assert json.loads(printed.stdout)["sizes"] == [200, 400, 800, 1600, 3200]

    def test_other_tasks_and_times_are_refused(self) -> None:
        refused = CliRunner().invoke(command.command, ["test.length", str(self.file), "--times", "0"])
        assert isinstance(refused.exception, UsageError)
        assert "times must be above 0" in str(refused.exception)
        unknown = CliRunner().invoke(command.command, ["test.bare", str(self.file)])
        assert "task for learning-curve" in str(unknown.exception)
