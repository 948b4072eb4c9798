"""A canary on a server that runs: the example of docs/retraining.md, with a good challenger and then a bad one."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from click.testing import CliRunner

from shared.cli.main import triptych
from shared.errors import DataError, ServiceError, UsageError
from shared.experiments.assignment import assign
from shared.experiments.exposure_log import ExposureLog
from shared.experiments.exposures import exposures
from shared.experiments.metrics import Metric
from shared.experiments.sources import polars
from shared.lifecycle.canary import CHALLENGER, CanaryRules
from shared.lifecycle.canary_logs import canary_of_log
from shared.lifecycle.following import follow, read_key
from shared.lifecycle.plan_parts import CanaryPlan
from shared.lifecycle.records import Records
from shared.lifecycle.registry import registry

for name in ("cryptography", "mlflow", "polars", "fastapi", "sklearn"):
    pytest.importorskip(name, reason="needs the extras lifecycle, experiments and serve")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "retraining.md"
KEY = "k" * 32
GOOD = {"warm": "glad", "bright": "glad", "dull": "sad", "flat": "sad"}
NEW = {"neat": "glad", "fresh": "glad", "stale": "sad", "grim": "sad"}


def example(name: str) -> str:
    """The file of that name as the page shows it."""
    found = re.search(rf"^```\w+\n# {re.escape(name)}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def texts(path: Path, words: dict[str, str], n: int, *, seed: int) -> None:
    """Made reviews: one word of those says the label, the rest says nothing."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for number in range(n):
            word = list(words)[int(rng.integers(len(words)))]
            writer.writerow((f"a {word} film {seed} {number}", words[word]))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """``triptych serve`` over the page's configuration, in a process of its own; its address."""
    words = ["serve", "--config", "serve.toml", "--port", "0"]
    code = "from shared.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        drain = Thread(target=lambda: None)
        try:
            assert process.stderr is not None
            address = None
            while address is None:
                line = process.stderr.readline()
                assert line, "the server ended"
                address = re.search(r"answers at (http://\S+)", line)
            drain = Thread(target=process.stderr.read, daemon=True)
            drain.start()
            until = time.monotonic() + 300
            while not _ready(address[1]):
                assert time.monotonic() < until
                assert process.poll() is None
                time.sleep(0.05)
            yield address[1]
            assert process.poll() is None, "it ran all the time"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            if drain.is_alive():
                drain.join(60)


def _ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/readyz") as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def sources(url: str) -> list[str]:
    with urlopen(Request(f"{url}/v1/models", headers={"x-api-key": KEY})) as answer:
        return [row["source"] for row in json.load(answer)["models"]]


