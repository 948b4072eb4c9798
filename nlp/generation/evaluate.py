"""How good a language model's answers are: exact, grounded in their passages, rightly cited, rightly withheld."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlp.generation.data import Example, read_examples
from nlp.generation.groundedness import open_judges
from nlp.generation.judged import Judged, judge
from nlp.generation.types import TAKEN, Generated
from nlp.prompts.forms import Form
from nlp.prompts.prompt import Prompt
from nlp.prompts.store import find_prompt
from nlp.qa.generate import UNKNOWN
from shared.batch.progress import Progress
from shared.errors import DataError, UsageError
from shared.evaluation.bca import ratio
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval
from shared.evaluation.report import Evaluation, Metric, Section, Table
from shared.tasks import Option
from shared.types import Failure, Float64

EVALUATE_OPTIONS = (
    Option("prompt", str, None, "prompt that rows with variables are filled into; short-answer for SQuAD's files"),
    Option("reader", str, None, "judge by a reader too whether passages bear answers out: its name, or default"),
    Option("nli", str, None, "judge by inference too: a model of the family nli, by name or folder"),
)
_SHOWN = 160
"""Characters of a text on a page."""


def evaluate_generation(
    dataset: Path,
    *,
    model: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    prompt: str | None = None,
    reader: str | None = None,
    nli: str | None = None,
    **options: Any,
) -> Evaluation:
    """The figures of :func:`nlp.generation.judged.judge`, each with an interval.

    Args:
        dataset: what is asked; see :func:`nlp.generation.data.read_examples`.
        model: as :func:`nlp.generation.task.text_generator` takes it; or a file ``.jsonl`` of answers that were written
            elsewhere, an object with ``id`` and ``text`` a line.
        format: of the data; ``None`` looks.
        limit: only the first so many rows.
        seed: of the bootstrap.
        device: as :func:`nlp.generation.task.text_generator` takes it.
        threads: as there.
        prompt: name or folder of the prompt that rows with variables are filled into.
        reader: a reader's name, ``"default"`` for the default one, or ``None`` for none.
        nli: the name of a model of the family ``nli``, or ``None`` for none.
        options: further options of :func:`nlp.generation.task.text_generator`.

    Raises:
        DataError: a file is malformed.
        UsageError: an argument is out of its range.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1. Got {limit} instead")
    squad = format == "squad" or (format is None and dataset.suffix.lower() == ".json")
    named = prompt or ("short-answer" if squad else None)
    filling = None if named is None else find_prompt(named)
    examples = read_examples(dataset, format=format, prompt=filling)[:limit]
    name, results = _answers(examples, model, device=device, threads=threads, **options)
    judges = open_judges(reader=reader, nli=nli, threads=threads, device=device)
    form = None if filling is None else filling.output
    found = judge(examples, [_text(one) for one in results], judges=judges, form=form, unknown=_unknown(form))
    return as_evaluation(found, model=name, dataset=str(dataset), seed=seed, prompt=filling)


def as_evaluation(found: Judged, *, model: str, dataset: str, seed: int, prompt: Prompt | None = None) -> Evaluation:
    """Judged answers with intervals, over groups of examples that are alike.

    Args:
        found: the answers.
        model: its name.
        dataset: what was asked.
        seed: of the bootstrap.
        prompt: what was filled in, for the notes.
    """
    rng = np.random.default_rng(seed)
    names, codes = np.unique(np.array([one.group for one in found.examples], np.str_), return_inverse=True)
    drawn = rng.integers(0, len(names), (RESAMPLES, len(names)))
    metrics = {name: _interval(rows, codes, drawn) for name, rows in found.figures.items() if rows[:, 1].any()}
    unit = "answers" if len(names) == len(found.examples) else f"{len(names)} groups of answers"
    notes: dict[str, Any] = {
        "interval": f"percentile bootstrap over {unit}, {RESAMPLES} resamples, {CONFIDENCE:.0%}",
        "seed": seed,
        "abstained": int(found.abstained.sum() - found.failed.sum()),
    }
    if prompt is not None:
        notes["prompt"] = f"{prompt.name} {prompt.version}, {prompt.digest[:12]}"
    return Evaluation(
        "nlp.generation",
        model,
        dataset,
        len(found.examples),
        int(found.failed.sum()),
        metrics,
        notes,
        sections=lambda most: _page(found, most),
        items=found.items,
    )


def _interval(rows: Float64, codes: Any, drawn: Any) -> Metric:
    sums = np.column_stack([np.bincount(codes, rows[:, column]) for column in (0, 1)])
    return percentile_interval(float(ratio(rows.sum(axis=0))), ratio(sums[drawn].sum(axis=1)))


def _answers(
    examples: Sequence[Example], model: str | Path | None, *, device: str, threads: int | None, **options: Any
) -> tuple[str, list[Generated | Failure]]:
    path = Path(str(model or ""))
    if path.suffix == ".jsonl" and path.is_file():
        return path.stem, _given(examples, path)
    from nlp.generation.task import text_generator  # noqa: PLC0415 - it names this module in its row

    writer = text_generator(model, device=device, threads=threads, **options)
    results: list[Generated | Failure] = []
    items = (json.dumps({"messages": list(one.messages)}) for one in examples)
    with Progress(len(examples), done=0) as progress:
        for result in writer.stream(items):
            results.append(result)
            progress.add(1, isinstance(result, Failure))
    return writer.card.name, results


def _given(examples: Sequence[Example], path: Path) -> list[Generated | Failure]:
    """Answers that were written elsewhere, by the ids of what was asked."""
    texts: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if line.strip():
            try:
                row: Mapping[str, Any] = json.loads(line)
                texts[str(row["id"])] = str(row["text"])
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}, line {number} must be an object with id and text. {error!r}") from error
    return [
        Generated(texts[one.id], TAKEN)
        if one.id in texts
        else Failure(at, "not-found", f"{path} must have an answer to {one.id}. It has none")
        for at, one in enumerate(examples)
    ]


def _text(result: Generated | Failure) -> str | None:
    return None if isinstance(result, Failure) else result.text


def _unknown(form: Form | None) -> str:
    return form.unknown if form is not None and form.unknown else UNKNOWN


def _page(found: Judged, most: int) -> list[Section]:
    f1 = found.figures["f1"]
    order = [at for at in np.argsort(f1[:, 0], kind="stable").tolist() if f1[at, 1] and f1[at, 0] < 1][:most]
    rows = tuple(
        (
            (one.question or one.id)[:_SHOWN],
            found.texts[at][:_SHOWN] or "(nothing)",
            " | ".join(one.truths)[:_SHOWN] or "(no answer)",
            round(float(f1[at, 0]), 3),
        )
        for at in order
        for one in (found.examples[at],)
    )
    return [Table("Answers that went wrong, worst first", ("asked", "written", "true", "F1"), rows)]
