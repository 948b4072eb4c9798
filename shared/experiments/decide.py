"""From figures to a decision in plain words with its reasons: ship, do not ship, keep running, or invalid.

Guardrails with a margin are tests of non-inferiority: harm is excluded only when the whole interval lies within the
margin, so that a small experiment cannot pass them by saying little. Every guardrail must hold, which needs no
correction (R. Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 1982).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from shared.experiments.comparing import ArmEffect
from shared.experiments.metrics import Metric
from shared.experiments.ratio import RatioCheck
from shared.experiments.settings import Settings
from shared.types import Result

Action: TypeAlias = Literal["ship", "do not ship", "keep running", "invalid"]
State: TypeAlias = Literal["better", "worse", "not worse", "unclear"]
SMALL = 50
"""Units of an arm from which on an always-valid interval, whose theory is asymptotic, is read."""
ROLE_NAMES = {"primary": "Primary metric", "secondary": "Secondary metric", "guardrail": "Guardrail"}
CROSSED_SHARE = 0.01
"""Above this share of units in several arms the comparison is no longer one of random groups."""


@dataclass(frozen=True, eq=False)
class Verdict(Result):
    """What to do with one arm.

    Attributes:
        arm: the treatment.
        action: ``"ship"``, ``"do not ship"``, ``"keep running"`` or ``"invalid"``.
        reasons: sentences, the weightiest first.
    """

    arm: str
    action: Action
    reasons: tuple[str, ...]


def state_of(effect: ArmEffect, metric: Metric, settings: Settings) -> State:
    """What an effect says in the metric's own direction.

    ``"better"`` and ``"worse"`` need a corrected p-value below 1 - confidence, or for bayesian a chance of at least the
    confidence and an expected loss that is small enough. With a margin ``"worse"`` is an interval wholly beyond it, and
    ``"not worse"`` one wholly within it.
    """
    within = effect.slack_low is not None and effect.slack_low > 0
    if effect.slack_high is not None and effect.slack_high < 0:
        return "worse"
    p_value = effect.p_value if effect.corrected_p_value is None else effect.corrected_p_value
    clear = p_value < 1 - settings.confidence
    good = metric.sign * effect.difference > 0
    if effect.chance is not None and effect.loss is not None:
        allowed = settings.loss * abs(effect.control_value)
        if effect.chance >= settings.confidence and effect.loss <= allowed:
            return "better"
        clear, good = 1 - effect.chance >= settings.confidence, False
    if clear and good:
        return "better"
    if clear and metric.margin is None:
        return "worse"
    return "not worse" if within else "unclear"


def invalid_reasons(
    ratio: RatioCheck, crossed: int, missing: Mapping[str, float], *, units: int, level: float
) -> tuple[str, ...]:
    """Why no figure can be trusted; empty where they can.

    Args:
        ratio: the sample-ratio check.
        crossed: units in several arms.
        missing: by metric the p-value of as many missing values in each arm.
        units: of all arms.
        level: below which such a p-value is an alarm.
    """
    found = []
    if ratio.mismatch:
        total = sum(ratio.counts.values())
        shown = ", ".join(
            f"{arm} {n / total:.2%} (planned {ratio.planned[arm]:.2%})" for arm, n in ratio.counts.items()
        )
        p_value = ratio.always_p_value if ratio.sequential else ratio.p_value
        found.append(
            f"The arms did not get the units that were planned: {shown}; p = {p_value:.2g}. Something chooses who is "
            "counted, so no figure can be trusted until it is found."
        )
    if crossed and crossed > CROSSED_SHARE * (units + crossed):
        found.append(f"{crossed} units of {units + crossed} were seen in several arms: the assignment does not hold.")
    found += [
        f"Units without a value of {name} are not equally many in all arms (p = {p:.2g}): those that are left differ."
        for name, p in missing.items()
        if p < level
    ]
    return tuple(found)


def decide(
    arm: str,
    effects: Mapping[str, ArmEffect],
    metrics: Sequence[Metric],
    settings: Settings,
    *,
    units: int,
    invalid: Sequence[str] = (),
) -> Verdict:
    """The decision on one arm.

    Invalid figures decide nothing, and neither do always-valid ones of a handful of units: while a metric has no more,
    nothing is shipped or given up for what it says, and other metrics may still show harm. A broken guardrail, or a
    worse primary metric without margin for it, is a reason not to ship whatever else was won, and at any time. To ship,
    a primary metric must be better (or, where all have a margin, all not worse), none worse, and every guardrail with a
    margin within it. Before the planned end a method for one look decides nothing good. What is still open at the
    planned end is not shipped.

    Args:
        arm: the treatment.
        effects: by metric; none of a metric whose units nearly all wait for the end of its window.
        metrics: what was measured.
        settings: how it is judged.
        units: of all arms, without those that wait.
        invalid: reasons why figures cannot be trusted.
    """
    if invalid:
        return Verdict(arm, "invalid", tuple(invalid))
    young = {m.name: reason for m in metrics if (reason := _young(effects.get(m.name), m, settings))}
    states = {m.name: "unclear" if m.name in young else state_of(effects[m.name], m, settings) for m in metrics}
    primary = [m for m in metrics if m.role == "primary"]
    guards = [m for m in metrics if m.role == "guardrail"]
    said = {m.name: young.get(m.name) or _sentence(effects[m.name], m, states[m.name]) for m in metrics}
    broken = [m for m in (*guards, *primary) if states[m.name] == "worse"]
    others = tuple(said[m.name] for m in metrics if m not in broken)
    if broken:
        return Verdict(arm, "do not ship", (*(said[m.name] for m in broken), *others))
    open_guards = [m for m in guards if m.margin is not None and states[m.name] not in ("not worse", "better")]
    open_margins = [m for m in primary if m.margin is not None and states[m.name] == "unclear"]
    won = any(states[m.name] == "better" for m in primary) or all(states[m.name] == "not worse" for m in primary)
    one_look = settings.method in ("fixed", "bootstrap", "bayesian")
    early = settings.planned is not None and units < settings.planned
    plan = f"{units} of {settings.planned} planned units are in"
    hold = tuple(young.values())
    if one_look and early:
        hold = (f"{plan}, and the method {settings.method} allows one look, at the planned end.", *hold)
    if hold:
        return Verdict(arm, "keep running", (*hold, *(sentence for sentence in others if sentence not in hold)))
    if won and not open_guards and not open_margins:
        return Verdict(arm, "ship", (*others, *_caution(settings)))
    waiting = [m.name for m in (*open_guards, *open_margins)]
    missing = (
        f"Not shown to stay within its margin: {', '.join(waiting)}."
        if won
        else "No primary metric is shown to be better."
    )
    if early:
        return Verdict(arm, "keep running", (f"{missing} {plan}.", *others))
    return Verdict(arm, "do not ship", (f"{missing} The planned end is reached.", *others, *_caution(settings)))


def _young(effect: ArmEffect | None, metric: Metric, settings: Settings) -> str:
    """Why a metric is not read yet; empty where it is."""
    if effect is None:
        return f"{ROLE_NAMES[metric.role]} {metric.name} is not read yet: the window of most units is not over."
    least = min(effect.n, effect.n_control)
    if settings.method != "always-valid" or least >= SMALL:
        return ""
    return (
        f"{ROLE_NAMES[metric.role]} {metric.name} is not read yet: an arm has {least} units with a value, and below "
        f"{SMALL} the variances behind the interval are guesses."
    )


def _caution(settings: Settings) -> tuple[str, ...]:
    if settings.planned is None and settings.method in ("fixed", "bootstrap", "bayesian"):
        return (f"No planned size was given: with {settings.method} this holds only if now is the planned end.",)
    return ()


def _sentence(effect: ArmEffect, metric: Metric, state: State) -> str:
    """One metric in plain words."""
    if effect.relative is not None and effect.relative_low is not None and effect.relative_high is not None:
        change = f"{effect.relative:+.2%} ({effect.relative_low:+.2%} to {effect.relative_high:+.2%})"
    else:
        change = f"{effect.difference:+.4g} ({effect.low:+.4g} to {effect.high:+.4g})"
    kind = ROLE_NAMES[metric.role]
    margin = "" if metric.margin is None else f" of {metric.margin:.2%}"
    words = {
        "better": "is better",
        "worse": f"is worse by more than its margin{margin}" if _beyond(effect) else "is worse",
        "not worse": f"stays within its margin{margin}",
        "unclear": f"is not shown to stay within its margin{margin}" if margin else "shows no clear change",
    }[state]
    p_value = effect.p_value if effect.corrected_p_value is None else effect.corrected_p_value
    sure = f"p = {p_value:.2g}" if effect.chance is None else f"chance to be better {effect.chance:.1%}"
    return f"{kind} {metric.name} {words}: {change}, {sure}."


def _beyond(effect: ArmEffect) -> bool:
    return effect.slack_high is not None and effect.slack_high < 0
