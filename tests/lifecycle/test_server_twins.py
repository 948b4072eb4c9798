"""Two who register one model on an MLflow server at the same instant make one version; against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from lifecycle_toys import FORK, toy_model
from mlflow_server import mlflow_server

from shared.errors import UsageError
from shared.lifecycle.mlflow_client import client
from shared.lifecycle.registry import registry
from shared.lifecycle.uploads import EXPERIMENT

pytest.importorskip("mlflow", reason="needs the extra lifecycle")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


def _registering(url: str, model: Path, name: str, key: str | None, meet: Any, answers: Any) -> None:
    module: Any = import_module("shared.lifecycle.registry")
    uploading = module.upload

    def together(*told: Any) -> Any:
        done = uploading(*told)
        meet.wait(120)  # both have looked, and nobody has made a version yet
        return done

    module.upload = together
    try:
        answers.put(registry(url).register(model, name=name, key=key).number)
    except UsageError as error:
        answers.put(str(error))


def at_once(url: str, *asked: tuple[Path, str, str | None]) -> list[Any]:
    meet, answers = FORK.Barrier(len(asked)), FORK.Queue()
    workers = [FORK.Process(target=_registering, args=(url, *one, meet, answers)) for one in asked]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=240) for _ in workers]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    return sorted(found, key=str)


@pytest.mark.parametrize("key", ["nightly-7", None])
def test_twins_are_one_version(server: str, empty_home: Path, tmp_path: Path, key: str | None) -> None:
    name, model = f"toy-{key}", toy_model(tmp_path / "m", b"abc")
    assert at_once(server, (model, name, key), (model, name, key)) == [1, 1]
    there = registry(server)
    assert [one.number for one in there.versions(name)] == [1]
    assert (there.fetch(there.find(name)) / "weights.bin").read_bytes() == b"abc"
    assert there.register(model, name=name, key=key).number == 1
    api = client(there.place)
    held = api.search_runs([api.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert there.find(name).run in [run.info.run_id for run in held]
    assert len(held) == len(there.names()), "the run that held the twin is gone too"


def test_a_key_means_one_version_whatever_comes_with_it(server: str, empty_home: Path, tmp_path: Path) -> None:
    models = [toy_model(tmp_path / f"m{n}", b"%d" % n) for n in (1, 2)]
    assert at_once(server, *((model, "keyed", "k") for model in models)) == [1, 1]
    assert [one.number for one in registry(server).versions("keyed")] == [1]


def test_different_models_stay_two(server: str, empty_home: Path, tmp_path: Path) -> None:
    models = [toy_model(tmp_path / f"m{n}", b"%d" % n) for n in (1, 2)]
    assert at_once(server, *((model, "two", None) for model in models)) == [1, 2]
    assert len(registry(server).versions("two")) == 2


def test_a_name_serves_one_task_at_the_same_instant_too(server: str, empty_home: Path, tmp_path: Path) -> None:
    models = [toy_model(tmp_path / f"m{n}", b"%d" % n, task=f"test.{n}") for n in (1, 2)]
    done, refused = at_once(server, *((model, "tasks", None) for model in models))
    assert done == 1
    assert "every version of tasks must serve one task" in refused
    assert len(registry(server).versions("tasks")) == 1
