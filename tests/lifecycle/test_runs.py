"""What a run keeps, where it goes, and that no fault of a tracker reaches the work."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from lifecycle_toys import toy_model

from shared.cli.main import triptych
from shared.errors import DataError, ServiceError, UnknownNameError, UsageError
from shared.lifecycle import fingerprints, mlflow_client
from shared.lifecycle.fingerprints import code_version, data_fingerprint
from shared.lifecycle.places import ENV, place
from shared.lifecycle.registry import registry
from shared.lifecycle.tracking import Untracked, tracked, tracker
from shared.weights import resolve


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    rows = [("a delight from start to end", "positive"), ("dull and far too long", "negative")] * 8
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def command(*words: object) -> int:
    return int(triptych.main([str(word) for word in words], standalone_mode=False) or 0)


def test_a_run_is_found_again_with_everything(store: Path, reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("of the model")
    with tracked(
        "train", "mine", task="nlp.ner", params={"epochs": 3, "long": "x" * 900}, dataset=reviews, tags={"model": "m'1"}
    ) as run:
        run.metrics({"f1": (0.5, 0.4, 0.75), "ndcg@10": 0.25, "tar_at_far": 1})
        run.metrics({"loss": 0.5}, step=1)
        run.metrics({"loss": 0.25}, step=2)
        run.artefact(tmp_path / "page.md")
        run.artefact(tmp_path / "absent.md")
        run.text("report.json", "{}")
    record = tracker().find(run.id[:8])
    assert (record.id, record.kind, record.name, record.task, record.status) == (
        run.id, "train", "mine", "nlp.ner", "finished",
    )  # fmt: skip
    assert record.metrics == {
        "f1": (0.5, 0.4, 0.75),
        "loss": (0.25, None, None),
        "ndcg@10": (0.25, None, None),
        "tar_at_far": (1.0, None, None),
    }
    assert record.params["epochs"] == "3"
    assert record.params["long"] == "x" * 497 + "..."
    assert record.model == "m'1"
    assert tracker().runs(model="m'1") == [record]
    assert record.tags["data.sha256"] == data_fingerprint(reviews).sha256
    assert record.tags["triptych"] == code_version()["triptych"]
    assert record.ended is not None
    assert record.ended >= record.started
    files = store / "runs" / run.id / "artifacts"
    assert sorted(path.name for path in files.iterdir()) == ["page.md", "report.json"]
    assert json.loads(json.dumps(record.to_json()))["metrics"]["f1"] == {"value": 0.5, "low": 0.4, "high": 0.75}


def test_runs_are_chosen_by_kind_task_and_model_newest_first(store: Path) -> None:
    for kind, task, model in (("train", "nlp.ner", "a"), ("evaluate", "nlp.ner", "a"), ("evaluate", "nlp.qa", "b")):
        with tracked(kind, kind + model, task=task, tags={"model": model}):
            time.sleep(0.002)  # the order is by milliseconds
    names = lambda **chosen: [one.name for one in tracker().runs(**chosen)]  # noqa: E731 - used six times below
    assert names() == ["evaluateb", "evaluatea", "traina"]
    assert names(kind="evaluate", task="nlp.ner") == ["evaluatea"]
    assert names(model="a", limit=1) == ["evaluatea"]
    assert names(kind="other") == []
    with pytest.raises(UnknownNameError, match="no run is called 'zzzzzz'"):
        tracker().find("zzzzzz")
    with pytest.raises(UnknownNameError, match="Several begin so"):
        tracker().find("")


@pytest.mark.parametrize(("raised", "status"), [(ValueError, "failed"), (KeyboardInterrupt, "killed")])
def test_a_run_ends_as_its_block_does(store: Path, raised: type[BaseException], status: str) -> None:
    with pytest.raises(raised), tracked("train", task="nlp.ner") as run:
        raise raised
    assert tracker().find(run.id).status == status


def test_an_ended_run_is_ended_once(store: Path) -> None:
    with tracked("train", task="nlp.ner") as run:
        run.end("killed")
    assert tracker().find(run.id).status == "killed"


@pytest.mark.parametrize("told", ["off", "OFF", "0", "wandb:project"])
def test_models_stay_in_the_usual_folder_where_runs_go_elsewhere(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setenv(ENV, told)
    assert place().folder == empty_home / "lifecycle"
    if not told.startswith("wandb"):
        assert isinstance(tracker(), Untracked)
        with tracked("train", task="nlp.ner") as run:
            run.metrics({"f1": 1.0})
            run.text("a", "b")
            run.artefact(__file__)
        assert run.id == ""
        with pytest.raises(UsageError, match="runs are logged nowhere"):
            tracker().runs()
    assert not (empty_home / "lifecycle").exists()


def test_without_the_extra_nothing_is_logged_and_nothing_said(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(ENV)
    monkeypatch.setattr("shared.lifecycle.tracking.find_spec", lambda name: None)
    with tracked("train", task="nlp.ner") as run:
        run.metrics({"f1": 1.0})
    assert (run.id, capsys.readouterr().err) == ("", "")


def test_a_fault_at_the_beginning_is_said_and_the_work_goes_on(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv(ENV, f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = []
    with tracked("train", task="nlp.ner") as run:
        run.metrics({"f1": 1.0})
        done.append(run.id)
    assert done == [""]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "this run is not logged, or not wholly" in said
    assert "must be an MLflow server that answers" in said


def test_a_fault_on_the_way_is_said_once(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mlflow_client, "PATIENCE", 0.05)
    with tracked("train", task="nlp.ner") as run, FileLock(store / "lock"):
        run.metrics({"f1": 1.0})
        run.metrics({"f1": 2.0})
    assert capsys.readouterr().err.count("Another process has held its lock") == 1
    assert tracker().find(run.id).status == "running", "nothing more was tried"


def test_the_fingerprint_sees_names_sizes_and_content(tmp_path: Path) -> None:
    def data(name: str, **files: str) -> Path:
        folder = tmp_path / name
        for file, text in files.items():
            path = folder / file.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    first = data_fingerprint(data("a", one="x", deep__two="yy"))
    assert (first.files, first.size, first.how) == (2, 3, "content")
    same = data("b", one="x", deep__two="yy")
    (same / ".hidden").write_text("no")
    assert data_fingerprint(same) == first
    others = [
        data("c", one="z", deep__two="yy"),
        data("d", two="x", deep__two="yy"),
        data("e", one="xy", deep__two="y"),
    ]
    assert len({first.sha256, *(data_fingerprint(one).sha256 for one in others)}) == 4
    assert data_fingerprint(tmp_path / "a" / "one") == data_fingerprint(tmp_path / "b" / "one")
    with pytest.raises(DataError, match="Nothing stands in"):
        data_fingerprint(tmp_path / "absent")


def test_of_much_data_the_edges_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "WHOLE_BYTES", 10)
    monkeypatch.setattr(fingerprints, "EDGE", 2)
    path = tmp_path / "data"

    def found(text: str) -> str:
        path.write_text(text)
        made = data_fingerprint(path)
        assert made.how == ("edges" if len(text) > 10 else "content")
        return made.sha256

    whole = found("ab______yz__")
    assert found("ab__!___yz__") == whole, "the middle of a large file is not read"
    assert len({whole, found("Ab______yz__"), found("ab______yz_!"), found("ab_______yz__")}) == 4
    assert found("ab__") != found("ab_!")


def test_the_commands_log_and_tell(
    store: Path, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command("train", "nlp.classification", reviews, out, "--method", "tfidf", "--run-name", "first") == 0
    assert command("evaluate", "nlp.classification", reviews, "--model", out, "--json") == 0
    assert command("evaluate", "nlp.classification", reviews, "--model", out, "--no-track") == 0
    printed = capsys.readouterr()
    assert printed.err.count("logged as run") == 2
    evaluation = json.loads(printed.out.splitlines()[1])
    evaluated, trained = tracker().runs()
    assert (trained.name, trained.kind, evaluated.kind) == ("first", "train", "evaluate")
    assert trained.params["method"] == "tfidf"
    value = evaluation["metrics"]["accuracy"]
    assert evaluated.metrics["accuracy"] == (value["value"], value["low"], value["high"])
    assert evaluated.model == str(out)
    kept = {
        one.kind: sorted(path.name for path in (store / "runs" / one.id / "artifacts").iterdir())
        for one in (trained, evaluated)
    }
    assert kept == {"train": ["card.toml", "training.json"], "evaluate": ["card.toml", "evaluation.json"]}

    assert command("runs", "list", "--kind", "train", "--json") == 0
    assert json.loads(capsys.readouterr().out)["id"] == trained.id
    command("runs", "list")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "RUN",
        evaluated.id[:8],
        trained.id[:8],
    ]
    command("runs", "show", trained.id[:8])
    shown = capsys.readouterr().out
    assert "method" in shown
    assert data_fingerprint(reviews).sha256 in shown
    command("runs", "compare", trained.id, evaluated.id, "--json")
    compared = json.loads(capsys.readouterr().out)
    assert compared["different"]["method"] == ["tfidf", ""]
    assert compared["metrics"]["accuracy"] == [None, value]

    command("registry", "add", "mood", out, "--run", trained.id, "--tag", "by=me", "--alias", "champion", "--json")
    added = json.loads(capsys.readouterr().out)
    assert (added["number"], added["run"], added["tags"], added["aliases"]) == (
        1,
        trained.id,
        {"by": "me"},
        ["champion"],
    )
    assert command("predict", "nlp.classification", "a delight", "--model", "registry:mood") == 0
    assert json.loads(capsys.readouterr().out)["result"]["labels"][0] == "positive"
    command("registry", "add", "mood", out, "--alias", "challenger")
    assert capsys.readouterr().out == f"registry:mood/1 holds {out}; challenger, champion leads to it\n"
    command("registry", "list")
    assert "challenger 1, champion 1" in capsys.readouterr().out
    command("registry", "show", "mood", "--json")
    assert "card.toml" in json.loads(capsys.readouterr().out)["files"]
    command("registry", "export", "registry:mood", tmp_path / "whole")
    assert (tmp_path / "whole" / "manifest.json").is_file()
    command("registry", "alias", "mood", "challenger", "--remove")
    assert [one.aliases for one in registry().versions("mood")] == [("champion",)]
    with pytest.raises(UsageError, match="must be named by its number: mood/1"):
        command("registry", "remove", "mood")
    with pytest.raises(UsageError, match="and not both"):
        command("registry", "alias", "mood", "champion")


def test_a_comparison_logs_differences_and_a_batch_job_keeps_its_version(
    store: Path, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command("train", "nlp.classification", reviews, out, "--method", "tfidf", "--no-track")
    command("registry", "add", "mood", out, "--alias", "champion")
    assert command("compare", "nlp.classification", reviews, "--models", out, "registry:mood") == 0
    (compared,) = tracker().runs()
    assert (compared.kind, compared.model) == ("compare", "registry:mood")
    assert compared.metrics["accuracy difference"] == (0.0, 0.0, 0.0)
    capsys.readouterr()

    texts, done = tmp_path / "texts.txt", tmp_path / "done"
    texts.write_text("a delight\ndull\n")
    words = ("batch", "nlp.classification", texts, done, "--model", "registry:mood@champion", "--no-progress")
    assert command(*words) == 0
    assert any("registry:mood/1" in path.read_text() for path in (done / "_job").glob("*.json"))
    (out / "README.md").write_text("another version of the same answers\n")
    command("registry", "add", "mood", out, "--alias", "champion")
    assert registry().find("mood@champion").number == 2
    assert command("batch", "resume", done) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server; skips where none is named."""
    program = os.environ.get("TRIPTYCH_MLFLOW")
    if not program:
        pytest.skip("needs the command of a whole MLflow, with a server: name it with TRIPTYCH_MLFLOW")
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [program, "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination"]
    words += [str(folder / "artefacts"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        words, cwd=folder, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until = time.monotonic() + 120
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < until, "the server does not listen"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def test_a_server_keeps_runs_and_models_as_a_folder_does(
    server: str, empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENV, server)
    with tracked("train", "far", task="nlp.ner", params={"a": 1}) as run:
        run.metrics({"f1": (0.5, 0.25, 0.75)})
        run.text("report.json", "{}")
    record = tracker().find(run.id[:8])
    assert (record.name, record.metrics, record.params) == ("far", {"f1": (0.5, 0.25, 0.75)}, {"a": "1"})
    there = registry()
    first = there.register(toy_model(tmp_path / "m1", b"1"), name="toy", run=run.id, key="k")
    assert there.register(toy_model(tmp_path / "m1"), name="toy", key="k") == first
    second = there.register(toy_model(tmp_path / "m2", b"2"), name="toy", tags={"by": "me"})
    assert (first.run, first.number, second.number, second.tags) == (run.id, 1, 2, {"by": "me"})
    there.alias("toy", "champion", 1)
    there.alias("toy", "champion", 2)
    assert there.rollback("toy").number == 1
    assert [(move.number, move.why) for move in there.history("toy")] == [(1, "alias"), (2, "alias"), (1, "rollback")]
    assert resolve("registry:toy", task="test.fake").files["weights.bin"].read_bytes() == b"1"
    (there.fetch(first) / "weights.bin").write_bytes(b"spoilt")
    assert (there.fetch(first) / "weights.bin").read_bytes() == b"1", "a copy that was damaged is brought again"
    assert there.names() == ["toy"]
    there.remove(second)
    assert [one.number for one in there.versions("toy")] == [1]
    with pytest.raises(UnknownNameError, match="no alias of toy is called 'champoin'. Nearest: champion"):
        there.find("toy@champoin")


def test_weights_and_biases_offline_keeps_a_run(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs the extra wandb")
    code = """
from shared.lifecycle.tracking import tracked
with tracked("train", "mine", task="nlp.ner", params={"epochs": 3}) as run:
    run.metrics({"f1": (0.5, 0.25, 0.75)}, step=1)
    run.text("report.json", "{}")
print(run.id)
"""
    environment = os.environ | {ENV: "wandb:tests", "TRIPTYCH_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    run, said = done.stdout.strip(), done.stderr
    assert said == "", said
    kept = list((empty_home / "lifecycle" / "wandb").glob(f"offline-run-*-{run}"))
    assert len(kept) == 1
    assert (kept[0] / "files" / "report.json").read_text() == "{}"
    content = next(kept[0].glob("*.wandb")).read_bytes()
    assert all(word in content for word in (b"epochs", b"f1.low", b"nlp.ner"))
    monkeypatch.setenv(ENV, "wandb:tests")
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    with pytest.raises(ServiceError, match="TRIPTYCH_OFFLINE forbids asking it"):
        tracker().runs()


@pytest.mark.parametrize("name", ["wandb:", "wandb:/project", "wandb:entity/"])
def test_a_project_must_be_named(name: str) -> None:
    with pytest.raises(UsageError, match="wandb:PROJECT or wandb:ENTITY/PROJECT"):
        tracker(name)
