"""Train a text classifier: one command from the plainest baseline to a fine-tuned encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from nlp.classification.joined import Joined, read_joined, split
from nlp.classification.linear import train_linear
from nlp.classification.noise import FILE, check_noise
from nlp.classification.tfidf import ESTIMATORS
from nlp.classification.train_tfidf import train_tfidf
from nlp.datasets import COLUMNS
from nlp.encoder import DEFAULT_ENCODER, POOLINGS, check_poolings
from nlp.labels import LABEL_MAP
from nlp.training.options import DEEP, ENCODER, LORA, EncoderOptions, make_recipe
from shared.errors import UsageError
from shared.tasks import Option
from shared.training.finish import Stated, finish
from shared.training.folder import STATE, open_train_folder
from shared.training.loop import choose_device
from shared.training.options import CARD, MACHINE, WEIGHTINGS, check_choice, check_seed, recipe_table

TFIDF, LINEAR, FEW = "tfidf", "linear-head", "few-shot"
METHODS = (TFIDF, LINEAR, FEW, *DEEP)
ROOM = 1_000_000_000

TRAIN_OPTIONS = (
    Option("method", str, LINEAR, f"one of {', '.join(METHODS)}; the last three need torch"),
    Option("also", str, (), "a further data set of the same layout, joined to DATASET", multiple=True),
    Option("validation", str, None, "data set of the same layout that chooses the best epoch; else --val-share"),
    Option("val_share", float, 0.1, "share of every label that is kept for validation, in (0, 1)"),
    *COLUMNS,
    LABEL_MAP,
    Option("class_weight", str, "none", "none, or balanced: every label counts the same however many texts it has"),
    Option("encoder", str, DEFAULT_ENCODER, "linear-head: sentence encoder under it, catalogue name or model folder"),
    Option("pooling", str, (), f"linear-head: what it sees, of {', '.join(POOLINGS)}; all by default", multiple=True),
    Option("c", float, None, "linear-head, tfidf: inverse strength of the penalty; cross-validated when not given"),
    Option("estimator", str, ESTIMATORS[0], f"tfidf: one of {', '.join(ESTIMATORS)}"),
    Option("label_noise", bool, False, f"tfidf, linear-head: write labels that look wrong into OUT/{FILE}"),
    *ENCODER,
    Option("data_licence", str, "not stated", "licence of the data, for the model's card"),
    *CARD,
    *MACHINE,
)


def train(
    dataset: Path,
    out: Path,
    *,
    format: str | None = None,
    seed: int = 0,
    method: str = LINEAR,
    also: Sequence[str | Path] = (),
    validation: str | Path | None = None,
    val_share: float = 0.1,
    text_column: str = "text",
    label_column: str = "label",
    encoding: str = "utf-8",
    label_map: str | None = None,
    label_separator: str | None = None,
    class_weight: str = "none",
    encoder: str | Path = DEFAULT_ENCODER,
    pooling: Sequence[str] = (),
    c: float | None = None,
    estimator: str = ESTIMATORS[0],
    label_noise: bool = False,
    data_licence: str = "not stated",
    licence: str = "Apache-2.0",
    summary: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    **deep: Unpack[EncoderOptions],
) -> dict[str, Any]:
    """Train a classifier and save it as a model folder, named like the folder.

    Args:
        dataset: labelled texts; see :func:`nlp.datasets.read_labelled_texts`.
        out: the folder to write: new, empty, or of this very training, which then goes on.
        format: of the data sets; ``None`` looks.
        seed: of everything random.
        method: ``"tfidf"``: words and letters counted, under a linear model or trees. ``"linear-head"``: logistic
            regression on a frozen encoder's vectors. ``"few-shot"``: the encoder learns from pairs of texts first, for
            a few labelled texts a class. ``"lora"``: low-rank additions to the encoder, saved as a small adapter.
            ``"full"``: all of the encoder, saved as a graph.
        also: further data sets.
        validation: chooses the best epoch and the temperature of the probabilities, for ``lora`` and ``full``.
        val_share: kept for that where ``validation`` is ``None``.
        text_column: see :func:`nlp.datasets.read_labelled_texts`.
        label_column: see :func:`nlp.datasets.read_labelled_texts`.
        encoding: see :func:`nlp.datasets.read_labelled_texts`.
        label_map: see :func:`nlp.classification.joined.read_joined`.
        label_separator: what stands between the labels of one text. Where it is given, or JSON has lists of labels,
            each label is learnt by itself, a text may have several or none, micro F1 chooses instead of accuracy, and
            from which probability on a label holds is chosen on texts that were not learnt from.
        class_weight: ``"none"``, or ``"balanced"``: then macro F1 chooses.
        encoder: see :func:`nlp.classification.linear.train_linear`, as ``pooling``.
        pooling: keys of :data:`nlp.encoder.POOLINGS`; all of them when empty.
        c: inverse strength of the L2 penalty; ``None`` takes the best by cross-validation.
        estimator: see :func:`nlp.classification.train_tfidf.train_tfidf`.
        label_noise: for ``tfidf`` and ``linear-head``: write the texts whose label looks wrong to models of other
            folds too; see :func:`nlp.classification.noise.write_noise`.
        data_licence: for the card.
        licence: SPDX identifier for the card.
        summary: one line for the card.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads; ``None`` uses every processor of this process.
        deep: for ``few-shot``, ``lora`` and ``full``: see :class:`nlp.training.options.EncoderOptions`.

    Returns:
        A JSON-ready report.

    Raises:
        UsageError: an option is out of its range, or ``out`` cannot be used.
        DataError: a data set is malformed, or has too few texts or labels.
        PlanMismatchError: ``out`` was begun under another plan.
        MissingDependencyError: the method needs torch, which is not installed.
    """
    check_choice("method", method, METHODS)
    check_choice("class_weight", class_weight, WEIGHTINGS)
    check_seed(seed)
    check_poolings(pooling or POOLINGS)
    if c is not None and not 0 < c < float("inf"):
        raise UsageError(f"c must be above 0. Got {c} instead")
    if not 0 < val_share < 1:
        raise UsageError(f"val_share must lie in (0, 1). Got {val_share} instead")
    layout: dict[str, Any] = {
        "format": format,
        "text_column": text_column,
        "label_column": label_column,
        "encoding": encoding,
        "label_map": label_map,
        "label_separator": label_separator,
    }
    if label_noise and method not in (TFIDF, LINEAR):
        raise UsageError(f"label_noise is for the methods {TFIDF} and {LINEAR}. Got {method!r}: leave it out")
    paths = [dataset, *(Path(path) for path in also)]
    stated = Stated(licence, data_licence, summary)
    if method in (TFIDF, LINEAR):
        _check_empty(out)
        data = read_joined(paths, **layout)
        if label_noise:
            check_noise(data)
        weighed: dict[str, Any] = {"c": c, "class_weight": class_weight, "stated": stated, "seed": seed}
        weighed["noise"] = label_noise
        if method == TFIDF:
            return train_tfidf(data, out, estimator=estimator, threads=threads, **weighed)
        return train_linear(data, out, encoder=encoder, pooling=pooling, device=device, threads=threads, **weighed)
    recipe = make_recipe(method=LORA if method == FEW else method, seed=seed, **deep)
    machine = choose_device(device, threads)
    recipe = recipe.on(machine)
    data = read_joined(paths, **layout)
    if data.several and method == FEW:
        raise UsageError(f"{FEW} takes one label a text: give --method {LINEAR} or {LORA} where texts have several")
    learnt, unseen, parts = _sides(data, validation, layout, val_share=val_share, seed=seed, few=method == FEW)
    table = {**recipe_table(recipe), "method": method, "class_weight": class_weight}
    digest = data.digest()
    plan = {
        "task": "nlp.classification",
        "data": digest,
        "validation": unseen.digest(),
        "recipe": table,
        "card": vars(stated),
    }
    with open_train_folder(out, plan, room=ROOM) as folder:
        done = folder.report()
        if done is not None:
            return done
        from nlp.training import text  # noqa: PLC0415 - it opens saved models by the task's opener, which imports this

        if method == FEW:
            made, course = text.learn_from_few(learnt, recipe, folder, machine)
        else:
            made, course = text.learn(learnt, unseen, recipe, folder, machine, class_weight=class_weight)
        return finish(
            folder,
            made,
            course,
            stated,
            dataset=dataset,
            digest=digest,
            split=parts,
            recipe=table,
            evaluate=lambda saved: text.evaluate(saved, unseen, threads=threads, seed=seed),
        )


def _sides(
    data: Joined, validation: str | Path | None, layout: dict[str, Any], *, val_share: float, seed: int, few: bool
) -> tuple[Joined, Joined, str]:
    """What is learnt from, what validates, and where the two come from."""
    if validation is not None:
        return data, read_joined([Path(validation)], labels=data.labels, **layout), f"of {Path(validation).name}"
    if few:
        return data, data, "the same texts: there are too few to keep some"
    learnt, unseen = split(data, val_share, seed=seed)
    return learnt, unseen, f"{val_share:g} of every label, drawn with seed {seed}"


def _check_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        own = out.is_dir() and (out / STATE).is_dir()
        raise UsageError(
            f"OUT must be a new or empty folder. {out} holds {'another training' if own else 'other files'} already"
        )
