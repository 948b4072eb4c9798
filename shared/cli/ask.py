"""``triptych ask INDEX QUESTION...``: answers out of documents, each with the place that it stands at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from shared.cli.predict import json_line
from shared.errors import UsageError
from shared.tasks import find_task
from shared.types import Failure

TASK = "nlp.qa"
_WIDTH = 400
HELP = """Answer each QUESTION from the documents of INDEX ("triptych index build"), and say where the answer stands.

An answer is the stretch of a passage that a reader model chose, or a whole sentence of it where no reader is named and
none is the default. With --generate a language model writes the answer over the same passages, and only sentences that
cite a passage which supports them are shown. Where nothing supports an answer, it says so.

\b
  triptych ask my-index "How high is the Eiger?"
  triptych ask my-index "How high is the Eiger?" --generate http://127.0.0.1:8000/v1

The key of an endpoint is read from OPENAI_API_KEY."""


@click.command("ask", help=HELP)
@click.argument("index", type=click.Path(path_type=Path))
@click.argument("questions", nargs=-1, required=True, metavar="QUESTION...")
@click.option("--answers", type=int, default=3, show_default=True, help="answers at most, at least 1")
@click.option("--reader", help="name of a reader model; none: whole sentences; the default one when not given")
@click.option("--reranker", help="name of a re-ranker; ms-marco-minilm-l12 when not given")
@click.option("--way", default="hybrid", show_default=True, help="of search: words, meaning or hybrid")
@click.option("--threshold", type=float, help="how well a passage must fit, in [0, 1]")
@click.option("--generate", help="an endpoint's address, hf:OWNER/NAME, or a folder with a language model")
@click.option("--generate-model", help="name of the endpoint's model; the first that it lists when not given")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or gpu")
@click.option("--threads", type=int, help="processor threads; all when not given")
def command(
    index: Path,
    questions: tuple[str, ...],
    *,
    answers: int,
    reader: str | None,
    generate: str | None,
    generate_model: str | None,
    as_json: bool,
    device: str,
    threads: int | None,
    **options: Any,
) -> int:
    """See :data:`HELP`."""
    if generate and reader:
        raise UsageError("--reader and --generate are two ways to answer: name one of them")
    if generate_model and not generate:
        raise UsageError("--generate-model names a model of the endpoint that --generate names: give that too")
    given = {name: value for name, value in options.items() if value is not None} | {"threads": threads}
    tools = find_task(TASK).tools
    failed = 0
    with tools["open_index"](index, device=device, threads=threads) as opened:
        if generate:
            live = not as_json and sys.stderr.isatty()
            heard = (lambda piece: click.echo(piece, nl=False, err=True)) if live else None
            predictor = tools["answerer"](opened, generate, model=generate_model, device=device, heard=heard, **given)
        else:
            predictor = tools["asker"](opened, reader=reader, answers=answers, device=device, **given)
        for question, result in zip(questions, predictor.stream(questions, batch_size=1)):
            failed += isinstance(result, Failure)
            click.echo(_row(question, result) if as_json else _plain(question, result))
    return 1 if failed else 0


def _row(question: str, result: Any) -> str:
    if isinstance(result, Failure):
        error = {"kind": result.kind, "message": result.message}
        return json_line({"input": question, "ok": False, "error": error})
    return json_line({"input": question, "ok": True, "result": result.to_json()})


def _plain(question: str, result: Any) -> str:
    if isinstance(result, Failure):
        lines = [f"{question}: failed: {result.message}"]
    else:
        found = result.to_json()
        lines = [question, *(_written(found) if "text" in found else _found(found)), ""]
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")


def _found(found: dict[str, Any]) -> list[str]:
    if not found["answers"]:
        return ["  I don't know: nothing in these documents supports an answer."]
    lines = []
    for place, answer in enumerate(found["answers"], 1):
        lines.append(f"  {place}. {_line(answer['text'])}  ({answer['score']:.0%})")
        lines.append(f"     {_where(answer['passage'], answer['start'], answer['end'])}")
        lines.append(f"     {_shown(answer)}")
    return lines


def _written(found: dict[str, Any]) -> list[str]:
    lines = [f"  {line}" for line in found["text"].splitlines()]
    cited = sorted({citation["number"] for citation in found["citations"] if citation["supported"]})
    for number in cited:
        passage = found["passages"][number - 1]
        lines.append(f"  [{number}] {_where(passage, passage['start'], passage['end'])}")
    unsupported = sum(not citation["supported"] for citation in found["citations"])
    if unsupported:
        lines.append(f"  {unsupported} of {len(found['citations'])} citations were not borne out by their passage")
    return lines


def _where(passage: dict[str, Any], start: int, end: int) -> str:
    page = "" if passage["page"] is None else f", page {passage['page']}"
    heading = f", {passage['heading']}" if passage["heading"] else ""
    return f"{passage['path']}{page}{heading}, characters {start} to {end}"


def _shown(answer: dict[str, Any]) -> str:
    """The passage around the answer, the answer between angle marks."""
    passage = answer["passage"]
    text, begin, stop = passage["text"], answer["start"] - passage["start"], answer["end"] - passage["start"]
    room = max(0, _WIDTH - (stop - begin)) // 2
    left, right = max(0, begin - room), min(len(text), stop + room)
    before = ("…" if left else "") + text[left:begin]
    after = text[stop:right] + ("…" if right < len(text) else "")
    return _line(f"{before}»{text[begin:stop]}«{after}")


def _line(text: str) -> str:
    return " ".join(text.split())
