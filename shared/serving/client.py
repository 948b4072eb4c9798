"""Tasks of a server as if they were here: results of our own classes, bad items among good ones, refusals waited out.

It needs no extra. What a request asks twice changes nothing, so one that got no answer is sent again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx2

from shared.catalogue import ModelCard
from shared.errors import InputError, PredictError, ServiceError, UnknownNameError, UsageError
from shared.predictor import OnError
from shared.serving.connection import Connection, parsed, part_of
from shared.serving.remote import RemotePredictor
from shared.serving.requests import (
    attempt,
    body_of,
    check_on_error,
    checked,
    fault,
    late_status,
    path_of,
    revived,
    together,
    written,
)
from shared.types import Failure, Result


class Client:
    """A server of Triptych.

    Args:
        base_url: where it answers, with the path under which a proxy has it.
        api_key: what it asks for, if it does.
        timeout: seconds that an answer may take.
        retries: how often a request is sent again that was refused for now (429, 503) or got no answer.
        longest_wait: seconds of ``Retry-After`` that are waited for; where more is asked for, the error comes at once.
        batch_size: items that go in one request.
        http: a client of your own, for proxies and certificates; ``timeout`` is then its own.
        rng: spreads the pauses of clients that were refused together.
        sleep: what waits.

    Example:
        >>> answer = {"ok": True, "result": {"type": "Failure", "index": 0, "kind": "k", "message": "m"}}
        >>> fake = httpx2.MockTransport(lambda request: httpx2.Response(200, json=answer))
        >>> with Client("http://example.org", http=httpx2.Client(transport=fake)) as client:
        ...     client.predict("nlp.ner", "Ada wrote the notes.").kind
        'k'
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        longest_wait: float = 30.0,
        batch_size: int = 32,
        http: httpx2.Client | None = None,
        rng: random.Random | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise UsageError(f"base_url must begin with http:// or https://. Got {base_url!r} instead")
        if retries < 0 or batch_size < 1 or timeout <= 0:
            raise UsageError(
                "a client needs retries of at least 0, a batch_size of at least 1 and a timeout above 0. "
                f"Got retries={retries}, batch_size={batch_size}, timeout={timeout}"
            )
        self.base_url, self.batch_size = base_url.rstrip("/"), batch_size
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {api_key}"
        self._connection = Connection(
            self.base_url,
            headers,
            http=http or httpx2.Client(timeout=timeout, follow_redirects=False),
            retries=retries,
            longest_wait=longest_wait,
            rng=rng or random.Random(),  # noqa: S311 - pauses are no secret
            sleep=sleep,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.http.close()

    def predict(
        self, task: str, item: object, *, model: str | None = None, options: Mapping[str, Any] | None = None
    ) -> Result:
        """The result of one item.

        Args:
            task: for example ``"vision.detection"``.
            item: a text, an id, a history, a question with its context, or a picture as a path (a
                :class:`pathlib.Path`), as the bytes of its file or as a PIL image.
            model: a version, an alias or a name; the server's default when not given.
            options: those that the server lets a request choose.

        Raises:
            InputError: the item cannot be used.
            UsageError: the server refuses the request as it is.
            ServiceError: no answer came, or a fault of the server.
        """
        body = body_of(b'"item":' + written(item), model, options)
        return revived(task, part_of(self._connection.sent("POST", path_of(task), body), "result"))

    def predict_many(
        self,
        task: str,
        items: Sequence[object],
        *,
        on_error: OnError = "raise",
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """The results of several items, in order, as :meth:`shared.predictor.Predictor.predict` gives them.

        Args:
            task: as in :meth:`predict`.
            items: as in :meth:`predict`, each.
            on_error: ``"raise"`` ends with one error that names every failing item; ``"keep"`` puts a
                :class:`~shared.types.Failure` in the place of each.
            model: as in :meth:`predict`.
            options: as in :meth:`predict`.

        Raises:
            PredictError: items failed and ``on_error`` is ``"raise"``.
            UsageError: the server refuses the request as it is.
            ServiceError: no answer came, or a fault of the server.
        """
        if isinstance(items, str | bytes):
            raise UsageError(
                f"predict takes a list of items. Got one {type(items).__name__}: wrap it, or call Client.predict"
            )
        check_on_error(on_error)
        results = list(self._results(task, items, self.batch_size, model, options))
        failures = [one for one in results if isinstance(one, Failure)]
        if failures and on_error == "raise":
            raise PredictError(failures, len(results))
        return results

    def stream_many(
        self,
        task: str,
        items: Iterable[object],
        *,
        batch_size: int | None = None,
        on_error: OnError = "keep",
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Iterator[Any]:
        """Results in order, as they come, in flat memory over an endless input: one batch is read ahead.

        The arguments are those of :meth:`predict_many`; ``"raise"`` raises at the first failing item.
        """
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise UsageError(f"batch_size must be at least 1. Got {size} instead")
        check_on_error(on_error)
        return checked(self._results(task, items, size, model, options), on_error)

    def stream(
        self, task: str, item: object, *, model: str | None = None, options: Mapping[str, Any] | None = None
    ) -> Iterator[Any]:
        """One item's answer part by part, each a result; one part for a task that has no parts.

        Raises:
            InputError: the item cannot be used, as a whole or from some part on.
            UsageError: as in :meth:`predict`.
            ServiceError: as in :meth:`predict`; ``"broken-off"`` where the parts ended without their end.
        """
        body = body_of(b'"item":' + written(item), model, options)
        return self._events(task, body)

    def _events(self, task: str, body: bytes) -> Generator[Any, None, None]:
        with self._connection.open("POST", path_of(task, "/stream"), body) as response:
            name, cause = "", None
            try:
                for line in response.iter_lines():
                    key, _, value = line.partition(": ")
                    if key == "event":
                        name = value
                    elif key == "data" and name == "part":
                        yield revived(task, parsed(value))
                    elif key == "data" and name == "done":
                        return
                    elif key == "data":
                        raise fault(late_status(parsed(value)), parsed(value), str(response.url))
            except httpx2.TransportError as error:
                cause = error
        raise ServiceError(f"{self.base_url} broke off between two parts", status=200, kind="broken-off") from cause

    def models(self) -> list[dict[str, Any]]:
        """What is served: a row for each model with its task, name, version, aliases, licence and options."""
        found = part_of(self._connection.sent("GET", "/v1/models"), "models")
        return list(found)

    def ready(self) -> bool:
        """Whether it takes requests now. One question, without a second."""
        try:
            return self._connection.http.get(f"{self.base_url}/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def predictor(
        self, task: str, *, model: str | None = None, options: Mapping[str, Any] | None = None
    ) -> RemotePredictor:
        """A task as a :class:`~shared.predictor.Predictor`.

        Raises:
            UnknownNameError: the server has no such task or model.
        """
        served = self.models()
        rows = [row for row in served if row["task"] == task]
        if not rows:
            raise UnknownNameError("task that is served", task, {row["task"] for row in served})
        wanted = model or "default"
        for row in rows:
            if wanted in (row["version"], row["name"], *row["aliases"]):
                card = ModelCard(
                    row["name"], task, "served", "http", row["licence"], row["summary"], origin=self.base_url
                )
                return RemotePredictor(self, card, model, options)
        names = {name for row in rows for name in (row["version"], row["name"], *row["aliases"])}
        raise UnknownNameError(f"model (of {task})", wanted, names)

    def _results(
        self, task: str, items: Iterable[object], size: int, model: str | None, options: Mapping[str, Any] | None
    ) -> Generator[Any, None, None]:
        index = 0
        for batch in together(map(attempt, items), size):
            good = [one for one in batch if isinstance(one, bytes)]
            answers = iter(self._batch(task, good, model, options))
            for one in batch:
                found = next(answers) if isinstance(one, bytes) else one
                yield Failure(index, found.kind, str(found)) if isinstance(found, InputError) else found
                index += 1

    def _batch(
        self, task: str, items: list[bytes], model: str | None, options: Mapping[str, Any] | None
    ) -> list[Result | InputError]:
        """The results of one request; of two halves where the server finds it too large."""
        if not items:
            return []
        body = body_of(b'"items":[%b]' % b",".join(items), model, options)
        response = self._connection.sent("POST", path_of(task, "/batch"), body, fine=(413,))
        if response.status_code == 413:
            error = (parsed(response.text) or {}).get("error", {})
            if len(items) == 1:
                return [InputError("too-large", str(error.get("message", "the server refuses an item of this size")))]
            middle = len(items) // 2
            return self._batch(task, items[:middle], model, options) + self._batch(task, items[middle:], model, options)
        rows = part_of(response, "results")
        if not isinstance(rows, list) or len(rows) != len(items):
            raise ServiceError(
                f"{self.base_url} must answer each of {len(items)} items. Got {str(rows)[:200]}",
                status=200,
                kind="not-triptych",
            )
        return [
            revived(task, row["result"]) if row["ok"] else InputError(row["error"]["kind"], row["error"]["message"])
            for row in rows
        ]
