"""The task ``nlp.ner``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from nlp.families import open_model
from nlp.monitoring import observe
from nlp.ner import pipelines
from nlp.ner.decode import decode
from nlp.ner.evaluate import EVALUATE_OPTIONS, FORMATS, evaluate_ner
from nlp.ner.gazetteer import Phrases
from nlp.ner.patterns import Rows
from nlp.ner.prepare import LOGITS, Item, prepare, read_words, run
from nlp.ner.rules import Rules, read_rules
from nlp.ner.tags import Tags, make_tags
from nlp.ner.train import TRAIN_OPTIONS, train
from nlp.ner.words import RULES, Words
from nlp.opening import TextGraph, load_text_graph, merged
from nlp.optimize import optimize
from nlp.types import Entities
from shared.catalogue import ModelCard
from shared.errors import DataError, UnknownNameError, UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.weights import Opened

NAME = "nlp.ner"
FAMILY = "token-classifier"
RULES_ONLY = "rules"
"""The name that asks for lists and patterns without a model."""
TEXTS_AT_ONCE = 64
Recogniser: TypeAlias = Pipeline[Item, Any, Any, Entities]


def entity_recognizer(
    name: str | Path | None = None,
    *,
    gazetteer: Phrases | Sequence[Phrases] | None = None,
    patterns: Rows | None = None,
    rules_first: bool = True,
    match_case: bool = False,
    scheme: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Recogniser:
    """Open a recogniser of named entities.

    Args:
        name: a catalogue name, a model folder, a transformers checkpoint (see :mod:`nlp.families`), ``spacy:NAME``, an
            installed spaCy pipeline, ``spacy:FOLDER``, ``"rules"`` for lists and patterns alone, or ``None`` for the
            default.
        gazetteer: lists of names, files or phrases by label; see :mod:`nlp.ner.gazetteer`.
        patterns: a file of patterns or its rows; see :mod:`nlp.ner.patterns`.
        rules_first: where a list or pattern and the model find things that overlap, the model's is left out; with
            ``False`` the rule's is. Among rules the longest stays, then the earliest, then the one that was given
            first: lists in their order before patterns.
        match_case: whether phrases of lists must agree in letter case.
        scheme: what the model's tags mean, one of :data:`nlp.spans.SCHEMES`; ``None`` takes what its card says.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Returns:
        A predictor from texts of any length to :class:`~nlp.types.Entities`. An item may also be the words of a
        sentence, or several sentences of words, that were split before; offsets then count in the words joined by
        spaces, sentences by line breaks.

    Raises:
        UnknownNameError: no model, pipeline or scheme is called that.
        UsageError: there is nothing to find entities with.
        DataError: a list, a pattern or the model's card is malformed.
        MissingDependencyError: spaCy or PyTorch is needed and not installed.
        WeightsError: a model file cannot be had.

    Example:
        >>> finder = entity_recognizer("rules", gazetteer={"LOC": ["New York"]})
        >>> [(entity.text, entity.start) for entity in finder.predict(["In new york."])[0].entities]
        [('new york', 3)]
    """
    rules = read_rules(gazetteer, patterns, case=match_case, first=rules_first)
    if name == RULES_ONLY:
        return _of_rules(rules)
    if isinstance(name, str) and name.startswith(pipelines.PREFIX):
        pipelines.check_device(device)
        return _of_spacy(pipelines.open_pipeline(name), rules)
    opened = open_model(name, task=NAME)
    family = opened.card.family
    if family == pipelines.FAMILY:
        pipelines.check_device(device)
        return _of_spacy(pipelines.load_pipeline(opened), rules)
    if family != FAMILY:
        raise UnknownNameError(f"family of {NAME}", family, [FAMILY, pipelines.FAMILY])
    return _of_graph(load_text_graph(opened, device=device, threads=threads), rules, scheme, threads)


def whole(name: str | Path | None = None) -> list[Opened]:
    """A recogniser with the files that it runs from; what :attr:`shared.tasks.Task.whole` gives.

    Raises:
        UsageError: it has no files of its own: rules alone, or an installed pipeline of spaCy.
    """
    if name == RULES_ONLY or (isinstance(name, str) and name.startswith(pipelines.PREFIX)):
        raise UsageError(
            f"a model of {NAME} must have files of its own. {name!r} has none: lists and pipelines of spaCy"
        )
    return [merged(open_model(name, task=NAME))]


def _of_graph(graph: TextGraph, rules: Rules | None, scheme: str | None, threads: int | None) -> Recogniser:
    tags = _tags(graph, scheme)
    rule = graph.card.options.get("words", "conll" if "features" in graph.takes else "unicode")
    if rule not in RULES:
        raise UnknownNameError(f"rule for words (options.words of {graph.card.name})", rule, RULES)
    merge = _merging(rules)
    return Pipeline(
        graph.card,
        lambda item: prepare(item, graph, rule=rule),
        lambda batch: run(batch, graph, tags=len(tags.names)),
        lambda logits, item: merge(item.words.text, decode(logits, item, tags)),
        batch_size=TEXTS_AT_ONCE,
        threads=threads,
    )


def _tags(graph: TextGraph, scheme: str | None) -> Tags:
    options = graph.card.options
    tags = make_tags(options.get("tags", ()), scheme or options.get("scheme"), options.get("transitions"))
    outputs = {spec.name: spec.shape for spec in graph.backend.outputs}
    shape = outputs.get(LOGITS, ())
    if len(shape) != 3 or shape[-1] not in (None, len(tags.names)):
        raise DataError(
            f"the graph of {graph.card.name!r} must answer {LOGITS} of shape (1, tokens, {len(tags.names)}), a number "
            f"for each of its tags. It answers {outputs}"
        )
    return tags


def _of_spacy(pipeline: pipelines.SpacyPipeline, rules: Rules | None) -> Recogniser:
    merge = _merging(rules)
    return Pipeline(
        pipeline.card,
        pipelines.prepare,
        pipeline.run,
        lambda spans, item: merge(item.text, pipelines.decode(spans, item)),
        batch_size=TEXTS_AT_ONCE,
    )


def _of_rules(rules: Rules | None) -> Recogniser:
    if rules is None:
        raise UsageError(
            f"model {RULES_ONLY!r} needs a list or patterns to find entities with (--gazetteer FILE, --patterns FILE)"
        )
    found = rules
    card = ModelCard(RULES_ONLY, NAME, RULES_ONLY, "none", "Apache-2.0", "lists and patterns of the user's own")

    def merged(_: Words, words: Words) -> Entities:
        return found.merge(words.text, Entities(()))

    return Pipeline(card, lambda item: read_words(item, rule="unicode"), list, merged, batch_size=TEXTS_AT_ONCE)


def _merging(rules: Rules | None) -> Callable[[str, Entities], Entities]:
    return (lambda _, found: found) if rules is None else rules.merge


def _redactor(*arguments: Any, **options: Any) -> Any:
    from nlp.redaction import redactor  # noqa: PLC0415 - it opens recognisers of this file

    return redactor(*arguments, **options)


OPTIONS = (
    Option("gazetteer", str, (), "a file of names to find: label, tab, phrase a line, or JSONL", multiple=True),
    Option("patterns", str, None, "a file of patterns to find: JSONL with label and regex or pattern"),
    Option("rules_first", bool, True, "where rules and the model overlap, the rules win"),
    Option("match_case", bool, False, "names of --gazetteer must agree in letter case"),
    Option("scheme", str, None, "what the model's tags mean: BIO, BIOES, IO or IOB1; its card says when not given"),
)

TASK = Task(
    name=NAME,
    summary="names of persons, places, organisations and more, with exact character offsets",
    inputs="text",
    open=entity_recognizer,
    observe=observe,
    options=OPTIONS,
    evaluate=evaluate_ner,
    formats=FORMATS,
    train=train,
    train_options=TRAIN_OPTIONS,
    train_resumes=True,
    evaluate_options=EVALUATE_OPTIONS,
    tools={"optimize": partial(optimize, task=NAME), "redactor": _redactor},
    whole=whole,
)
