"""Which package indexes this machine's owner has chosen for pip: its configuration files and ``PIP_*`` variables.

Files, sections and precedence are those of pip's own documentation ("Configuration"), for ``pip install``: the files
from system over user and virtual environment to ``PIP_CONFIG_FILE``, of all of them first ``[global]`` and then
``[install]``, then the environment. A later value replaces an earlier one, lists included. pip need not be installed.
"""

from __future__ import annotations

import configparser
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from shared.errors import SourceError

_SECTIONS = ("global", "install")


@dataclass(frozen=True)
class PipSettings:
    """What of pip's configuration decides where packages come from.

    Attributes:
        index_urls: ``index-url`` (empty where nobody chose one) and then each ``extra-index-url``.
        default_index: whether pip would ask its own default index, before ``index_urls``.
        find_links: pages, folders and archives that are looked through beside the indexes.
        cert: certificate bundle, or empty for the system's.
        client_cert: client certificate with its key, or empty.
        trusted_hosts: ``host`` or ``host:port`` whose certificate is not asked for.
        proxy: address of a proxy, or empty.
    """

    index_urls: tuple[str, ...]
    default_index: bool
    find_links: tuple[str, ...]
    cert: str
    client_cert: str
    trusted_hosts: tuple[str, ...]
    proxy: str


def pip_settings() -> PipSettings:
    """Read pip's configuration as it stands now.

    Raises:
        SourceError: a configuration file cannot be read.
    """
    parsed = [_parsed(path) for path in config_files()]
    values: dict[str, str] = {}
    for section in _SECTIONS:
        for parser in parsed:
            found = parser.items(section) if parser.has_section(section) else []
            values |= {_key(name): value for name, value in found if value}
    values |= {_key(name[4:]): value for name, value in os.environ.items() if name.startswith("PIP_") and value}
    no_index = values.get("no-index", "").strip().lower() in {"1", "true", "yes", "on"}
    named = values.get("index-url", "").strip()
    extra = values.get("extra-index-url", "").split()
    return PipSettings(
        index_urls=() if no_index else (*([named] if named else []), *extra),
        default_index=not named and not no_index,
        find_links=tuple(values.get("find-links", "").split()),
        cert=values.get("cert", "").strip(),
        client_cert=values.get("client-cert", "").strip(),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        proxy=values.get("proxy", "").strip(),
    )


def config_files() -> list[Path]:
    """Files that pip would read, the weakest first; not all need exist."""
    named = os.environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    on_mac = sys.platform == "darwin"
    where = platformdirs.site_data_dir if on_mac else platformdirs.site_config_dir
    folders = [Path(part) for part in where("pip", appauthor=False, multipath=True).split(os.pathsep)]
    folders += [] if on_mac else [Path("/etc")]
    if not (named and Path(named).exists()):
        mac_folder = Path(platformdirs.user_data_dir("pip", appauthor=False))
        own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "pip"
        folders += [Path.home() / ".pip", mac_folder if on_mac and mac_folder.is_dir() else own]
    folders.append(Path(sys.prefix))
    return [*(folder / "pip.conf" for folder in folders), *([Path(named)] if named else [])]


def _parsed(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise SourceError(f"pip's configuration file {path} cannot be read: {error}") from error
    return parser


def _key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")
