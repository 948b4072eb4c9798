"""A report into a file: HTML, Markdown or JSON, by the ending of its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shared.errors import UsageError
from shared.evaluation.report import Page

FORMS = (".html", ".htm", ".md", ".json")


def check_report(file: Path) -> None:
    """Refuse before the long work what could not be written after it.

    Raises:
        UsageError: the ending is none of :data:`FORMS`, or the file could not be in its folder.
    """
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise UsageError(f"the report must be a file in a folder that exists. Got {file}")
    if file.suffix.lower() not in FORMS:
        raise UsageError(f"the report's name must end in {', '.join(FORMS)}. Got {file.name!r}")


def write_report(file: Path, *, page: Callable[[], Page], content: Callable[[], Mapping[str, Any]]) -> None:
    """Write a report.

    Args:
        file: where to; its ending says in which form.
        page: gives the page of HTML and Markdown.
        content: gives the object of JSON.

    Raises:
        UsageError: the ending is none of :data:`FORMS`.
    """
    check_report(file)
    ending = file.suffix.lower()
    if ending == ".json":
        text = json.dumps(content(), ensure_ascii=False, indent=1) + "\n"
    elif ending == ".md":
        from shared.evaluation.markdown import page_markdown  # noqa: PLC0415 - each form is loaded where it is asked for

        text = page_markdown(page())
    else:
        from shared.evaluation.html import page_html  # noqa: PLC0415 - likewise

        text = page_html(page())
    file.write_text(text, "utf-8")
