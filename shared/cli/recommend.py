"""``triptych recommend MODEL --user U``: what a person would like next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from shared.errors import UsageError
from shared.tasks import find_task
from shared.types import Failure
from shared.weights import read_model_folder

HELP = """Recommend items to people: users of the training data by their id, anybody by a history of items.

MODEL is a model folder that "triptych train recsys.collaborative" wrote. An unknown user gets the popular items, and
the reason says so.

\b
  triptych recommend my-model --user 196 --user 22 -k 5
  triptych recommend my-model --history 50 --history 181 --titles movies.csv"""


def open_recommender(model: str, **options: Any) -> Any:
    """The predictor behind a model folder whose task takes ids.

    Raises:
        DataError: the folder holds no model.
        UsageError: the model is of another kind.
    """
    task = find_task(read_model_folder(Path(model)).task)
    if task.inputs != "id":
        raise UsageError(f"MODEL must be a recommender. {model} is a model of {task.name}: see triptych predict")
    return task.open(model, **options)


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
@click.option("-k", "k", type=int, default=10, show_default=True, help="how many items, at least 1")
@click.option("--include-seen", is_flag=True, help="rank what the person interacted with too")
@click.option("--titles", default=None, help="a file with item ids and titles, to print names")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
def command(
    model: str,
    users: tuple[str, ...],
    history: tuple[str, ...],
    *,
    k: int,
    include_seen: bool,
    titles: str | None,
    as_json: bool,
) -> int:
    """See :data:`HELP`."""
    people: list[Any] = [*users, *([list(history)] if history else [])]
    if not people:
        raise UsageError("say for whom: give at least one --user, or a --history")
    predictor = open_recommender(model, k=k, include_seen=include_seen, titles=titles)
    failed = 0
    for person, answer in zip(people, predictor.stream(people)):
        failed += isinstance(answer, Failure)
        found = answer.to_json()
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False))
        elif isinstance(answer, Failure):
            click.echo(f"{person!r}: failed: {answer.message}")
        else:
            who = "history " + ", ".join(person) if isinstance(person, list) else f"user {person}"
            click.echo("\n".join([f"{who}  ({found['reason']})", *lines(found)]))
    return 1 if failed else 0
