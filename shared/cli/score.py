"""``triptych score TABLE``: figures of predictions that stand in a table, row by row, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from shared.cli.score_inputs import Kind, Rows, check_kind, missing
from shared.cli.score_table import Chunk, Source, Values, open_table, split_path, step_into
from shared.cli.tables import table as text_table
from shared.errors import DataError, UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES
from shared.evaluation.report import Metric
from shared.evaluation.streaming import KINDS, Stream, why_whole
from shared.evaluation.streaming_rows import STREAMED

HELP = """Figures of the predictions in TABLE, each with its interval of 95 %, in one pass and bounded memory.

TABLE is a .parquet, .csv, .tsv, .jsonl or .ndjson file, or the folder that `triptych batch` wrote. A column may be a
path into objects and lists, such as result.labels.0.label. Labels may stand in a second table that is joined by id and
fits into memory. A row without a prediction counts as wrong where a figure has a value for that, and is left out and
counted elsewhere; the command then ends with 1. `triptych metrics` lists the figures and which of them stream.

\b
Examples:
  triptych score predictions.parquet --truth label --prediction guess -m accuracy -m macro_f1 --by country
  triptych score ratings.csv --truth rating --prediction predicted -m rmse -m mae --group user
  triptych score clicks.parquet --truth clicked --scores p -m roc_auc --json
  triptych score out/ --prediction result.labels.0.label --labels truth.csv --truth label -m accuracy"""
_OPTIONS = ("k", "bins", "quantile", "match")


@dataclass(frozen=True)
class Asked:
    """What the command was asked for.

    Attributes:
        table: the name of the table, for errors.
        columns: paths by their part; ``None`` for what was not named.
        positive: the label of a positive.
        skip_missing: whether rows without a truth are left out.
        most_slices: values that ``by`` may have.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    table: str
    columns: Mapping[str, str | None]
    positive: str | None
    skip_missing: bool
    most_slices: int
    resamples: int
    seed: int


@dataclass
class Slice:
    """The streams of one slice, by kind of figure."""

    streams: dict[str, Stream]
    rows: Rows = field(default_factory=Rows)


@click.command("score", help=HELP)
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--metric", "-m", "metrics", multiple=True, required=True, help="a figure; several may be named")
@click.option("--truth", required=True, help="the column of what is true")
@click.option("--prediction", help="the column of what was predicted")
@click.option("--scores", help="the column of scores, for areas under curves and calibration")
@click.option("--positive", help="the label of a positive, where truth is not true or false")
@click.option("--group", help="a column of groups (user, document): intervals are over groups")
@click.option("--by", help="a column: the same figures for each of its values")
@click.option("--most-slices", type=click.IntRange(1), default=100, show_default=True, help="values that --by may have")
@click.option("--labels", type=click.Path(path_type=Path), help="a second table that has the truth")
@click.option("--id", "own_id", default="id", show_default=True, help="the column that --labels is joined by")
@click.option("--labels-id", help="its name in the second table; as --id when not given")
@click.option("--skip-missing", is_flag=True, help="leave out rows without a truth; their count is said")
@click.option("--k", type=click.IntRange(1), help="of figures at k")
@click.option("--bins", type=click.IntRange(1), help="of calibration errors")
@click.option("--quantile", type=float, help="of the pinball loss")
@click.option("--match", help="how spans match: strict, bounds, partial, type")
@click.option("--resamples", type=click.IntRange(1), default=RESAMPLES, show_default=True, help="of the bootstrap")
@click.option("--seed", type=int, default=0, show_default=True, help="of the bootstrap")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def command(table: Path, *, metrics: tuple[str, ...], resamples: int, seed: int, as_json: bool, **given: Any) -> int:
    """See :data:`HELP`."""
    columns = {name: given[name] for name in ("truth", "prediction", "scores", "group", "by")}
    own = {name: given[name] for name in ("positive", "skip_missing", "most_slices")}
    asked = Asked(str(table), columns, **own, resamples=resamples, seed=seed)
    options = {name: given[name] for name in _OPTIONS if given[name] is not None}
    kinds = _kinds(metrics, options, columns)
    source = open_table(table)
    joined = None
    if given["labels"] is not None:
        joined = _index(open_table(given["labels"]), given["labels_id"] or given["own_id"], given["truth"])
    whole, slices = Slice(_streams(kinds, options, seed)), dict[str, Slice]()
    for chunk, values in _values(source, asked, joined, given["own_id"]):
        _add(whole, values, kinds, asked, chunk.first)
        for name, mine in _sliced(values, chunk.n):
            if name not in slices and len(slices) == asked.most_slices:
                raise DataError(
                    f"column {asked.columns['by']!r} must have at most {asked.most_slices} values to slice by. It has "
                    "more: take a column with fewer, or allow more by --most-slices"
                )
            slice_ = slices.setdefault(name, Slice(_streams(kinds, options, seed)))
            _add(slice_, mine, kinds, asked, chunk.first)
    if not whole.rows.seen:
        raise DataError(f"{source.name} must have at least 1 row. It has none")
    if whole.rows.failed == whole.rows.seen:
        raise DataError(
            f"{source.name} must have predictions in {columns['prediction'] or columns['scores']!r}. "
            f"All {whole.rows.seen} rows have none: is the path right"
        )
    report = _report(metrics, whole, slices, asked)
    click.echo(json.dumps(report, ensure_ascii=False) if as_json else _text(report))
    return 1 if whole.rows.failed else 0


