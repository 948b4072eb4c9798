"""``triptych similar MODEL --item I``: items like an item."""

from __future__ import annotations

import json

import click

from shared.cli.recommend import lines, open_recommender
from shared.errors import UsageError

HELP = """List the items most like each ITEM, by a model that "triptych train recsys.collaborative" wrote into MODEL.

\b
  triptych similar my-model --item 50 -k 5 --titles movies.csv"""


@click.command("similar", help=HELP)
@click.argument("model")
@click.option("--item", "items", multiple=True, help="an item's id; may be given several times")
@click.option("-k", "k", type=int, default=10, show_default=True, help="how many items, at least 1")
@click.option("--titles", default=None, help="a file with item ids and titles, to print names")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
def command(model: str, items: tuple[str, ...], *, k: int, titles: str | None, as_json: bool) -> int:
    """See :data:`HELP`."""
    if not items:
        raise UsageError("say to what: give at least one --item")
    for answer in open_recommender(model, k=k, titles=titles).similar_items(items):
        found = answer.to_json()
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False))
        else:
            click.echo("\n".join([f"item {answer.item}", *lines(found)]))
    return 0
