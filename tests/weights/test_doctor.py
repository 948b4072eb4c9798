"""``triptych doctor``: true, complete, quick, and without a secret."""

from __future__ import annotations

import importlib.metadata
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from standin import Page, StandIn, closed_port, mute_port, noise, row, write_rows

from shared import catalogue
from shared.cli import doctor
from shared.cli.doctor import command


def report(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_it_tells_what_this_machine_has(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    found = json.loads(report("--json"))
    assert found["machine"]["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert found["machine"]["processors"] >= 1
    assert found["machine"]["memory"] > found["machine"]["memory_free"] > 0
    assert found["settings"]["TRIPTYCH_HOME"] == {"path": str(home), "chosen": True, "exists": True}
    assert found["settings"]["TRIPTYCH_OFFLINE"] is True
    libraries = {(row["name"], row["extra"]): row for row in found["libraries"]}
    assert libraries["numpy", ""]["version"] == importlib.metadata.version("numpy")
    assert libraries["numpy", ""]["install"] is None
    assert libraries["torch", "torch"]["install"] in (None, "pip install 'triptych[torch]'")
    assert not any(extra in ("dev", "all") for _, extra in libraries)


def test_a_library_that_is_missing_or_too_old_gets_its_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=999", 'no-such-library>=1; extra == "recsys"', 'pytest; extra == "dev"']
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: wanted)
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    lines = report().splitlines()
    older = f"{importlib.metadata.version('numpy')}, and >=999 is needed: pip install 'triptych'"
    assert f"  numpy                     {older}" in lines
    assert "  no-such-library [recsys]  not installed: pip install 'triptych[recsys]'" in lines
    assert not any(line.startswith("  pytest") for line in lines)


def test_offline_no_socket_is_opened(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    monkeypatch.setattr(socket, "socket", None)
    assert "Network\n  not asked\n" in report()


def test_it_says_which_places_answer_and_keeps_their_secrets(
    home: Path, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.weights.http.READ_SECONDS", 1.0)
    server.pages |= {"/simple/pip/": Page(b"<html>"), "/refusing/pip/": Page(b"", status=403), "/": Page(b"hub")}
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:sesame@{server.host}/simple")
    with mute_port() as mute:
        extra = [f"{server.url}/refusing", closed_port(), mute, tmp_path.as_uri(), "file:///nowhere"]
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", " ".join(extra))
        monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere/wheels")
        began = time.monotonic()
        rows = json.loads(report("--json"))["network"]
        assert time.monotonic() - began < 60
    assert [(row["what"], row["answers"]) for row in rows] == [
        ("package index", True),
        ("package index", False),
        ("package index", False),
        ("package index", False),
        ("package index", True),
        ("package index", False),
        ("find-links", False),
        ("model hub", True),
    ]
    assert rows[0]["where"] == f"http://***@{server.host}/simple"
    assert "answered 403: it refuses" in rows[1]["said"]
    assert "did not answer" in rows[2]["said"]
    assert "did not answer" in rows[3]["said"]
    assert rows[5]["said"] == "there is no such folder; it is passed over"
    text = report()
    assert "sesame" not in text
    assert f"NO   {server.url}/refusing" in text


def test_a_configuration_that_cannot_be_read_is_a_row(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "pip.conf").write_text("no section\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(home / "pip.conf"))
    monkeypatch.setenv("HF_ENDPOINT", closed_port())
    rows = json.loads(report("--json"))["network"]
    assert [row["answers"] for row in rows] == [False, False]
    assert "cannot be read" in rows[0]["said"]


def test_each_task_names_its_default_and_what_it_would_fetch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_shipped", tuple)
    monkeypatch.setattr(doctor, "task_names", lambda: ["test.none", "test.packaged", "test.weights"])
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    far = row("far", noise(3_000_000), "https://far.example/m").replace("summary", "default = true\nsummary")
    packaged = Path(catalogue.__file__).read_bytes()
    near = row("near", packaged, "package:shared/catalogue.py").replace("summary", "default = true\nsummary")
    write_rows(home, far, near.replace("test.weights", "test.packaged"))
    lines = report().splitlines()
    assert lines[lines.index("Tasks") + 1 :] == [
        "  test.none      no default  train one, and name its folder",
        "  test.packaged  near        here, fake, Apache-2.0",
        "  test.weights   far         3.0 MB to fetch, fake, Apache-2.0",
    ]


def test_it_imports_nothing_heavy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    heavy = ("torch", "openvino", "onnxruntime", "sklearn", "scipy", "pyarrow", "gradio", "huggingface_hub")
    code = f"""
import sys
from click.testing import CliRunner
from shared.cli.doctor import command
assert CliRunner().invoke(command).exit_code == 0
print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
