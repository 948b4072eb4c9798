"""Message catalogues (``.po``) and translated package descriptions as pairs of strings.

The format of catalogues is the one of the GNU gettext manual, chapter "The Format of PO Files"; that of descriptions is
Debian's Translation-LANG index.
"""

from __future__ import annotations

import ast
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LARGEST_MEMBER = 64 * 1024 * 1024
_QUOTED = re.compile(r'^(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)?\s*(".*")\s*$')


def catalogue_members(archive: Path, language: str) -> Iterator[str]:
    """The texts of all catalogues of one language in a source archive, read as data and never unpacked to disk."""
    named = re.compile(rf"(?:^|[/_.-]){language}(?:[-_]{language.upper()})?(?:/.*)?\.po$")
    with tarfile.open(archive, "r|*") as opened:
        for member in opened:
            if member.isfile() and member.size <= LARGEST_MEMBER and named.search(member.name):
                handle = opened.extractfile(member)
                if handle is not None:
                    yield handle.read().decode("utf-8", errors="replace")


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Pairs ``(original, translation)`` of a catalogue: no header, nothing fuzzy, obsolete, empty or plural."""
    fields: dict[str, str] = {}
    fuzzy, current = False, ""
    for line in [*text.splitlines(), ""]:
        found = _QUOTED.match(line)
        translated = "msgstr" in fields or "msgstr[0]" in fields
        begins = line.startswith(("#", "msgctxt", "msgid"))
        if translated and (not line.strip() or begins):
            yield from _entry(fields, fuzzy=fuzzy)
            fields, fuzzy, current = {}, False, ""
        if line.startswith("#,") and "fuzzy" in line:
            fuzzy = True
        elif found is not None and not line.startswith("#"):
            current = found.group(1) or current
            fields[current] = fields.get(current, "") + _unquoted(found.group(2))
    yield from _entry(fields, fuzzy=fuzzy)


def _entry(fields: Mapping[str, str], *, fuzzy: bool) -> Iterator[tuple[str, str]]:
    original, translation = fields.get("msgid", ""), fields.get("msgstr", "")
    if original and translation and not fuzzy and "msgid_plural" not in fields and "\ufffd" not in translation:
        yield original, translation


def _unquoted(text: str) -> str:
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        return text[1:-1]


def descriptions(english: Iterable[str], other: Iterable[str], language: str) -> Iterator[tuple[str, str]]:
    """Paragraphs of package descriptions, aligned by the hash of the original and by their number."""
    originals = dict(_described(english, "en"))
    for digest, paragraphs in _described(other, language):
        mine = originals.get(digest, ())
        if len(mine) == len(paragraphs):
            yield from zip(mine, paragraphs)


def _described(lines: Iterable[str], language: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    digest, paragraphs, inside = "", [""], False
    for line in lines:
        if line.startswith("Description-md5:"):
            digest = line.split()[1]
        elif line.startswith(f"Description-{language}:"):
            paragraphs, inside = [line.partition(":")[2].strip(), ""], True
        elif inside and line.startswith(" "):
            if line.strip() == "." or line.startswith("  ") or line.strip().startswith(("*", "-")):
                paragraphs.append("" if line.strip() == "." else line.strip())
            else:
                paragraphs[-1] = f"{paragraphs[-1]} {line.strip()}".strip()
        elif not line.strip() and inside:
            yield digest, tuple(paragraphs)
            inside = False
