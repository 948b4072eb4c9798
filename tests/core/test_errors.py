"""Error texts, lazy imports and the settings that the environment carries."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import MissingDependencyError, UnknownNameError
from shared.lazy import require
from shared.settings import cpu_count, home, offline


def test_an_unknown_name_lists_near_ones_else_all_else_says_there_are_none() -> None:
    assert "Nearest: mobilenetv2" in str(UnknownNameError("model", "mobilenet", ["mobilenetv2", "zzz"]))
    assert "Known: a, b" in str(UnknownNameError("model", "qqqq", ["b", "a"]))
    assert "and 8 more" in str(UnknownNameError("model", "qqqq", [f"{i:02}" for i in range(20)]))
    assert "No model is known here at all" in str(UnknownNameError("model", "x", []))


def test_a_missing_extra_says_the_pip_command() -> None:
    with pytest.raises(MissingDependencyError, match=r"Run: pip install 'triptych\[torch\]'"):
        require("no_such_module_here", extra="torch")


def test_a_fault_inside_an_installed_module_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import something_it_needs_and_lacks\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="something_it_needs_and_lacks") as caught:
        require("half_installed", extra="torch")
    assert not isinstance(caught.value, MissingDependencyError)


@pytest.mark.parametrize(
    ("value", "wanted"), [("1", True), ("TRUE", True), ("maybe", True), ("0", False), ("", False), ("No", False)]
)
def test_the_offline_switch_is_read_carefully(value: str, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", value)
    assert offline() is wanted


def test_home_is_the_named_folder_or_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_HOME", "~/models")
    assert home() == Path.home() / "models"
    monkeypatch.delenv("TRIPTYCH_HOME")
    assert home().name == "triptych"


def test_there_is_at_least_one_processor() -> None:
    assert cpu_count() >= 1
