"""``triptych models``: what people see, and the exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from standin import Page, StandIn, closed_port, noise, row, sha256, write_rows

from shared import catalogue
from shared.cli.main import main
from shared.testing import fake_card
from shared.weights import write_model_folder

CONTENT = noise(300_000)
COMMIT = "0" * 40
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; gives the exit code, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["triptych", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def rows(home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue of a default, an opt-in model and one whose hash the hub states, and nothing that is shipped."""
    monkeypatch.setattr(catalogue, "_shipped", tuple)
    monkeypatch.setenv("HF_ENDPOINT", closed_port())
    server.pages["/m"] = Page(CONTENT)
    plain = row("plain", CONTENT, f"{server.url}/m?token=sesame").replace("summary", "default = true\nsummary")
    strict = row("strict", noise(300_000, seed=2), closed_port() + "/m")
    strict = strict.replace('"Apache-2.0"', '"AGPL-3.0"').replace("summary", 'opt_in = "AGPL-3.0"\nsummary')
    write_rows(home, plain, strict, row("stated", None, f"hf:o/r@{COMMIT}/m").replace("test.weights", "test.other"))
    return home / "weights" / sha256(CONTENT)[:16] / "model.bin"


def test_the_list_says_what_matters_of_each(rows: Path, run: Run) -> None:
    code, out, _ = run("models", "list")
    assert code == 0
    assert out == (
        "MODEL   TASK          LICENCE     SIZE          HERE\n"
        "stated  test.other    Apache-2.0  size unknown  no\n"
        "plain   test.weights  Apache-2.0  300.0 kB      no    default\n"
        "strict  test.weights  AGPL-3.0    300.0 kB      no    opt-in: AGPL-3.0\n"
    )
    code, out, _ = run("models", "list", "--task", "test.weights", "--json")
    listed = [json.loads(line) for line in out.splitlines()]
    assert [(card["name"], card["here"], card["default"]) for card in listed] == [
        ("plain", False, True),
        ("strict", False, False),
    ]
    code, _, err = run("models", "list", "--task", "test.weighs")
    assert code == 2
    assert err == "triptych: no task with models is called 'test.weighs'. Nearest: test.weights, test.other\n"


def test_fetch_brings_all_defaults_and_show_says_where_they_lie(rows: Path, run: Run) -> None:
    code, out, err = run("models", "fetch")
    assert (code, out) == (0, "plain: 300.0 kB here and verified\n")
    assert "fetching model.bin, 300.0 kB" in err
    code, out, _ = run("models", "show", "plain")
    assert code == 0
    assert f"sha256    {sha256(CONTENT)}" in out
    assert f"lies in   {rows}" in out
    assert "/m?***" in out
    assert "sesame" not in out
    assert "task       test.weights (its default)" in out
    code, out, _ = run("models", "show", "stated")
    assert "the hub states it; the first download pins it" in out
    assert "nowhere yet" in out
    code, out, _ = run("models", "show", "strict", "--json")
    shown = json.loads(out)
    assert (shown["opt_in"], shown["files"][0]["path"]) == ("AGPL-3.0", None)


def test_fetch_tells_of_every_failure_and_ends_with_3(rows: Path, run: Run) -> None:
    code, out, err = run("models", "fetch", "strict", "plain", "stated", "--quiet")
    assert (code, out) == (3, "plain: 300.0 kB here and verified\n")
    assert "model.bin of model 'strict' (300.0 kB) cannot be had" in err
    assert "model.bin of model 'stated' (size unknown) cannot be had" in err
    assert err.endswith("triptych: 2 of 3 models cannot be had\n")
    code, _, err = run("models", "fetch", "plane")
    assert (code, "Nearest: plain" in err) == (2, True)


def test_verify_names_and_removes_what_is_damaged(rows: Path, run: Run) -> None:
    assert run("models", "verify") == (0, "nothing is cached yet\n", "")
    run("models", "fetch", "plain", "--quiet")
    code, out, _ = run("models", "verify")
    assert code == 0
    assert out.splitlines()[1].split() == ["ok", "plain", "model.bin", str(rows)]
    rows.write_bytes(b"damaged")
    code, out, err = run("models", "verify")
    assert code == 1
    assert out.splitlines()[1].split() == ["damaged", "plain", "model.bin", str(rows)]
    assert err == f"triptych: {rows} is damaged; --delete removes it\n"
    assert rows.exists()
    code, _, err = run("models", "verify", "plain", "--delete")
    assert (code, err) == (1, f"triptych: {rows} was damaged and is deleted\n")
    assert not rows.parent.exists()
    code, _, err = run("models", "verify", "plain")
    assert (code, err) == (
        1,
        "triptych: model.bin of plain is not on this machine; 'triptych models fetch plain' brings it\n",
    )


def test_verify_hashes_cached_files_that_no_model_lists(rows: Path, home: Path, run: Run) -> None:
    run("models", "fetch", "plain", "--quiet")
    write_rows(home)
    code, out, _ = run("models", "verify")
    assert code == 0
    assert "ok     (no model lists it)  model.bin" in out
    rows.write_bytes(b"damaged")
    assert run("models", "verify", "--delete")[0] == 1
    assert not rows.exists()


def test_a_model_folder_is_shown_and_verified(tmp_path: Path, rows: Path, run: Run) -> None:
    write_model_folder(tmp_path / "mine", fake_card(), {"head.bin": b"abc"})
    code, out, _ = run("models", "show", str(tmp_path / "mine"))
    assert code == 0
    assert f"lies in  {tmp_path / 'mine' / 'head.bin'}" in out
    assert run("models", "verify", str(tmp_path / "mine"))[0] == 0
    (tmp_path / "mine" / "head.bin").write_bytes(b"abd")
    code, _, err = run("models", "verify", str(tmp_path / "mine"), "--delete")
    assert code == 1
    assert "it is not the cache's own, so replace it yourself" in err
    assert (tmp_path / "mine" / "head.bin").exists()