def _kinds(
    metrics: tuple[str, ...], options: Mapping[str, Any], columns: Mapping[str, str | None]
) -> dict[str, tuple[Kind, tuple[str, ...]]]:
    """Of each kind of figure how its inputs are made, and which figures are asked for."""
    for name in metrics:
        if name not in KINDS:
            raise UsageError(why_whole(name))
    kinds = dict.fromkeys(KINDS[name] for name in metrics)
    taken = {option for name in metrics if name in STREAMED for option in STREAMED[name].options}
    if strange := sorted(set(options) - taken):
        raise UsageError(f"--{strange[0]} must belong to one of the figures. None of {', '.join(metrics)} takes it")
    return {kind: (check_kind(kind, columns), tuple(n for n in metrics if KINDS[n] == kind)) for kind in kinds}


def _streams(
    kinds: Mapping[str, tuple[Kind, tuple[str, ...]]], options: Mapping[str, Any], seed: int
) -> dict[str, Stream]:
    found = {}
    for kind, (_, names) in kinds.items():
        taken = {option for name in names if name in STREAMED for option in STREAMED[name].options}
        found[kind] = Stream(*names, seed=seed, **{name: v for name, v in options.items() if name in taken})
    return found


def _index(labels: Source, key: str, truth: str) -> dict[str, Any]:
    """The truth of the second table by id."""
    (key, steps), (column, within) = (split_path(path, labels.columns, labels.name) for path in (key, truth))
    found: dict[str, Any] = {}
    for chunk in labels.chunks(list(dict.fromkeys([key, column]))):
        names, values = step_into(chunk.columns[key], steps), step_into(chunk.columns[column], within)
        for at, (name, value) in enumerate(zip(names, values)):
            if name is None or str(name) in found:
                came = "none" if name is None else f"{name!r} a second time"
                raise DataError(
                    f"row {chunk.first + at} of {labels.name} must have an id of its own in {key!r}. Got {came}"
                )
            found[str(name)] = value
    return found


def _values(
    source: Source, asked: Asked, joined: dict[str, Any] | None, own_id: str
) -> Iterator[tuple[Chunk, dict[str, Values]]]:
    """Chunks with the values of each part that was named."""
    paths = {part: path for part, path in asked.columns.items() if path is not None}
    if joined is not None:
        paths["truth"] = own_id
    places = {part: split_path(path, source.columns, source.name) for part, path in paths.items()}
    for chunk in source.chunks(list(dict.fromkeys(name for name, _ in places.values()))):
        values = {part: step_into(chunk.columns[name], steps) for part, (name, steps) in places.items()}
        if joined is not None:
            values["truth"] = [None if key is None else joined.get(str(key)) for key in values["truth"]]
        yield chunk, values


def _sliced(values: Mapping[str, Values], n: int) -> Iterator[tuple[str, dict[str, Values]]]:
    if "by" not in values:
        return
    names = ["(none)" if value is None else str(value) for value in values["by"]]
    codes: dict[str, int] = {name: code for code, name in enumerate(dict.fromkeys(names))}
    at = np.fromiter(map(codes.__getitem__, names), np.int64, n)
    for name, code in codes.items():
        yield name, _picked({**values, "row": np.arange(n)}, np.flatnonzero(at == code))


