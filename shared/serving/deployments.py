"""One loaded model: what it is, how a batch of items becomes outcomes, and the queue before it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from shared.errors import InputError
from shared.predictor import Predictor
from shared.serving.batching import Batcher
from shared.serving.config import Limits, ServedModel
from shared.serving.faults import is_callers
from shared.serving.items import Form, characters, check_picture, form_of
from shared.serving.telemetry import Log
from shared.tasks import Task
from shared.types import Failure, Result

HIDDEN = frozenset({"allow_urls", "glossary", "titles", "back", "detector"})
"""Options that open files or addresses by name: no request may ever choose them."""


@dataclass(frozen=True)
class Answered:
    """An item's result, and its JSON as it goes out."""

    result: Result
    json: bytes


@dataclass(frozen=True)
class Fault:
    """What stands in the place of a failed item."""

    kind: str
    message: str


Outcome: TypeAlias = Answered | Fault
ENDED = "ended"
"""The kind of the fault that stands for the end of an iterator of parts."""


@dataclass(frozen=True)
class Step:
    """In the place of an item: the next of some results, taken where models run."""

    parts: Iterator[Any]


@dataclass(eq=False)
class Deployment:
    """One loaded model.

    Attributes:
        task: what it serves.
        spec: how it was asked for.
        predictor: the opened model.
        batcher: the queue before it.
        example: the result of its warming up in JSON; ``None`` where that item failed.
        loaded_seconds: what loading and warming took.
        source: what was opened: the model of ``spec``, an alias of the registry being the version that it led to.
        aside: the queue of long items, which run one at a time beside the others; ``None`` where the model takes one
            batch after the other.
        long_text: characters from which on an item is long.
    """

    task: Task
    spec: ServedModel
    predictor: Predictor[Any, Any]
    batcher: Batcher[Any, Outcome]
    example: dict[str, Any] | None
    loaded_seconds: float
    source: str | None = None
    aside: Batcher[Any, Outcome] | None = None
    long_text: int = 0
    variants: OrderedDict[str, Deployment] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.form: Form = form_of(self.task)
        self.allow_urls = bool(self.spec.options.get("allow_urls", False))
        self.name = self.predictor.card.name
        self.json = orjson.dumps({"task": self.task.name, "name": self.name, "version": self.spec.version})

    @property
    def lanes(self) -> tuple[Batcher[Any, Outcome], ...]:
        """All its queues."""
        return (self.batcher,) if self.aside is None else (self.batcher, self.aside)

    def lane(self, item: Any) -> Batcher[Any, Outcome]:
        """The queue in which an item waits."""
        return self.aside if self.aside is not None and characters(item) >= self.long_text else self.batcher

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return any(lane.depth + lane.running for lane in self.lanes)

    async def finished(self) -> None:
        """Wait until nothing waits and nothing runs."""
        for lane in self.lanes:
            await lane.finished()

    def close(self) -> None:
        """End its threads."""
        for lane in self.lanes:
            lane.close()

    def row(self, aliases: Sequence[str]) -> dict[str, Any]:
        """What ``GET /v1/models`` says of it."""
        card = self.predictor.card
        fixed, each = self.batcher.service.line
        return {
            "task": self.task.name,
            "name": self.name,
            "version": self.spec.version,
            "source": self.source,
            "aliases": sorted(aliases),
            "licence": card.licence,
            "summary": card.summary,
            "options": dict(self.spec.options),
            "request_options": list(self.spec.request_options),
            "waiting": sum(lane.depth for lane in self.lanes),
            "running": sum(lane.running for lane in self.lanes),
            "service_ms": {"fixed": round(1000 * fixed, 3), "each": round(1000 * each, 3)},
            "loaded_seconds": round(self.loaded_seconds, 3),
        }


def answering(predictor: Predictor[Any, Any], form: Form, limits: Limits, log: Log) -> Callable[[Sequence[Any]], Any]:
    """From a batch of items to their outcomes, in order; it never raises."""
    here = getattr(predictor, "predict_here", None)
    run = here or (lambda given: predictor.predict(given, on_error="keep"))

    def outcome(result: Any) -> Outcome:
        if isinstance(result, Failure):
            if not is_callers(result.kind):
                log.line("item-failed", kind=result.kind, message=result.message, model=predictor.card.name)
            return Fault(result.kind, result.message)
        return Answered(result, _json(result))

    def before(item: Any) -> Outcome | None:
        """What is said of an item without the predictor."""
        try:
            if isinstance(item, Step):
                part = next(item.parts, None)
                return Fault(ENDED, "no part is left") if part is None else outcome(part)
            if form == "image":
                check_picture(item, limits)
        except InputError as error:
            return Fault(error.kind, str(error))
        return None

    def answer(items: Sequence[Any]) -> Sequence[Outcome]:
        places = [before(item) for item in items]
        good = [item for item, place in zip(items, places) if place is None]
        try:
            found = iter(run(good) if good else [])
            return [outcome(next(found)) if place is None else place for place in places]
        except Exception as error:  # noqa: BLE001 - the isolation boundary: a model's fault is its batch's alone
            log.line("batch-failed", kind=type(error).__name__, message=str(error), model=predictor.card.name)
            return [Fault(type(error).__name__, str(error))] * len(items)

    return answer


def _json(result: Result) -> bytes:
    return orjson.dumps(result.to_json(), option=orjson.OPT_SERIALIZE_NUMPY)
