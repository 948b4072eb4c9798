"""Who may come in, which models stand, splits and shadows, overload, and how a server ends."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving_toy import BATCHES, GATE, Running, running

from shared.errors import DataError, UnknownNameError
from shared.experiments.assignment import assign
from shared.experiments.definition import Arm, Experiment
from shared.experiments.exposures import read_exposures
from shared.serving import Config, Limits, ServedModel, Shadow, Split, SplitArm, read_config
from shared.serving.config_file import parse_config
from shared.serving.keys import read_keys

KEY, ADMIN = "k" * 20, "a" * 20


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    hashed = hashlib.sha256(ADMIN.encode()).hexdigest()
    path.write_text(f"# who may come in\nann {KEY}\n\nroot sha256:{hashed} admin  # of the house\n")
    return path


@pytest.fixture(scope="module")
def guarded(keys: Path) -> Iterator[Running]:
    with running(Config(models=(ServedModel("toy.shouts"),), api_key_file=str(keys))) as found:
        yield found


def shout(client: httpx.Client, item: str = "ho", **more: Any) -> httpx.Response:
    return client.post("/v1/tasks/toy.shouts", json={"item": item, **more.pop("body", {})}, **more)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {KEY}x"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"x-api-key": KEY}, 200),
        ({"x-api-key": ADMIN}, 200),
    ],
)
def test_a_key_lets_in(guarded: Running, headers: dict[str, str], status: int) -> None:
    with guarded.client(headers=headers) as client:
        assert shout(client).status_code == status
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    assert KEY not in guarded.log.getvalue()


def test_models_come_and_go_by_the_admin_key_alone(guarded: Running) -> None:
    with guarded.client(headers={"x-api-key": KEY}) as client:
        refused = client.post("/v1/models", json={"task": "toy.shouts"})
        assert (refused.status_code, refused.json()["error"]["kind"]) == (403, "forbidden")
    with guarded.client(headers={"x-api-key": ADMIN}) as client:
        row = client.post("/v1/models", json={"task": "toy.shouts", "model": "new", "options": {"tone": "?"}})
        assert (row.status_code, row.json()["version"]) == (201, "2")
        assert client.post("/v1/models", json={"task": "toy.shouts", "version": "2"}).status_code == 409
        unknown = client.post("/v1/models", json={"task": "toy.shouts", "model": "absent"})
        assert (unknown.status_code, unknown.json()["error"]["kind"]) == (404, "unknown-model")
        assert client.post("/v1/models", json={"task": "toy.shouts", "modle": "x"}).status_code == 400
        assert shout(client).json()["result"]["text"] == "HO!"
        pointed = client.post("/v1/models/toy.shouts/alias", json={"alias": "default", "version": "2"})
        assert pointed.json()["aliases"] == ["default"]
        assert shout(client).json()["result"]["text"] == "HO?"
        assert client.delete("/v1/models/toy.shouts/2").json()["error"]["kind"] == "in-use"
        client.post("/v1/models/toy.shouts/alias", json={"alias": "default", "version": "1"})
        left = weakref.ref(guarded.service.registry.find("toy.shouts", "2").predictor)
        assert client.delete("/v1/models/toy.shouts/2").json()["unloaded"]
        gc.collect()
        assert left() is None, "something still holds the unloaded model"
        assert shout(client, body={"model": "2"}).status_code == 404
        assert client.delete("/v1/models/toy.shouts/9").status_code == 404


def test_a_rate_holds_for_each_key() -> None:
    with running(Config(models=(ServedModel("toy.shouts"),), rate=2.0)) as served, served.client() as client:
        assert served.service.buckets is not None
        served.service.buckets._clock = lambda: 0.0  # all of them within one moment
        found = [shout(client) for _ in range(4)]
        assert [one.status_code for one in found] == [200, 200, 429, 429]
        assert found[3].json()["error"]["kind"] == "rate-limited"
        assert int(found[3].headers["retry-after"]) >= 1
        assert client.get("/metrics").status_code == 200


def test_overload_is_refused_at_once_and_neighbours_run_together() -> None:
    limits = Limits(queue=3, max_batch=8)
    config = Config(models=(ServedModel("toy.shouts"),), limits=limits)
    with running(config) as served, ThreadPoolExecutor(4) as pool, served.client() as client:
        batcher = served.service.registry.find("toy.shouts").batcher
        held = [pool.submit(shout, client, "wait")]
        until(lambda: batcher.running == 1)
        held += [pool.submit(shout, client, text) for text in ("a", "bad", "b")]
        until(lambda: batcher.depth == 3)
        refused = shout(client, "c")
        assert (refused.status_code, refused.json()["error"]["kind"]) == (429, "overloaded")
        assert refused.headers["retry-after"]
        GATE.set()
        assert [one.result().status_code for one in held] == [200, 200, 422, 200]
        assert sorted(BATCHES[-1]) == ["a", "b"]


def test_a_split_gives_a_unit_its_arm_and_logs_what_it_saw(tmp_path: Path) -> None:
    arms = {"old": SplitArm("1", 0.5), "new": SplitArm("2", 0.5)}
    models = (ServedModel("toy.shouts"), ServedModel("toy.shouts", version="2", options={"tone": "?"}))
    split = Split("tones", arms, log=str(tmp_path / "log"))
    units = [f"u{n}" for n in range(12)]
    with running(Config(models=models, splits={"toy.shouts": split})) as served, served.client() as client:
        said = [shout(client, headers={"x-unit-id": unit}).json()["result"]["text"] for unit in units]
        assert shout(client).json()["result"]["text"] == "HO!"
        assert shout(client, body={"model": "2"}, headers={"x-unit-id": "u0"}).json()["result"]["text"] == "HO?"
        row = client.get("/v1/experiments").json()["splits"][0]
    wanted = [row["arm"] for row in assign(Experiment("tones", (Arm("old", 0.5), Arm("new", 0.5))), units).rows()]
    assert set(wanted) == {"old", "new"}
    assert said == ["HO!" if arm == "old" else "HO?" for arm in wanted]
    assert row["arms"]["old"]["exposures"] == wanted.count("old")
    logged = [(one.unit, one.arm) for one in read_exposures(tmp_path / "log")]
    assert logged == list(zip(units, wanted))


def test_a_shadow_answers_for_nobody_and_delays_nobody() -> None:
    models = (ServedModel("toy.shouts"), ServedModel("toy.shouts", version="2", options={"tone": "?"}))
    config = Config(models=models, shadows={"toy.shouts": Shadow("2", backlog=1)})
    with running(config) as served, served.client() as client:
        shadow = served.service.registry.find("toy.shouts", "2").batcher
        assert shout(client, "one").json()["result"]["text"] == "ONE!"
        until(lambda: not shadow.depth + shadow.running)
        assert client.get("/v1/experiments").json()["shadows"][0]["items"]["differed"] == 1
        assert shadow.depth + shadow.running == 0


def until(condition: Any) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.005)


def test_a_model_that_cannot_be_opened_ends_the_server() -> None:
    with running(Config(models=(ServedModel("toy.shouts", "absent"),))) as served:
        served.thread.join(60)
        assert not served.thread.is_alive()
        assert isinstance(served.service.failure, UnknownNameError)


SERVE = """
import sys
import serving_toy
from shared.serving import server
from shared.serving.config import Config, Limits, ServedModel
build = server.build_app
server.build_app = lambda config: build(config, find=serving_toy.find)
limits = Limits(queue=1000, max_batch=4, max_queue_ms=60000)
sys.exit(server.serve(Config(models=(ServedModel("toy.shouts"),), port=0, limits=limits)))
"""


def test_a_stopped_server_answers_everything_that_it_accepted() -> None:
    """Clients send without pause while the server gets SIGTERM: each request has an answer, or was never taken."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVE],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    counts: dict[str, int] = {"answered": 0, "refused": 0, "not-connected": 0, "lost": 0}
    lock, down = threading.Lock(), threading.Event()

    def client() -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            while not down.is_set():
                try:
                    answer = shout(http, "sleep 0.005")
                    outcome = {200: "answered", 503: "refused"}.get(answer.status_code, "lost")
                except httpx.ConnectError:
                    outcome = "not-connected"
                    down.set()
                except httpx.TransportError:
                    outcome = "lost"
                if outcome == "refused":
                    time.sleep(0.02)  # nobody comes again at once after a 503
                with lock:
                    counts[outcome] += 1

    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        until(lambda: http.get("/readyz").status_code == 200)
    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: counts["answered"] > 40)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stdout.close()
    for thread in threads:
        thread.join(60)
    assert counts["lost"] == 0, counts
    assert counts["not-connected"] > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models]", "models must be a list"),
        ("[[models]]\ntask = 3", "model 1: task must be a str. Got 3"),
        ("[[models]]\nmodel = 'x'", "model 1 must have task"),
        ("[server]\nprot = 1", "no key of .server. is called 'prot'. Nearest: port"),
        ("[limits]\nqueue = 0", "limits: queue must be above 0"),
        ("[shadow.'toy.shouts']\nmodel = '2'", "no served task is called 'toy.shouts'"),
        ("[split.x]\nexperiment = 'e'", "must be a table with arms"),
        ("model = ", "must be TOML"),
    ],
)
def test_a_configuration_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_config(text)


def test_a_configuration_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(
        """
[server]
rate = 5
threads = 1
[limits]
timeout = 2
[[models]]
task = "toy.shouts"
aliases = ["default", "stable"]
[[models]]
task = "toy.shouts"
version = "2"
[split."toy.shouts"]
experiment = "tones"
arms = { old = { model = "1", weight = 0.5 }, new = { model = "2", weight = 0.5 } }
[shadow."toy.shouts"]
model = "2"
"""
    )
    found = read_config(path)
    assert (found.rate, found.threads, found.limits.timeout) == (5.0, 1, 2.0)
    assert [one.aliases for one in found.models] == [("default", "stable"), ()]
    assert found.splits["toy.shouts"].arms["new"] == SplitArm("2", 0.5)
    from shared.serving.server import config_from_json, config_to_json

    assert config_from_json(config_to_json(found)) == found
    assert json.loads(config_to_json(found))["rate"] == 5.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have at least one key"),
        ("ann short", "at least 16 characters"),
        (f"ann {KEY} root", "NAME KEY admin"),
        (f"ann {KEY}\nann {ADMIN}", "each name once"),
    ],
)
def test_a_file_of_keys_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_keys(path)
    assert KEY not in str(error.value)
