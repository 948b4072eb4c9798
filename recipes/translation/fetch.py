"""Fetch what ``prepare.py`` reads of Debian: package descriptions in three languages, and the sources of packages.

    python recipes/translation/fetch.py OUT [--packages NAME ...]

The mirror is the one that apt is configured for; every file of a source package is checked against the sha256 that the
mirror's own index states. A package that the mirror does not carry is said and left out.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

NAMES = (
    "apt aptitude calibre debian-edu-doc dpkg freeciv gimp git gnucash gnumeric inkscape installation-guide iso-codes "
    "kstars libreoffice wesnoth-1.16"
)
TRANSLATIONS_ALONE = ("libreoffice", "calibre")
"""Packages of which only the archive of translations is fetched."""
SUITE = "bookworm"
DESCRIPTIONS = ("Translation-en.xz", "Translation-de.bz2", "Translation-fr.bz2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--packages", nargs="*", default=NAMES.split())
    options = parser.parse_args()
    mirror = _mirror()
    for name in DESCRIPTIONS:
        _fetch(f"{mirror}dists/{SUITE}/main/i18n/{name}", options.out / "descriptions" / name)
    index = lzma.decompress(_read(f"{mirror}dists/{SUITE}/main/source/Sources.xz")).decode("utf-8")
    for package, folder, sha256, name in _archives(index, options.packages):
        if package not in TRANSLATIONS_ALONE or "translations" in name:
            _fetch(f"{mirror}{folder}/{name}", options.out / "archives" / name, sha256=sha256)


def _mirror() -> str:
    ran = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], check=True, capture_output=True, text=True
    )
    return next(line for line in ran.stdout.splitlines() if "security" not in line and "debian" in line)


def _archives(index: str, packages: list[str]) -> list[tuple[str, str, str, str]]:
    found = {}
    for paragraph in index.split("\n\n"):
        name = re.match(r"Package: (\S+)", paragraph)
        if name and name[1] in packages:
            folder = re.search(r"^Directory: (\S+)", paragraph, re.MULTILINE)
            rows = re.findall(r"^ ([0-9a-f]{64}) \d+ (\S+\.tar\.\w+)$", paragraph, re.MULTILINE)
            if folder:
                found[name[1]] = [(name[1], folder[1], sha256, file) for sha256, file in rows if ".debian." not in file]
    return [row for rows in found.values() for row in rows]


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:
        return bytes(answer.read())


def _fetch(url: str, path: Path, *, sha256: str | None = None) -> None:
    if path.exists():
        return
    try:
        content = _read(url)
    except urllib.error.HTTPError as error:
        print(f"left out: {url} ({error})")
        return
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise SystemExit(f"{url} must have the sha256 {sha256} of the mirror's index. It has another")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    print(f"{path}: {len(content)} bytes", flush=True)


if __name__ == "__main__":
    main()
