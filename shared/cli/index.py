"""``triptych index``: indexes of documents, for search and for ``triptych ask``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from shared.batch.progress import Progress
from shared.cli.predict import json_line
from shared.errors import UsageError
from shared.tasks import find_task

TASK = "nlp.qa"
F = TypeVar("F", bound=Callable[..., Any])


@click.group("index")
def command() -> None:
    """Build indexes of documents, add to them, search them, and drop documents from them.

    An INDEX is a folder that "build" makes; it holds the documents' text and vectors. A FILE is text, Markdown, HTML or
    PDF, a folder of such files, or a quoted glob. Each command prints JSON, one object a line.
    """


def _machine(function: F) -> F:
    """The options that say what a model runs on."""
    function = click.option("--threads", type=int, help="processor threads; all when not given")(function)
    return click.option("--device", default="auto", show_default=True, help="auto, cpu or gpu")(function)


_files = click.argument("files", nargs=-1, required=True, metavar="FILE...")
_index = click.argument("index", type=click.Path(path_type=Path))
_encoding = click.option("--encoding", help="of text files; found out when not given")


@command.command("build", short_help="make an index and add documents to it")
@_index
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--encoder", help="catalogue name or model folder of a sentence encoder; all-minilm-l6-v2 when not given")
@click.option("--chunk-tokens", type=int, help="tokens of a passage at most, at least 16; 200 when not given")
@click.option("--chunk-overlap", type=int, help="tokens that neighbours share at most; 40 when not given")
@_encoding
@_machine
def build(index: Path, files: tuple[str, ...], *, encoding: str | None, **options: Any) -> int:
    """Make INDEX where there is none, and add each FILE to it as "add" does.

    An INDEX that is there already is added to, if it was made with the same encoder and lengths.
    """
    given = {name: value for name, value in options.items() if value is not None}
    with _tool("open_index")(index, create=True, **given) as opened:
        return _add(opened, files, encoding)


@command.command("add", short_help="add documents, or what has changed of them")
@_index
@_files
@_encoding
@_machine
def add(index: Path, files: tuple[str, ...], *, encoding: str | None, **options: Any) -> int:
    """Add each FILE to INDEX; each is on the disk before its line is printed.

    A file whose content is there already is passed over, one that has changed is replaced, so a run that was cut short
    may be run again. A file that cannot be used fails alone; what INDEX held of it stays. Ends with 1 then.
    """
    with _tool("open_index")(index, **options) as opened:
        return _add(opened, files, encoding)


def _add(opened: Any, files: tuple[str, ...], encoding: str | None) -> int:
    paths = list(_tool("expand_documents")(files))
    failed = 0
    with Progress(len(paths), done=0) as progress:
        for row in opened.add(paths, encoding=encoding):
            click.echo(json_line(row.to_json()))
            failed += row.status == "failed"
            progress.add(1, row.status == "failed")
    info = opened.info()
    click.echo(
        f"triptych: {info['index']} holds {info['passages']:,} passages of {info['documents']:,} documents"
        + (f"; {failed} of {len(paths)} files failed" if failed else ""),
        err=True,
    )
    return 1 if failed else 0


@command.command("search", short_help="the passages that fit a question best")
@_index
@click.argument("question")
@click.option("-k", "k", type=int, default=5, show_default=True, help="passages at most, at least 1")
@click.option("--way", default="hybrid", show_default=True, help="words (BM25), meaning (vectors), or hybrid of both")
@click.option("--rerank", is_flag=True, help="let a cross-encoder judge the best 20; slower, and better")
@_machine
def search(index: Path, question: str, *, k: int, way: str, rerank: bool, **options: Any) -> int:
    """Print the passages of INDEX that fit QUESTION best, best first."""
    with _tool("open_index")(index, **options) as opened:
        if rerank:
            found = _tool("open_finder")(opened, way=way, **options).ranked(question, k=k)
        else:
            found = opened.search(question, k=k, way=way)
        for passage in found:
            click.echo(json_line({"where": passage.where, **passage.to_json()}))
    return 0


@command.command("drop", short_help="remove documents from an index and its files")
@_index
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--missing", is_flag=True, help="every document whose file is no longer there")
def drop(index: Path, files: tuple[str, ...], *, missing: bool) -> int:
    """Remove documents from INDEX: each FILE by its path, there still or not, or all below a folder.

    When it ends, no file of INDEX holds their passages.
    """
    if bool(files) == missing:
        raise UsageError("say what to drop: FILEs, or --missing for those that are no longer there")
    with _tool("open_index")(index) as opened:
        gone = [path for path in opened.documents() if not Path(path).exists()] if missing else list(files)
        for path, passages in opened.drop(gone).items():
            click.echo(json_line({"dropped": path, "passages": passages}))
    return 0


@command.command("info", short_help="what an index is and holds")
@_index
@click.option("--documents", is_flag=True, help="a line for each document instead")
def info(index: Path, *, documents: bool) -> int:
    """Print what INDEX is made with and holds."""
    with _tool("open_index")(index) as opened:
        rows = [{"path": path, **facts} for path, facts in opened.documents().items()]
        for row in rows if documents else [opened.info()]:
            click.echo(json_line(row) if documents else json.dumps(row, ensure_ascii=False))
    return 0


def _tool(name: str) -> Callable[..., Any]:
    return find_task(TASK).tools[name]
