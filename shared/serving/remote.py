"""A task of a server as a predictor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.catalogue import ModelCard
from shared.predictor import OnError

if TYPE_CHECKING:
    from shared.serving.client import Client


@dataclass(frozen=True)
class RemotePredictor:
    """A :class:`~shared.predictor.Predictor` made by :meth:`shared.serving.client.Client.predictor`.

    Attributes:
        client: whom it asks.
        card: what the server says of the model.
        model: what each request names; the server's default where ``None``.
        options: what each request chooses.
    """

    client: Client
    card: ModelCard
    model: str | None = None
    options: Mapping[str, Any] | None = None

    def predict(self, items: Sequence[object], /, *, on_error: OnError = "raise") -> list[Any]:
        """See :meth:`shared.predictor.Predictor.predict`."""
        return self.client.predict_many(
            self.card.task, items, on_error=on_error, model=self.model, options=self.options
        )

    def stream(
        self, items: Iterable[object], /, *, batch_size: int | None = None, on_error: OnError = "keep"
    ) -> Iterator[Any]:
        """See :meth:`shared.predictor.Predictor.stream`."""
        return self.client.stream_many(
            self.card.task, items, batch_size=batch_size, on_error=on_error, model=self.model, options=self.options
        )