def _picked(values: Mapping[str, Values], rows: Any) -> dict[str, Values]:
    return {
        part: column[rows] if isinstance(column, np.ndarray) else list(map(column.__getitem__, rows.tolist()))
        for part, column in values.items()
    }


def _add(
    to: Slice,
    values: Mapping[str, Values],
    kinds: Mapping[str, tuple[Kind, tuple[str, ...]]],
    asked: Asked,
    first: int,
) -> None:
    n = len(values["truth"])
    rows = {**values, "row": values.get("row", np.arange(n))}
    given = [part for part in ("prediction", "scores") if part in values]
    unknown = missing(values["truth"])
    failed = np.any([missing(values[part]) for part in given], axis=0) & ~unknown
    if unknown.any() and not asked.skip_missing:
        raise DataError(
            f"row {first + int(rows['row'][int(unknown.argmax())])} of {asked.table} must have a "
            "truth. It has none: leave such rows out by --skip-missing"
        )
    to.rows.seen += n
    to.rows.failed += int(failed.sum())
    to.rows.left_out += int(unknown.sum())
    for kind, (how, _) in kinds.items():
        kept = ~unknown if how.counts_failures else ~unknown & ~failed
        mine = rows if kept.all() else _picked(rows, np.flatnonzero(kept))
        if how.counts_failures and how.failure is not None and "prediction" in mine:
            mine["prediction"] = [how.failure if value is None else value for value in mine["prediction"]]
        places = mine["row"]

        def wrong(at: int, said: str, places: Values = places) -> DataError:
            return DataError(f"row {first + int(places[at])} of {asked.table} must hold {said}")

        inputs = how.make(mine, asked.positive, wrong)
        groups = mine.get("group")
        if groups is not None and (lone := missing(groups)).any():
            raise wrong(int(lone.argmax()), "a group. It has none")
        to.streams[kind].add(*inputs, groups=groups)


def _report(metrics: Sequence[str], whole: Slice, slices: Mapping[str, Slice], asked: Asked) -> dict[str, Any]:
    group = asked.columns["group"]
    unit = "rows; shares of rows: Wilson's" if group is None else f"groups by {group}"
    drawn = f"{asked.resamples} resamples, seed {asked.seed}"
    notes = {"interval": f"{CONFIDENCE:.0%}, Poisson bootstrap, {drawn}, over blocks of {unit}"}
    by = {name: _figures(slices[name], metrics, asked) for name in sorted(slices)}
    head = {"table": asked.table, **_figures(whole, metrics, asked), "notes": notes}
    return {**head, "by": {asked.columns["by"]: by}} if by else head


def _figures(of: Slice, metrics: Sequence[str], asked: Asked) -> dict[str, Any]:
    found: dict[str, Metric] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for stream in of.streams.values():
        if stream.n:
            found |= stream.results(rng=np.random.default_rng(asked.seed), resamples=asked.resamples)
            bounds |= stream.bounds()
    figures: dict[str, Any] = {}
    for name in dict.fromkeys(metrics):
        metric = found.get(name)
        figures[name] = None if metric is None else {"value": metric.value, "low": metric.low, "high": metric.high}
        if metric is not None and name in bounds and bounds[name][0] < bounds[name][1]:
            figures[name]["bounds"] = list(bounds[name])
    counts = {"n": of.rows.seen - of.rows.left_out, "failed": of.rows.failed, "left_out": of.rows.left_out}
    return {**counts, "metrics": figures}


def _text(report: Mapping[str, Any]) -> str:
    lines = [f"{report['table']}: {report['n']} rows, {report['failed']} failed, {report['left_out']} left out"]
    lines.append(text_table(["METRIC", "VALUE", "95 %"], _rows(report["metrics"]), indent=2))
    for column, slices in report.get("by", {}).items():
        rows = [[name, str(part["n"]), *row] for name, part in slices.items() for row in _rows(part["metrics"])]
        lines += [f"by {column}:", text_table(["SLICE", "ROWS", "METRIC", "VALUE", "95 %"], rows, indent=2)]
    lines += [f"  {key}: {value}" for key, value in report["notes"].items()]
    return "\n".join(lines)


def _rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, one in metrics.items():
        if one is None:
            rows.append([name, "-", "the rows give no such figure"])
            continue
        known = f"; for sure {one['bounds'][0]:.6f} to {one['bounds'][1]:.6f}" if "bounds" in one else ""
        rows.append([name, f"{one['value']:.4f}", f"{one['low']:.4f} to {one['high']:.4f}{known}"])
    return rows
