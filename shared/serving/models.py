"""The models that are served: loaded in a thread, known by task, version and alias, each behind its batcher."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import orjson

from shared.errors import UnknownNameError
from shared.serving.batching import Batcher, Meters
from shared.serving.config import Config, ServedModel
from shared.serving.deployments import HIDDEN, Deployment, Outcome, answering
from shared.serving.faults import HttpError
from shared.serving.items import form_of
from shared.serving.telemetry import Log, Metrics
from shared.serving.warming import threads_of, warmed
from shared.tasks import Task
from shared.weights.named import pinned_name

DEFAULT = "default"
"""The alias that a request gets which names no model."""
AHEAD = 2
"""Pictures that wait at the threads themselves: the event loop, on a busy machine, is late to hand over the next."""


class Registry:
    """All models of one application.

    Args:
        config: what to serve.
        find: from a task's name to the task.
        metrics: who counts.
        log: who writes.
    """

    def __init__(self, config: Config, *, find: Callable[[str], Task], metrics: Metrics, log: Log) -> None:
        self._config, self._find, self._metrics, self._log = config, find, metrics, log
        self._loaded: dict[tuple[str, str], Deployment] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        self._opener = ThreadPoolExecutor(1, "open")
        self._opening = asyncio.Lock()

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks that have a model, by name."""
        return {task: one.task for (task, _), one in self._loaded.items()}

    def all(self) -> list[Deployment]:
        """Every loaded model, variants after the model that they are of."""
        return [one for main in self._loaded.values() for one in (main, *main.variants.values())]

    def mains(self) -> list[Deployment]:
        """Every loaded model without its variants."""
        return list(self._loaded.values())

    def alone(self, task: str) -> bool:
        """Whether a task has one model and no variant, so that its queue is the only one that a request may join."""
        return sum(of == task for of, _ in self._loaded) == 1 and not self.find(task).variants

    def rows(self) -> list[dict[str, Any]]:
        """What ``GET /v1/models`` answers."""
        return [one.row(self.aliases(one)) for one in self._loaded.values()]

    def aliases(self, one: Deployment) -> list[str]:
        """Names beside its version by which a model is known."""
        task, version = one.task.name, one.spec.version
        return [alias for (of, alias), to in self._aliases.items() if (of, to) == (task, version)]

    def find(self, task: str, reference: str | None = None) -> Deployment:
        """A loaded model by alias, version or name.

        Raises:
            UnknownNameError: no model of the task is loaded, or none is called that.
        """
        if reference is None:
            version = self._aliases.get((task, DEFAULT))
        else:
            version = self._aliases.get((task, reference), reference)
        found = None if version is None else self._loaded.get((task, version))
        if found is not None:
            return found
        mine = [one for (of, _), one in self._loaded.items() if of == task]
        if not mine:
            raise UnknownNameError("task that is served", task, {of for of, _ in self._loaded})
        for one in reversed(mine):
            if reference in (one.name, one.spec.model):
                return one
        known = {name for one in mine for name in (one.name, one.spec.version, *self.aliases(one))}
        raise UnknownNameError(f"model (of {task})", str(reference), known)

    async def load(self, spec: ServedModel) -> Deployment:
        """Open and warm a model, and then make it known.

        Raises:
            HttpError: 409, the version is taken.
            TriptychError: it cannot be opened, or its first answer failed.
        """
        async with self._opening:
            key = (spec.task, spec.version)
            if key in self._loaded:
                raise HttpError(
                    409, "version-taken", f"{spec.task} has a version {spec.version!r} already: unload it first"
                )
            one = await self._open(spec)
            self._loaded[key] = one
            for alias in spec.aliases:
                self._aliases[spec.task, alias] = spec.version
            self._aliases.setdefault((spec.task, DEFAULT), spec.version)
        self._log.line("model-loaded", **{k: v for k, v in one.row(self.aliases(one)).items() if k != "summary"})
        return one

    async def unload(self, task: str, version: str, *, held: Sequence[str] = ()) -> None:
        """Take a model out, and wait until it has answered everything that it was given.

        Raises:
            UnknownNameError: there is no such model.
            HttpError: 409, an alias, a split or a shadow leads to it.
        """
        one = self._loaded.get((task, version))
        if one is None:
            raise UnknownNameError(f"version (of {task})", version, [v for of, v in self._loaded if of == task])
        leading = [*self.aliases(one), *held]
        others = [v for of, v in self._loaded if of == task and v != version]
        if leading and (others or held):
            raise HttpError(
                409,
                "in-use",
                f"version {version!r} of {task} is led to by {', '.join(leading)}. Point those elsewhere first",
            )
        del self._loaded[task, version]
        for alias in self.aliases(one):
            del self._aliases[task, alias]
        await _left(one)
        self._log.line("model-unloaded", task=task, version=version)

    async def reload(self, task: str, version: str) -> Deployment:
        """Open a model anew where its name leads elsewhere by now, as an alias of the registry may; else it stays.

        Requests are answered by the old one until the new one is warm, and then by that.

        Raises:
            UnknownNameError: there is no such model, or nothing is called as it is any more.
            TriptychError: it cannot be opened, or its first answer failed. The old one stays.
        """
        async with self._opening:
            one = self._loaded.get((task, version))
            if one is None:
                raise UnknownNameError(f"version (of {task})", version, [v for of, v in self._loaded if of == task])
            loop = asyncio.get_running_loop()
            now = await loop.run_in_executor(self._opener, pinned_name, one.spec.model)
            if now == one.source:
                return one
            new = self._loaded[task, version] = await self._open(one.spec)
        self._log.line("model-reloaded", task=task, version=version, source=new.source)
        await _left(one)
        return new

    def point(self, task: str, alias: str, version: str) -> Deployment:
        """Let an alias lead to a version from the next request on.

        Raises:
            UnknownNameError: there is no such model.
            HttpError: 409, a version is called as the alias.
        """
        if (task, version) not in self._loaded:
            raise UnknownNameError(f"version (of {task})", version, [v for of, v in self._loaded if of == task])
        if (task, alias) in self._loaded:
            raise HttpError(409, "version-taken", f"{alias!r} is a version of {task}, and cannot be an alias too")
        self._aliases[task, alias] = version
        self._log.line("alias", task=task, alias=alias, version=version)
        return self._loaded[task, version]

    def next_version(self, task: str) -> str:
        """The least whole number that is no version of the task yet."""
        taken = {version for of, version in self._loaded if of == task}
        return next(str(n) for n in range(1, len(taken) + 2) if str(n) not in taken)

    async def variant(self, one: Deployment, options: Mapping[str, Any]) -> Deployment:
        """The same model with options of the request's own, opened the first time and kept while others are not asked.

        Raises:
            HttpError: 400, the model lets no request choose such an option; 429, all variants are busy.
        """
        if not options:
            return one
        known = {option.name: option for option in one.task.options if option.name not in HIDDEN}
        for name, value in options.items():
            if name not in one.spec.request_options or name not in known:
                allowed = ", ".join(sorted(set(one.spec.request_options) & set(known))) or "none"
                raise HttpError(
                    400,
                    "option-refused",
                    f"a request may not choose the option {name!r} of this model. Open to it: {allowed}",
                )
            _check_option(known[name].type, value, name, multiple=known[name].multiple)
        key = orjson.dumps(dict(options), option=orjson.OPT_SORT_KEYS).decode()
        async with self._opening:
            if key in one.variants:
                one.variants.move_to_end(key)
                return one.variants[key]
            if len(one.variants) >= self._config.limits.variants:
                idle = next((k for k, v in one.variants.items() if not v.busy), None)
                if idle is None:
                    raise HttpError(
                        429,
                        "overloaded",
                        "all sets of options that may be open at once are busy",
                        headers={"retry-after": "1"},
                    )
                one.variants.pop(idle).close()
            spec = replace(one.spec, model=one.source, options={**one.spec.options, **options})
            one.variants[key] = await self._open(spec)
            return one.variants[key]

    async def finished(self) -> None:
        """Wait until no model has anything to answer."""
        for one in self.all():
            await one.finished()

    def close(self) -> None:
        """End all threads."""
        for one in self.all():
            one.close()
        self._opener.shutdown(wait=False, cancel_futures=True)

    async def _open(self, spec: ServedModel) -> Deployment:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        source = await loop.run_in_executor(self._opener, pinned_name, spec.model)
        given = replace(spec, model=None if source is None else str(source))
        task = await loop.run_in_executor(self._opener, self._find, spec.task)
        predictor, first, seconds = await loop.run_in_executor(self._opener, warmed, task, given, self._config)
        limits, labels = self._config.limits, (spec.task, spec.version)
        own = self._metrics
        sizes, times = own.batches.labels(*labels), own.service.labels(*labels)

        def ran(n: int, took: float) -> None:
            sizes.observe(n)
            times.observe(took)

        meters = Meters(ran, waited=own.waited.labels(*labels).observe, dropped=own.dropped.labels(*labels).inc)
        alone = bool(getattr(predictor, "side_by_side", False))
        answer = answering(predictor, form_of(task), limits, self._log)

        def queue(*, slots: int = 1, ahead: int = 0, most: int = 1) -> Batcher[Any, Outcome]:
            return Batcher(
                answer,
                slots=slots,
                ahead=ahead,
                max_batch=most,
                max_wait=limits.max_wait_ms / 1000,
                queue=limits.queue,
                max_seconds=limits.max_queue_ms / 1000,
                meters=meters,
            )

        reentrant = bool(getattr(predictor, "reentrant", False))
        slots = threads_of(spec, self._config) if alone or reentrant else 1
        batcher = queue(slots=slots, ahead=AHEAD) if alone else queue(slots=slots, most=limits.max_batch)
        aside = queue() if reentrant else None
        batcher.service.add(1, seconds)
        own.depth.labels(*labels).set_function(lambda: sum(one.depth for one in self._batchers(*labels)))
        own.running.labels(*labels).set_function(lambda: sum(one.running for one in self._batchers(*labels)))
        took = time.perf_counter() - began
        return Deployment(task, spec, predictor, batcher, first, took, given.model, aside, limits.long_text)

    def _batchers(self, task: str, version: str) -> list[Batcher[Any, Outcome]]:
        """The queues of a model and its variants; none once it is unloaded."""
        main = self._loaded.get((task, version))
        return [] if main is None else [lane for one in (main, *main.variants.values()) for lane in one.lanes]


async def _left(one: Deployment) -> None:
    """Wait until a model that no request finds any more has answered what it was given, and end its threads."""
    for part in (one, *one.variants.values()):
        await part.finished()
        part.close()


def _check_option(kind: type, value: Any, name: str, *, multiple: bool) -> None:
    values = value if multiple and isinstance(value, list) else [value]
    fine = (kind, int) if kind is float else (kind,)
    for one in values:
        if not isinstance(one, fine) or (isinstance(one, bool) and kind is not bool):
            raise HttpError(400, "bad-request", f"option {name!r} must be a {kind.__name__}. Got {one!r} instead")
