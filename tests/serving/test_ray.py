"""The application under Ray Serve, on this machine alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from shared.errors import UsageError
from shared.serving import Config, ServedModel, Split, SplitArm
from shared.serving.ray_app import SETTINGS, build_deployment

pytest.importorskip("ray.serve", reason="needs the extra cluster: pip install 'triptych[cluster]'")

SCRIPT = """
import sys, ray
from ray import serve
from shared.serving import Config, ServedModel
from shared.serving.ray_app import build_deployment
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
config = Config(models=(ServedModel("toy.shouts"), ServedModel("toy.colours")))
serve.run(build_deployment(config, most=1, find="serving_toy:find"), route_prefix="/")
print("up", flush=True)
sys.stdin.readline()
serve.shutdown()
ray.shutdown()
"""


@pytest.mark.cluster
def test_ray_serves_the_same_application(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": paths, "RAY_USAGE_STATS_ENABLED": "0"} | SETTINGS
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(port)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("up") for line in lines), "Ray Serve did not start"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            answer = client.post("/v1/tasks/toy.shouts", json={"item": "ho"}, headers={"x-request-id": "r-1"})
            assert (answer.status_code, answer.json()["result"]["text"]) == (200, "HO!")
            assert answer.headers["x-request-id"] == "r-1"
            bad = client.post("/v1/tasks/toy.colours", json={"item": "/etc/passwd"})
            assert (bad.status_code, bad.json()["error"]["kind"]) == (422, "refused")
            assert client.get("/readyz").json()["status"] == "ready"
        process.communicate("\n", timeout=60)
    assert process.returncode == 0


def test_several_processes_write_no_exposure_log() -> None:
    arms = {"a": SplitArm("1", 0.5), "b": SplitArm("1", 0.5)}
    config = Config(models=(ServedModel("toy.shouts"),), splits={"toy.shouts": Split("e", arms, log="log")})
    with pytest.raises(UsageError, match="one process writes an exposure log"):
        build_deployment(config)
