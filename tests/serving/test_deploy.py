"""What deploys the server, beside the server itself: paths, ports, times and names agree, and validators pass."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from serving_toy import running

from shared.serving import Config, ServedModel
from shared.serving.config_file import parse_config
from shared.serving.server import LINGER

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
COMPOSE = sorted(DEPLOY.glob("compose*.yaml"))


@cache
def manifest(kind: str) -> dict[str, Any]:
    (found,) = [one for one in map(load, MANIFESTS) if one["kind"] == kind]
    return found


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def pod() -> dict[str, Any]:
    found: dict[str, Any] = manifest("Deployment")["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return dict(found)


def stages() -> dict[str, list[list[str]]]:
    """The instructions of each stage of the Dockerfile, a stage's own after those that it stands on."""
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE))
    found: dict[str, list[list[str]]] = {}
    name = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.split()
            found[name] = [*found.get(base, []), ["FROM", base]]
        elif name:
            found[name].append([word, rest.strip()])
    return found


def last(stage: str, word: str) -> str:
    return next(rest for name, rest in reversed(stages()[stage]) if name == word)


CONFIGS = {
    "image": (DEPLOY / "serve.toml").read_text(),
    "kubernetes": manifest("ConfigMap")["data"]["serve.toml"],
}


def seconds_to_stop(config: Config) -> float:
    """What a request accepted at the end of the drain may take, and what the server adds."""
    return config.drain_seconds + config.limits.body_seconds + config.limits.timeout + LINGER


@pytest.mark.parametrize("name", CONFIGS)
def test_a_probe_leads_to_what_the_server_answers(name: str, tmp_path: Path) -> None:
    config = parse_config(CONFIGS[name])
    keys = tmp_path / "keys.txt"
    keys.write_text("ann " + "k" * 20)
    probes = [container()[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    paths = {probe["path"] for probe in probes}
    paths.add(manifest("Deployment")["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"])
    paths.add(re.findall(r"http://127\.0\.0\.1:8000(/\w+)", last("light", "HEALTHCHECK"))[0])
    assert paths == {"/readyz", "/healthz", "/metrics"}
    toys = dataclasses.replace(config, models=(ServedModel("toy.shouts"),), api_key_file=str(keys), threads=1)
    with running(toys) as served, served.client() as client:
        assert [client.get(path).status_code for path in paths] == [200, 200, 200]
        assert client.post("/v1/tasks/toy.shouts", json={"item": "ho"}).status_code == 401
        served.service.stopping = True
        statuses = {probe["path"]: client.get(probe["path"]).status_code for probe in probes}
        assert statuses == {"/readyz": 503, "/healthz": 200}


@pytest.mark.parametrize("name", CONFIGS)
def test_one_port_goes_through(name: str) -> None:
    config = parse_config(CONFIGS[name])
    (port,) = container()["ports"]
    (offered,) = manifest("Service")["spec"]["ports"]
    assert config.host == "0.0.0.0"
    assert config.port == port["containerPort"] == int(last("light", "EXPOSE"))
    assert offered["targetPort"] == port["name"] == container()["readinessProbe"]["httpGet"]["port"]
    assert f":{config.port}/" in last("light", "HEALTHCHECK")
    assert load(COMPOSE[-1])["services"]["triptych"]["ports"] == [f"127.0.0.1:{config.port}:{config.port}"]
    annotations = manifest("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(config.port)


def test_there_is_time_to_answer_what_was_accepted() -> None:
    assert pod()["terminationGracePeriodSeconds"] > seconds_to_stop(parse_config(CONFIGS["kubernetes"]))
    grace = load(COMPOSE[-1])["services"]["triptych"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > seconds_to_stop(parse_config(CONFIGS["image"]))
    readiness, config = container()["readinessProbe"], parse_config(CONFIGS["kubernetes"])
    heard = readiness["failureThreshold"] * (readiness["periodSeconds"] + readiness["timeoutSeconds"])
    assert config.drain_seconds >= heard, "requests must be taken until the probes have said that it stops"


def test_names_lead_to_what_there_is() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    for selector in (
        manifest("Deployment")["spec"]["selector"]["matchLabels"],
        manifest("Service")["spec"]["selector"],
        manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        pod()["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    target = manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifest("Deployment")["metadata"]["name"])
    assert "replicas" not in manifest("Deployment")["spec"], "the autoscaler's number would be undone by every apply"
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert set(mounts) == set(volumes)
    assert volumes["config"]["configMap"]["name"] == manifest("ConfigMap")["metadata"]["name"]
    config = parse_config(CONFIGS["kubernetes"])
    (item,) = volumes["keys"]["secret"]["items"]
    assert config.api_key_file == f"{mounts['keys']}/{item['path']}"
    assert container()["args"] == ["--config", f"{mounts['config']}/serve.toml"]
    assert mounts["models"] == dict(re.findall(r"(\w+)=(\S+)", last("light", "ENV")))["TRIPTYCH_HOME"]


def test_a_pod_may_do_little_and_use_what_it_is_given() -> None:
    config, security = parse_config(CONFIGS["kubernetes"]), container()["securityContext"]
    assert pod()["securityContext"]["runAsNonRoot"]
    assert pod()["securityContext"]["runAsUser"] == int(last("light", "USER").split(":")[0]) > 0
    assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert config.threads == int(container()["resources"]["limits"]["cpu"])
    assert not pod()["automountServiceAccountToken"]


@pytest.mark.parametrize("stage", ["light", "full"])
def test_an_image_is_small_and_its_user_is_not_root(stage: str) -> None:
    lines = stages()[stage]
    assert last(stage, "USER") == "10001:10001"
    assert last(stage, "ENTRYPOINT") == '["triptych", "serve"]'
    ran = " ".join(rest for word, rest in lines if word == "RUN")
    assert not re.search(r"\bgcc\b|build-essential|cmake|\bmake\b|pip install", ran)
    assert "pip uninstall" in ran
    assert next(rest for word, rest in lines if word == "FROM").startswith("python:")
    built = " ".join(rest for word, rest in stages()[f"build-{stage}"] if word == "RUN")
    assert "-c constraints.txt" in built


def test_an_image_holds_what_the_project_has() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [*re.findall(r"\.\[([\w,]+)\]", str(stages()["build-light"])), last("build-full", "ARG").split("=")[1]]
    assert {name for names in wanted for name in names.split(",")} <= set(extras)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [shlex.split(rest)[:-1] for words in stages().values() for word, rest in words if word == "COPY"]
    names = {name for words in copied if not words[0].startswith("--") for name in words}
    assert names <= allowed
    assert all((ROOT / name).exists() for name in names)


VALIDATORS = [
    ("yamllint", ["-c", str(DEPLOY / ".yamllint.yaml"), "--strict", str(DEPLOY)]),
    ("check-jsonschema", ["--builtin-schema", "vendor.compose-spec", *map(str, COMPOSE)]),
    ("kubernetes-validate", ["--strict", *map(str, MANIFESTS)]),
    ("hadolint", [str(DEPLOY / "Dockerfile")]),
]


@pytest.mark.parametrize(("name", "arguments"), VALIDATORS, ids=[name for name, _ in VALIDATORS])
def test_a_validator_finds_nothing(name: str, arguments: list[str]) -> None:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which(name, path=places)
    if program is None:
        pytest.skip(f"{name} is not installed: make deploy-lint installs it and runs all of them")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