def retrain(what: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(triptych, ["retrain", what, "mood.toml", "--json"], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, json.loads(done.stdout)


def test_a_live_canary_promotes_and_rolls_back(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("serve.toml", "mood.toml", "client.py"):
        (tmp_path / name).write_text(example(name))
    (tmp_path / "keys.txt").write_text(f"boss {KEY} admin\n")
    (tmp_path / "admin.key").write_text(f"{KEY}\n")
    visits = iter(range(0, 100_000, 200))

    def traffic(url: str) -> None:
        texts(tmp_path / "recent.csv", GOOD | NEW, 200, seed=9)
        words = [sys.executable, "client.py", url, KEY, "recent.csv", str(next(visits))]
        subprocess.run(words, check=True, cwd=tmp_path)

    def decided(url: str) -> dict[str, Any]:
        for _ in range(5):
            traffic(url)
            _, found = retrain("resume")
            if found["state"] != "waiting":
                return found
        raise AssertionError("nothing was decided")

    texts(tmp_path / "reviews.csv", GOOD, 400, seed=1)
    assert retrain("run")[1]["state"] == "promoted", "without a champion there is no canary"
    with served(tmp_path) as url:
        (tmp_path / "mood.toml").write_text(example("mood.toml").replace("http://127.0.0.1:8765", url))
        assert sources(url) == ["registry:mood/1", "registry:mood/1"]
        traffic(url)  # both arms have one model: what was shown now must not count later

        texts(tmp_path / "reviews.csv", GOOD | NEW, 800, seed=2)
        code, row = retrain("run")
        assert (code, row["state"], row["version"]) == (0, "waiting", 2)
        assert "fewer than 50 units" in row["reasons"][0]
        assert sources(url) == ["registry:mood/1", "registry:mood/2"], "the challenger's arm has it at once"
        assert decided(url)["state"] == "promoted"
        assert sources(url) == ["registry:mood/2", "registry:mood/2"], "and now everybody has"

        texts(tmp_path / "reviews.csv", NEW, 800, seed=3)
        assert retrain("run")[1]["state"] == "waiting", "the gate saw nothing of what the traffic has"
        assert sources(url) == ["registry:mood/2", "registry:mood/3"]
        assert decided(url)["state"] == "rolled back"
        assert sources(url) == ["registry:mood/2", "registry:mood/2"]
    versions = registry().versions("mood")
    assert [(one.number, one.aliases) for one in versions] == [(1, ()), (2, ("challenger", "champion")), (3, ())]
    said = [(one.body["kind"], one.body["verdict"]) for one in Records().all()]
    assert said[2:5] == [("gate", "promote"), ("canary", "promote"), ("promotion", "promoted")]
    assert said[5:] == [("gate", "promote"), ("canary", "roll back"), ("promotion", "rolled back")]
    canaries = [one.body["units"] for one in Records().all() if one.body["kind"] == "canary"]
    assert all(sum(units.values()) % 200 == 0 for units in canaries)
    assert sum(canaries[0].values()) + sum(canaries[1].values()) + 200 == next(visits)


def test_what_the_challenger_before_did_does_not_count(tmp_path: Path) -> None:
    rules = CanaryRules((Metric("right", "proportion", "right", margin=0.1, missing="drop"),), share=0.5, planned=600)
    units = [f"u{n}" for n in range(600)]
    rows = list(assign(rules.drawn, units).rows())
    began = datetime(2026, 5, 4, tzinfo=UTC)
    hours = [began + timedelta(hours=n) for n in range(4)]
    with ExposureLog(tmp_path / "log") as log:
        for at in (hours[0], hours[2]):
            log.append(exposures(assign(rules.drawn, units), at))
    outcomes = polars().DataFrame({
        "unit": units * 2,
        "time": [hours[1]] * 600 + [hours[3]] * 600,
        "right": [0.0 if row["arm"] == CHALLENGER else float(n % 2) for n, row in enumerate(rows)]
        + [1.0 if row["arm"] == CHALLENGER else float(n % 2) for n, row in enumerate(rows)],
    })  # fmt: skip
    found = canary_of_log(tmp_path / "log", outcomes, rules, since=hours[2])
    assert (found.action, sum(found.units.values())) == ("promote", 600)
    later = canary_of_log(tmp_path / "log", outcomes, rules, since=hours[3])
    assert later.action == "go on", "nobody was shown anything since"


@contextmanager
def answering(rows: list[dict[str, Any]], *, status: int = 200) -> Iterator[str]:
    """A server that says what it serves, and what it was asked to open anew."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.told({"models": rows})

        def do_POST(self) -> None:
            if status != 200:
                self.told({"error": {"message": "no admin"}}, status)
                return
            task, version = self.path.split("/")[3:5]
            (row,) = (one for one in rows if (one["task"], one["version"]) == (task, version))
            self.told(row | {"source": "registry:mood/9"})

        def told(self, content: Any, status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_follows_by_the_versions_that_it_serves() -> None:
    rows = [
        {"task": "nlp.classification", "version": "1", "source": "registry:mood/1"},
        {"task": "nlp.classification", "version": "2", "source": "registry:other/1"},
        {"task": "nlp.ner", "version": "1", "source": "registry:mood/1"},
    ]
    with answering(rows) as url:
        assert follow(url, task="nlp.classification", name="mood") == ("registry:mood/9",)
        with pytest.raises(UsageError, match="must serve registry:absent@champion or another alias of it. It serves"):
            follow(url, task="nlp.classification", name="absent")
    with pytest.raises(ServiceError, match="must be a server of triptych that answers. It did not"):
        follow(url, task="nlp.classification", name="mood")


@pytest.mark.parametrize(
    ("status", "error", "said"), [(403, UsageError, "needs a key of an admin"), (500, ServiceError, "refused POST")]
)
def test_a_refusal_is_said(status: int, error: type[Exception], said: str) -> None:
    rows = [{"task": "nlp.classification", "version": "1", "source": "registry:mood/1"}]
    with answering(rows, status=status) as url, pytest.raises(error, match=f"{said}.*no admin"):
        follow(url, task="nlp.classification", name="mood", key="wrong")


def test_the_server_of_a_plan_is_an_address_with_a_key_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "two").write_text("a b")
    with pytest.raises(DataError, match="must hold one key"):
        read_key(tmp_path / "two")
    with pytest.raises(DataError, match="must be a file with an admin key"):
        read_key(tmp_path / "absent")
    rules: Any = None
    with pytest.raises(UsageError, match="must be the http"):
        CanaryPlan(rules, exposures="log", outcomes="o.csv", server="ftp://host")
    with pytest.raises(UsageError, match="beside traffic that is replayed"):
        CanaryPlan(rules, traffic="t.csv", server="http://host")
