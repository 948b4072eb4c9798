"""A search as one run of the tracker: what is chosen from, the best so far, every trial as a row of one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shared.lifecycle.confirming import Found
from shared.lifecycle.parts import TEST, VALIDATION
from shared.lifecycle.runs import Run, Value
from shared.lifecycle.space import Range, Wanted

KIND = "search"
TRIALS = "trials.csv"


def parameters(wanted: Wanted, *, parts: Mapping[str, Any], prune: str, seed: int) -> dict[str, Any]:
    """The parameters of a search's run: what cannot change when it goes on.

    Args:
        wanted: what it looks for.
        parts: how the data are cut; what is ``None`` is left out.
        prune: what trials are broken off by.
        seed: of everything random.

    Example:
        >>> wanted = Wanted("f1", "maximize", {"c": Range(0.01, 100.0, log=True)}, {"method": "tfidf"}, {})
        >>> parameters(wanted, parts={}, prune="none", seed=0)["space.c"]
        '0.01 to 100, log'
    """
    found = {"metric": wanted.metric, "direction": wanted.direction, "prune": prune, "seed": seed}
    found |= {f"space.{name}": _choices(choices) for name, choices in wanted.space.items()}
    found |= {f"fixed.{name}": value for name, value in wanted.fixed.items()}
    found |= {f"evaluate.{name}": value for name, value in wanted.evaluate.items()}
    return found | {name: value for name, value in parts.items() if value is not None}


def _choices(choices: Range | tuple[Any, ...]) -> str:
    if isinstance(choices, tuple):
        return ", ".join(map(str, choices))
    more = [word for word, said in (("log", choices.log), ("whole", choices.whole)) if said]
    return ", ".join([f"{choices.low:g} to {choices.high:g}", *more])


class SearchLog:
    """What a run hears of a search.

    Args:
        run: of the tracker.
        metric: by which the search chooses.
    """

    def __init__(self, run: Run, metric: str) -> None:
        self._run, self._metric = run, metric

    @property
    def run(self) -> str:
        """The run's id; empty where nothing is logged."""
        return self._run.id

    def best(self, trials: int, value: float) -> None:
        """The best figure after so many trials: a curve that ends where the validation figure does."""
        self._run.metrics({f"{VALIDATION} {self._metric}": value}, step=trials)

    def trials(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Every trial, as one file in the place of an earlier one."""
        if not self.run:
            return
        listed = list(rows)
        text = io.StringIO()
        table = csv.DictWriter(text, list(dict.fromkeys(key for row in listed for key in row)), lineterminator="\n")
        table.writeheader()
        table.writerows(listed)
        self._run.text(TRIALS, text.getvalue())

    def found(self, found: Found, out: Path) -> None:
        """What the search came to: figures with intervals, the best options, its report, the kept model's card."""
        figures: dict[str, Value] = {
            f"{part} {self._metric}": (figure.value, figure.low, figure.high)
            for part, figure in ((VALIDATION, found.validation), (TEST, found.test), ("nested", found.nested))
        }
        self._run.metrics({**figures, "optimism": found.optimism}, step=len(found.trials))
        counts = found.counts
        said = f"{counts['complete']} complete, {counts['pruned']} pruned, {counts['fail']} failed"
        best = {f"best.{name}": value for name, value in found.best.options.items()}
        self._run.tags({"trials": said, "best": f"trial {found.best.number}", **best})
        for path in (out / "report.json", out / "model" / "card.toml", out / "model" / "README.md"):
            self._run.artefact(path)
