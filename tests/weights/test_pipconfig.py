"""pip's configuration is read as pip reads it; pip itself is the reference."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import SourceError
from shared.weights.pipconfig import config_files, pip_settings


@pytest.fixture
def user_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PIP_CONFIG_FILE", "PIP_NO_INDEX", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def asked_pip(key: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", key], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_same_files_are_read_as_by_pip(user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", str(user_home / "not-there.conf"))
    done = subprocess.run([sys.executable, "-m", "pip", "config", "debug"], capture_output=True, text=True, check=True)
    theirs = {line.split(",")[0].strip() for line in done.stdout.splitlines() if ", exists:" in line}
    assert {str(path) for path in config_files()} == theirs


def test_a_later_file_replaces_an_earlier_one(user_home: Path) -> None:
    write(user_home / "xdg/pip/pip.conf", "[global]\nindex-url = https://system.example/simple\nretries = 1\n")
    write(user_home / ".pip/pip.conf", "[global]\nindex-url = https://legacy.example/simple\n")
    write(user_home / ".config/pip/pip.conf", "[global]\nindex_url = https://user.example/simple\n")
    assert asked_pip("global.index-url") == "https://user.example/simple"
    assert pip_settings().index_urls == ("https://user.example/simple",)


def test_a_section_of_the_command_replaces_the_global_one_whatever_the_file(user_home: Path) -> None:
    write(user_home / ".pip/pip.conf", "[install]\nindex-url = https://install.example/simple\n")
    write(user_home / ".config/pip/pip.conf", "[global]\nindex-url = https://global.example/simple\n")
    assert pip_settings().index_urls == ("https://install.example/simple",)


def test_lists_have_a_value_a_line_or_a_word(user_home: Path) -> None:
    text = "[global]\nextra-index-url = file:///a\n    file:///b file:///c\nfind-links =\n    /wheels\n    /more\n"
    write(user_home / ".config/pip/pip.conf", text + "trusted-host = mirror.example other.example:8080\n")
    settings = pip_settings()
    assert settings.index_urls == ("file:///a", "file:///b", "file:///c")
    assert settings.default_index
    assert settings.find_links == ("/wheels", "/more")
    assert settings.trusted_hosts == ("mirror.example", "other.example:8080")


def test_the_environment_replaces_the_files_lists_included(user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(user_home / ".config/pip/pip.conf", "[global]\nextra-index-url = file:///a\ncert = /ca.pem\n")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///b")
    monkeypatch.setenv("PIP_INDEX_URL", "https://named.example/simple")
    monkeypatch.setenv("PIP_CERT", "")
    settings = pip_settings()
    assert settings.index_urls == ("https://named.example/simple", "file:///b")
    assert not settings.default_index
    assert settings.cert == "/ca.pem", "an empty variable counts as none, as pip's own"


def test_a_named_file_replaces_the_users(user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(user_home / ".config/pip/pip.conf", "[global]\nproxy = http://user.example\n")
    write(user_home / "own.conf", "[global]\nindex-url = https://own.example/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(user_home / "own.conf"))
    assert pip_settings().index_urls == ("https://own.example/simple",)
    assert pip_settings().proxy == ""


def test_no_index_leaves_the_links(user_home: Path) -> None:
    write(
        user_home / ".config/pip/pip.conf", "[global]\nno-index = true\nextra-index-url = file:///a\nfind-links = /w\n"
    )
    settings = pip_settings()
    assert (settings.index_urls, settings.default_index, settings.find_links) == ((), False, ("/w",))


def test_a_file_that_is_no_configuration_is_said(user_home: Path) -> None:
    write(user_home / ".config/pip/pip.conf", "index-url = x\n")
    with pytest.raises(SourceError, match="pip's configuration file .*pip.conf cannot be read"):
        pip_settings()
