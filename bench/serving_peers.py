"""The peers of bench/serving.py, each serving one of our models on a port: ``serving_peers.py NAME TASK MODEL PORT``.

``plain`` is the endpoint that FastAPI's tutorial makes: a typed body, a plain function, a pool of threads, one item a
call. ``litserve`` and ``ray`` batch by their own means, up to 32 items within 2 ms.
"""

from __future__ import annotations

import base64
import os
import sys
from typing import Any

from pydantic import BaseModel

from shared.tasks import find_task

MAX_BATCH, MAX_WAIT = 32, 0.002


class Body(BaseModel):
    """What the plain endpoint takes."""

    item: Any


def item_of(task: str, item: Any) -> Any:
    return base64.b64decode(item["base64"]) if task.startswith("vision.") else item


def plain(task: str, model: str | None, port: int) -> None:
    import uvicorn
    from fastapi import FastAPI

    predictor = find_task(task).open(model, device="auto", threads=None)
    app = FastAPI()

    @app.post("/predict")
    def predict(body: Body) -> dict[str, Any]:
        return {"ok": True, "result": predictor.predict([item_of(task, body.item)])[0].to_json()}

    uvicorn.run(app, port=port, log_level="warning")


def litserve(task: str, model: str | None, port: int) -> None:
    import litserve as ls
    from serving_litserve import Api

    api = Api(task, model, max_batch_size=MAX_BATCH, batch_timeout=MAX_WAIT)
    ls.LitServer(api, accelerator="cpu").run(port=port, generate_client_file=False, log_level="warning")


def ray(task: str, model: str | None, port: int) -> None:
    from shared.serving.ray_app import SETTINGS

    os.environ |= SETTINGS  # as ours: the same patience on a busy machine, and the same niceness
    import ray
    from ray import serve
    from starlette.requests import Request

    @serve.deployment(max_ongoing_requests=128, ray_actor_options={"num_cpus": 1})
    class Served:
        def __init__(self) -> None:
            self.predictor = find_task(task).open(model, device="auto", threads=None)

        @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=MAX_WAIT)
        async def answers(self, items: list[Any]) -> list[Any]:
            return [one.to_json() for one in self.predictor.predict(items, on_error="keep")]

        async def __call__(self, request: Request) -> dict[str, Any]:
            body = await request.json()
            return {"ok": True, "result": await self.answers(item_of(task, body["item"]))}

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"port": port})
    serve.run(Served.bind(), route_prefix="/predict", blocking=True)


if __name__ == "__main__":
    name, task_name, model_name, on_port = sys.argv[1:]
    {"plain": plain, "litserve": litserve, "ray": ray}[name](task_name, model_name or None, int(on_port))
