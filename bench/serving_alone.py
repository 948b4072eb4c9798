"""The model alone: the ceiling of whatever serves it. ``serving_alone.py TASK MODEL SECONDS`` prints JSON.

The same predictor over the same bodies, parsed and written as a server does, in a loop of one process without HTTP,
with each number of threads for so many seconds; the fastest counts.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import orjson
from serving_client import bodies
from serving_peers import item_of

from shared.settings import cpu_count
from shared.tasks import find_task

WARM = 64


def alone(task: str, model: str | None, seconds: float, threads: int) -> dict[str, float]:
    """Items a second and milliseconds of processor an item."""
    predictor = find_task(task).open(model, device="auto", threads=threads)
    given = bodies(task)

    def items() -> Iterator[Any]:
        for body in itertools.cycle(given):
            yield item_of(task, json.loads(body)["item"])

    done, began, used = -WARM, 0.0, 0.0
    for result in predictor.stream(items(), batch_size=None if predictor.side_by_side else 32):
        orjson.dumps(result.to_json(), option=orjson.OPT_SERIALIZE_NUMPY)
        done += 1
        if done == 0:
            began, used = time.perf_counter(), time.process_time()
        elif done > 0 and time.perf_counter() - began > seconds:
            break
    whole = time.perf_counter() - began
    return {"rate": done / whole, "cpu": 1000 * (time.process_time() - used) / done, "threads": threads}


if __name__ == "__main__":
    task_name, model_name, for_seconds = sys.argv[1:]
    tried = sorted({1, cpu_count()})
    found = [alone(task_name, model_name or None, float(for_seconds), count) for count in tried]
    print(json.dumps(max(found, key=lambda row: row["rate"])))
