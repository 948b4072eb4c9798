"""``triptych recommend MODEL --user U``: what a person would like next."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from shared.batch.progress import Progress
from shared.cli.predict import json_line
from shared.errors import UsageError
from shared.tasks import find_task
from shared.types import Failure
from shared.weights import read_model_folder
from shared.weights.named import named

HELP = """Recommend items to people: users of the training data by their id, anybody by a history of items.

MODEL is a model folder that "triptych train recsys.collaborative" or "recsys.content" wrote, or registry:NAME. An
unknown user gets the popular items, and the reason says so.

With --out the rankings go into one Parquet file with the columns user, item, rank and score, for every user of the
training data (--all-users) or for those named, in little memory. The file appears when it is whole: a run that is
killed leaves the old file or none, and the same command begins anew. "triptych batch" writes shards instead, and goes
on where it was killed.

\b
  triptych recommend my-model --user 196 --user 22 -k 5 --explain
  triptych recommend my-model --history 50 --history 181 --titles movies.csv
  triptych recommend my-model --all-users -k 10 --out everybody.parquet"""


def open_recommender(model: str, **options: Any) -> Any:
    """The predictor behind a model folder whose task takes ids.

    Raises:
        DataError: the folder holds no model.
        UsageError: the model is of another kind.
    """
    folder = Path(named(model) or model)
    task = find_task(read_model_folder(folder).task)
    if task.inputs != "id":
        raise UsageError(f"MODEL must be a recommender. {model} is a model of {task.name}: see triptych predict")
    return task.open(folder, **options)


def lines(answer: dict[str, Any]) -> list[str]:
    """Ranked items as aligned lines: place, score, id and title."""
    ids = [str(item) for item in answer["items"]]
    titles = answer["titles"] or [""] * len(ids)
    width = max(map(len, ids), default=0)
    rows = zip(range(1, len(ids) + 1), answer["scores"], ids, titles)
    return [f"{place:>5}  {score:>10.4f}  {item:<{width}}  {title}".rstrip() for place, score, item, title in rows]


@click.command("recommend", help=HELP)
@click.argument("model")
@click.option("--user", "users", multiple=True, help="a user's id; may be given several times")
@click.option("--history", multiple=True, metavar="ITEM", help="an item of one person's history; give several")
@click.option("--all-users", is_flag=True, help="every user of the training data, into --out")
@click.option("-k", "k", type=int, default=10, show_default=True, help="how many items, at least 1")
@click.option("--include-seen", is_flag=True, help="rank what the person interacted with too")
@click.option("--titles", default=None, help="a file with item ids and titles, to print names")
@click.option("--explain", is_flag=True, help="why each item: what of the history, or who, adds most to its score")
@click.option("--out", default=None, metavar="FILE.parquet", help="write the rankings here instead of printing them")
@click.option("--threads", type=int, default=None, help="processor threads that rank for --out; all when not given")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
def command(
    model: str,
    users: tuple[str, ...],
    history: tuple[str, ...],
    *,
    all_users: bool,
    k: int,
    include_seen: bool,
    titles: str | None,
    explain: bool,
    out: str | None,
    threads: int | None,
    as_json: bool,
) -> int:
    """See :data:`HELP`."""
    if out is not None:
        _check_bulk(users, history, all_users=all_users, printed=explain or titles is not None)
        predictor = open_recommender(model, k=k, include_seen=include_seen, threads=threads)
        return _write(predictor, out, None if all_users else users, threads=threads, as_json=as_json)
    if all_users:
        raise UsageError("--all-users ranks for everybody into a file: say which by --out FILE.parquet")
    people: list[Any] = [*users, *([list(history)] if history else [])]
    if not people:
        raise UsageError("say for whom: give at least one --user, or a --history, or --all-users with --out")
    predictor = open_recommender(model, k=k, include_seen=include_seen, titles=titles)
    failed = 0
    for person, answer in zip(people, predictor.stream(people)):
        failed += isinstance(answer, Failure)
        found = answer.to_json()
        reasons = _reasons(predictor, person, answer) if explain else []
        if as_json:
            click.echo(json_line(found | ({"explanations": [one.to_json() for one in reasons]} if explain else {})))
        elif isinstance(answer, Failure):
            click.echo(f"{person!r}: failed: {answer.message}")
        else:
            who = "history " + ", ".join(person) if isinstance(person, list) else f"user {person}"
            said = [one.say(titles=predictor.titles) for one in reasons]
            click.echo("\n".join([f"{who}  ({found['reason']})", *_beneath(lines(found), said)]))
    return 1 if failed else 0


def _beneath(rows: list[str], said: list[str]) -> list[str]:
    """Each row with what is said of it in a line of its own, where anything is."""
    return [line for row, why in zip(rows, said) for line in (row, f"{'':>19}{why}")] if said else rows


def _reasons(predictor: Any, person: Any, answer: Any) -> list[Any]:
    """Why each item of an answer; nothing where no behaviour of the person is behind it.

    Raises:
        UsageError: scores of this family are no sum over a history.
    """
    if isinstance(answer, Failure) or answer.kind == "popular":
        return []
    return [predictor.explain(person, item) for item in answer.items]


def _check_bulk(users: tuple[str, ...], history: tuple[str, ...], *, all_users: bool, printed: bool) -> None:
    if history or all_users == bool(users):
        raise UsageError("--out takes either --all-users or at least one --user, and no --history")
    if printed:
        raise UsageError("--explain and --titles are for answers that are printed. Leave them out, or leave out --out")


def _write(predictor: Any, out: str, users: tuple[str, ...] | None, *, threads: int | None, as_json: bool) -> int:
    total = len(predictor.model.user_ids) if users is None else len(users)
    with Progress(total, done=0) as progress:
        report = predictor.recommend_all(out, users=users, threads=threads, heard=lambda done: progress.add(done, 0))
    if as_json:
        click.echo(json.dumps({**asdict(report), "path": str(report.path)}))
    else:
        click.echo(f"{report.path}: {report.rows:,} rows of {report.users:,} users in {report.seconds:.1f} s")
    return 0
