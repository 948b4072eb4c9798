"""One of our models as a LitServe API, in a module of its own because its worker process must find it by name."""

from typing import Any

import litserve as ls
from serving_peers import item_of

from shared.tasks import find_task


class Api(ls.LitAPI):
    """Batches of items through ``predict``."""

    def __init__(self, task: str, model: str | None, **options: Any) -> None:
        super().__init__(**options)
        self._task, self._model = task, model

    def setup(self, device: str) -> None:
        self.predictor = find_task(self._task).open(self._model, device="auto", threads=None)

    def decode_request(self, request: dict[str, Any]) -> Any:
        return item_of(self._task, request["item"])

    def batch(self, inputs: list[Any]) -> list[Any]:
        return list(inputs)

    def predict(self, batch: list[Any]) -> list[Any]:
        found: list[Any] = self.predictor.predict(batch, on_error="keep")
        return found

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"ok": True, "result": output.to_json()}
