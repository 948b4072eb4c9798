"""A question of one's documents, asked outside the page."""

from __future__ import annotations

import shlex
from typing import Any

from demos.sharing import Elsewhere, Upload, upload
from nlp.qa.ask import NO_READER

MOST_SHOWN = 4_000
"""Characters of a pasted text up to which the request elsewhere carries it."""
PASTED = "pasted text.md"
FEW_WORDS, SENTENCES = "A few words", "A whole sentence"
_CODE = """import json

import nlp

with nlp.open_index("asked.index", create=True) as index:
    for row in index.add({files!r}):
        print(row)
    found = nlp.asker(index{reader}).predict([{question!r}])[0]
print(json.dumps(found.to_json()))
"""


def elsewhere(
    files: list[dict[str, Any]] | None, pasted: str, question: str, form: str, model: str | None = None
) -> Elsewhere:
    """The same request outside the page; a text that was pasted becomes a file there.

    ``model`` is the reader, where it is not the task's own.
    """
    given = [file for file in map(upload, files or []) if file is not None]
    save, write, sent = "", "", list(given)
    if pasted.strip():
        short = len(pasted) <= MOST_SHOWN
        save = write = f"# {PASTED!r} is the text that you wrote"
        if short:
            save = f"printf %s {shlex.quote(pasted)} > {shlex.quote(PASTED)}"
            write = f"from pathlib import Path\n\nPath({PASTED!r}).write_text({pasted!r}, 'utf-8')"
        given.append(Upload(PASTED))
        if not short:
            sent, pasted = list(given), ""
    names, reader = [file.name for file in given], NO_READER if form == SENTENCES else model
    steps = [
        shlex.join(["triptych", "index", "build", "asked.index", "--", *names]),
        shlex.join(
            [
                "triptych",
                "ask",
                *([] if reader is None else ["--reader", reader]),
                "--json",
                "--",
                "asked.index",
                question,
            ]
        ),
    ]
    code = _CODE.format(files=names, question=question, reader="" if reader is None else f", reader={reader!r}")
    return Elsewhere(
        "\n".join(filter(None, [write, code])),
        "\n".join(filter(None, [save, *steps])),
        "ask",
        [sent, pasted, question, form, model],
        "nlp.qa",
        {"question": question, "context": pasted or "the text of a document"},
        remark="The service answers out of one text; documents are searched by the command and from Python.",
    )
