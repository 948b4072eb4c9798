"""``triptych metrics [NAME]``: every metric of the suite, or one kind, or one metric."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isinf

import click

from shared.cli.tables import table
from shared.errors import UnknownNameError
from shared.evaluation.metrics import METRICS, MetricCard

_STREAMS = {"yes": "streams", "between bounds": "streams between bounds", "no": "needs all items"}
HELP = """List the metrics: what each takes, its range, which way is better, whether `triptych score` and
shared.evaluation.streaming can have it in bounded memory, what computes it, where it is defined.

NAME is a metric or a kind of metric; without it all are listed.

\b
  triptych metrics
  triptych metrics groups
  triptych metrics kappa --json"""


@click.command("metrics", help=HELP)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
def command(name: str | None, *, as_json: bool) -> int:
    """See :data:`HELP`."""
    cards = [card for card in METRICS.values() if name in (None, card.name, card.kind)]
    if not cards:
        kinds = dict.fromkeys(card.kind for card in METRICS.values())
        raise UnknownNameError("metric", str(name), [*METRICS, *kinds])
    if as_json:
        for card in cards:
            click.echo(json.dumps(_plain(card), ensure_ascii=False))
        return 0
    for kind in dict.fromkeys(card.kind for card in cards):
        rows = [
            [
                card.name,
                f"{card.low:g} to {card.high:g}",
                card.better,
                _STREAMS[card.streams],
                card.library,
                card.source,
            ]
            for card in cards
            if card.kind == kind
        ]
        click.echo(f"{kind}: {METRICS[rows[0][0]].inputs}")
        click.echo(table(None, rows, indent=2))
    return 0


def _plain(card: MetricCard) -> dict[str, object]:
    """The card with ``null`` where a range has no end: JSON knows no infinity."""
    ends = {end: None if isinf(value) else value for end, value in (("low", card.low), ("high", card.high))}
    return {**asdict(card), "inputs": card.inputs, **ends}
