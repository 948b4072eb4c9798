"""The promotion gate: whether a challenger may take the champion's place, with every reason why not at once.

Both are judged on the same items by the paired comparison of :mod:`shared.evaluation.comparing`. That a figure is *not
worse* is a test of non-inferiority: its whole interval, of coverage 1 - alpha, must lie above the margin. All such
tests must hold, which needs no correction (R. Berger, "Multiparameter hypothesis testing and acceptance sampling",
Technometrics 24, 1982). That a figure is *better* is a claim that the record keeps, so these are corrected over each
other by Holm's method. Where items are right or wrong and not one of n differs, the bootstrap sees no spread at all,
and what may still hide is -ln(alpha) / n (J. Hanley and A. Lippman-Hand, "If nothing goes wrong, is everything all
right?", JAMA 249, 1983): a margin below that cannot be shown with so few items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from shared.catalogue import ModelCard
from shared.evaluation.compared_words import compared_json
from shared.evaluation.comparing import Compared, compare_evaluations
from shared.evaluation.report import Evaluation, Metric
from shared.lifecycle.figure_gates import figure_rulings, interval
from shared.lifecycle.hashing import size_of
from shared.lifecycle.latency import Latency
from shared.lifecycle.rules import Rules
from shared.lifecycle.slice_gates import slice_rulings

Timed: TypeAlias = Callable[[], Latency]


@dataclass(frozen=True)
class Contender:
    """A model at the gate.

    Attributes:
        name: what it is called in the record, such as ``"spam/3"``.
        folder: its model folder.
        card: what is known of it.
        digest: what identifies its content.
        evaluation: of the data of the gate.
    """

    name: str
    folder: Path
    card: ModelCard
    digest: str
    evaluation: Evaluation

    @property
    def size(self) -> int:
        """Bytes of its folder."""
        return size_of(self.folder)

    @property
    def labels(self) -> frozenset[str] | None:
        """The labels that it was trained for; ``None`` where its card names none."""
        labels = self.card.options.get("labels")
        return frozenset(map(str, labels)) if isinstance(labels, Sequence) and not isinstance(labels, str) else None


@dataclass(frozen=True)
class Ruling:
    """One thing that was asked.

    Attributes:
        rule: its name, such as ``"figure accuracy"``.
        held: whether it holds.
        said: one sentence with the numbers.
        numbers: the same, JSON-ready.
    """

    rule: str
    held: bool
    said: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """What a gate says.

    Attributes:
        rulings: everything that was asked, in order.
        compared: the paired comparison, JSON-ready; ``None`` without a champion or where none could be made.
    """

    rulings: tuple[Ruling, ...]
    compared: Mapping[str, Any] | None

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return all(ruling.held for ruling in self.rulings)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not: what does not hold, all of it."""
        return tuple(ruling.said for ruling in self.rulings if not ruling.held)

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object, without NaN."""
        return {
            "verdict": "promote" if self.passed else "refuse",
            "reasons": list(self.reasons),
            "rulings": [_plain(vars(ruling)) for ruling in self.rulings],
            "compared": _plain(self.compared),
        }


def judge(
    challenger: Contender,
    champion: Contender | None,
    *,
    rules: Rules,
    rng: np.random.Generator,
    latency: Timed | None = None,
) -> Judgement:
    """Judge a challenger.

    Without a champion only what needs none is asked: floors, size in megabytes, licence, number of items.

    Args:
        challenger: the model that is to become champion.
        champion: the model that is; ``None`` where there is none yet.
        rules: what must hold.
        rng: source of randomness.
        latency: measures both in turns, see :func:`shared.lifecycle.latency.compared_latency`; asked where the rules
            have a budget and there is a champion.

    Raises:
        UsageError: the task does not tell what each item says of its figures, or a figure is asked that none has.
    """
    rulings = [_enough(challenger, rules), _licence(challenger, rules)]
    compared: Compared | None = None
    alike = [] if champion is None else _alike(challenger, champion, rules)
    rulings += alike
    if champion is not None and all(ruling.held for ruling in alike):
        compared = compare_evaluations(champion.evaluation, challenger.evaluation, rng=rng, confidence=1 - rules.alpha)
    rulings += [Ruling(*row) for row in figure_rulings(challenger.evaluation, compared, rules)]
    before = None if compared is None or champion is None else champion.evaluation
    rulings += [
        Ruling(*row) for row in slice_rulings(challenger.evaluation, before, rules.slices, alpha=rules.alpha, rng=rng)
    ]
    rulings += _size(challenger, champion, rules)
    if rules.latency is not None and champion is not None and latency is not None:
        rulings.append(_latency(latency(), rules.latency.ratio))
    return Judgement(tuple(rulings), None if compared is None else compared_json(compared))


def _enough(challenger: Contender, rules: Rules) -> Ruling:
    n = challenger.evaluation.n
    said = f"the data have {n} items, and {rules.items} are asked for"
    return Ruling("items", n >= rules.items, said, {"items": n, "least": rules.items})


def _licence(challenger: Contender, rules: Rules) -> Ruling:
    card, rule = challenger.card, rules.licence
    reasons = []
    if rule.allowed and card.licence not in rule.allowed:
        reasons.append(f"its licence is {card.licence}, and allowed are {', '.join(rule.allowed)}")
    if card.opt_in and not rule.opt_in:
        reasons.append(f"it may only be chosen by name ({card.opt_in}), and the rules do not let it in")
    said = f"{challenger.name}: {'; '.join(reasons) or f'the licence {card.licence} will do'}"
    return Ruling("licence", not reasons, said, {"licence": card.licence, "opt_in": card.opt_in})


def _alike(challenger: Contender, champion: Contender, rules: Rules) -> list[Ruling]:
    tasks = (champion.card.task, challenger.card.task)
    said = f"the champion's task is {tasks[0]}, the challenger's {tasks[1]}"
    found = [Ruling("task", tasks[0] == tasks[1], said, {"tasks": list(tasks)})]
    one, other = champion.labels, challenger.labels
    if rules.labels.same and one is not None and other is not None:
        gone, new = sorted(one - other), sorted(other - one)
        parts = [f"{what} {', '.join(names[:8])}" for what, names in (("lacks", gone), ("adds", new)) if names]
        said = f"the challenger's labels must be the champion's; it {' and '.join(parts) or 'has the same'}"
        found.append(Ruling("labels", not parts, said, {"lacks": gone, "adds": new}))
    return found


def _size(challenger: Contender, champion: Contender | None, rules: Rules) -> list[Ruling]:
    rule, found = rules.size, []
    if rule is None:
        return []
    size = challenger.size
    if rule.megabytes is not None:
        said = f"the challenger has {size / 1e6:.2f} MB, and {rule.megabytes:g} MB are allowed"
        found.append(Ruling("size", size <= rule.megabytes * 1e6, said, {"bytes": size}))
    if rule.ratio is not None and champion is not None:
        before = champion.size
        said = (
            f"the challenger has {size / 1e6:.2f} MB, {size / max(before, 1):.2f} of the champion's, and "
            f"{rule.ratio:g} is allowed"
        )
        found.append(Ruling("size beside the champion", size <= rule.ratio * before, said, {"bytes": [before, size]}))
    return found


def _latency(found: Latency, allowed: float) -> Ruling:
    said = (
        f"the challenger takes {interval(found.ratio)} of the champion's time, median over {found.items} items in "
        f"turns ({found.champion * 1000:.3g} ms to {found.challenger * 1000:.3g} ms), and {allowed:g} is allowed"
    )
    return Ruling("latency", found.ratio.value <= allowed, said, {**vars(found), "allowed": allowed})


def _plain(value: Any) -> Any:
    """JSON-ready, with ``None`` for what is no finite number."""
    if isinstance(value, Metric):
        return _plain(vars(value))
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
