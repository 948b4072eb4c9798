"""Requests at 64 concurrent clients: ours beside the same model behind a plain endpoint, LitServe and Ray Serve.

Every server is a process, and so is the client, which keeps 64 connections busy (or, for overload, sends at a fixed
rate whatever comes back) and counts what it got. Systems take turns; a ratio is the median over the turns.

    python bench/serving.py                         # text and pictures, all peers
    python bench/serving.py --overload              # twice the capacity: accepted p99, the rest 429
    python bench/serving.py --stop                  # SIGTERM under load: nothing that was accepted is lost
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CLIENTS = 64
TEXTS = [
    "a delight from start to end",
    "dull and far too long, with a plot that goes nowhere for two hours",
    "not as bad as they say",
    "the acting is fine, the music is better, and the last ten minutes are worth the ticket alone",
]
CASES = {"nlp.classification": "sst2-minilm", "vision.detection": ""}
PEERS = ("plain", "litserve", "ray")


def bodies(task: str) -> list[bytes]:
    if task.startswith("nlp."):
        return [
            json.dumps({"item": f"{text}, they say for the {n}th time"}).encode() for n in range(50) for text in TEXTS
        ]
    from PIL import Image
    from sklearn.datasets import load_sample_image

    found = []
    for name, side in (("china.jpg", 320), ("flower.jpg", 400)):
        file = io.BytesIO()
        Image.fromarray(load_sample_image(name)).resize((side, side * 3 // 4)).save(file, "JPEG", quality=85)
        found.append(json.dumps({"item": {"base64": base64.b64encode(file.getvalue()).decode()}}).encode())
    return found


@contextlib.contextmanager
def served(name: str, task: str, model: str, *more: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server that answers, as its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = ["-m", "shared.cli", "serve", f"{task}={model}" if model else task, "--port", str(port), *more]
    ours = ["-c", "from shared.cli.main import main; main()", "serve", f"{task}={model}" if model else task]
    ours += ["--port", str(port), *more]
    theirs = [str(HERE / "serving_peers.py"), name, task, model, str(port)]
    command = [sys.executable, *(ours if name == "ours" else theirs)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ.copy(), start_new_session=True
    )
    path = f"/v1/tasks/{task}" if name == "ours" else "/predict"
    url = f"http://127.0.0.1:{port}{path}"
    try:
        _until_answered(url, bodies(task)[0], process)
        yield url, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT if name == "ray" else signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        with contextlib.suppress(ProcessLookupError):  # what a peer has started beside itself, LitServe's workers say
            os.killpg(process.pid, signal.SIGKILL)


def _until_answered(url: str, body: bytes, process: subprocess.Popen[bytes]) -> None:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    for _ in range(1800):
        if process.poll() is not None:
            raise SystemExit(f"a server ended with {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(request, timeout=30):
                return
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise SystemExit(f"a server answered {error.code}: {error.read()[:300]!r}") from error
            time.sleep(0.1)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("a server did not answer in time")


def load(url: str, task: str, *, seconds: float, rate: float = 0.0, clients: int = CLIENTS) -> dict[str, Any]:
    """What a client process of its own counted."""
    asked = json.dumps({"url": url, "task": task, "seconds": seconds, "rate": rate, "clients": clients})
    done = subprocess.run(
        [sys.executable, __file__, "--client", asked], stdout=subprocess.PIPE, check=True, env=os.environ.copy()
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def client(url: str, task: str, *, seconds: float, rate: float, clients: int) -> dict[str, Any]:
    """Closed loop: so many clients, each with one request after the other. With a rate: open loop, however many."""
    import aiohttp

    sent = bodies(task)
    took: dict[str, list[float]] = {}
    lock_step = 0

    async def one(session: aiohttp.ClientSession, body: bytes) -> str:
        began = time.perf_counter()
        try:
            async with session.post(url, data=body, headers={"content-type": "application/json"}) as answer:
                await answer.read()
                outcome = str(answer.status)
        except aiohttp.ClientConnectorError:
            outcome = "not-connected"
        except (aiohttp.ClientError, OSError):
            outcome = "lost"
        took.setdefault(outcome, []).append(time.perf_counter() - began)
        return outcome

    async def keep(session: aiohttp.ClientSession, until: float, number: int) -> None:
        while time.perf_counter() < until:
            outcome = await one(session, sent[number % len(sent)])
            number += 1
            if outcome == "not-connected":
                return
            if outcome in ("429", "503"):
                await asyncio.sleep(0.05)

    connector = aiohttp.TCPConnector(limit=0 if rate else clients)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:
        began = time.perf_counter()
        if not rate:
            await asyncio.gather(*(keep(session, began + seconds, n) for n in range(clients)))
        else:
            running = []
            while (now := time.perf_counter() - began) < seconds:
                while lock_step < now * rate:
                    running.append(asyncio.ensure_future(one(session, sent[lock_step % len(sent)])))
                    lock_step += 1
                await asyncio.sleep(0.002)
            await asyncio.gather(*running)
        whole = time.perf_counter() - began
    good = sorted(took.get("200", [0.0]))
    refused = sorted(took.get("429", [0.0]))
    return {
        "counts": {outcome: len(times) for outcome, times in took.items()},
        "rate": len(took.get("200", ())) / whole,
        "p50": 1000 * good[len(good) // 2],
        "p99": 1000 * good[int(0.99 * (len(good) - 1))],
        "refused_p50": 1000 * refused[len(refused) // 2],
        "refused_p99": 1000 * refused[int(0.99 * (len(refused) - 1))],
    }


def processor_seconds(pid: int) -> float:
    """Processor time of a process and all below it, until now."""
    import psutil

    root = psutil.Process(pid)
    whole = 0.0
    for one in (root, *root.children(recursive=True)):
        used = one.cpu_times()
        whole += used.user + used.system
    return whole


def compare(task: str, model: str, peers: list[str], *, turns: int, seconds: float) -> None:
    """Each system alone for some seconds, in turns."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("ours", *peers)}
    for turn in range(turns):
        names = list(found)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            with served(name, task, model) as (url, process):
                load(url, task, seconds=min(2.0, seconds))
                before = processor_seconds(process.pid)
                row = load(url, task, seconds=seconds)
                row["cpu"] = 1000 * (processor_seconds(process.pid) - before) / max(1, row["counts"].get("200", 0))
                found[name].append(row)
    print(f"{task} {model}: {CLIENTS} clients, {turns} turns of {seconds:g} s")
    for name, rows in found.items():
        ratio = statistics.median(o["rate"] / r["rate"] for o, r in zip(found["ours"], rows))
        middle = {key: statistics.median(row[key] for row in rows) for key in ("rate", "p50", "p99", "cpu")}
        bad = sum((Counter(row["counts"]) for row in rows), Counter()) - Counter({"200": 10**9})
        others = f"  others: {dict(bad)}" if bad else ""
        print(
            f"  {name:10} {middle['rate']:8.1f} requests/s  p50 {middle['p50']:7.1f} ms  p99 {middle['p99']:7.1f} ms"
            f"  processor {middle['cpu']:6.2f} ms a request  ours has {ratio:5.2f} times its rate{others}"
        )


def overload(task: str, model: str, *, seconds: float) -> None:
    """Twice what the server can do, at a fixed rate."""
    with served("ours", task, model) as (url, _):
        load(url, task, seconds=2.0)
        calm = load(url, task, seconds=seconds)
        storm = load(url, task, seconds=seconds, rate=2 * calm["rate"])
    print(f"{task} {model}: overload, twice {calm['rate']:.1f} requests/s for {seconds:g} s")
    print(f"  64 clients      p50 {calm['p50']:.1f} ms  p99 {calm['p99']:.1f} ms  {calm['counts']}")
    print(f"  twice as many   p50 {storm['p50']:.1f} ms  p99 {storm['p99']:.1f} ms  {storm['counts']}")
    print(
        f"  accepted p99 is {storm['p99'] / calm['p99']:.2f} times the unloaded one; a 429 comes within "
        f"{storm['refused_p50']:.1f} ms at the median, {storm['refused_p99']:.1f} ms at p99"
    )


def stop(task: str, model: str, *, seconds: float) -> None:
    """SIGTERM in the middle of the load."""
    with served("ours", task, model) as (url, process):
        asked = json.dumps({"url": url, "task": task, "seconds": seconds, "rate": 0.0, "clients": CLIENTS})
        sending = subprocess.Popen([sys.executable, __file__, "--client", asked], stdout=subprocess.PIPE)
        time.sleep(2.0)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        counts = json.loads(sending.communicate()[0])["counts"]
    print(f"{task} {model}: SIGTERM under load of {CLIENTS} clients: exit code {code}, client counts {counts}")
    print(f"  lost: {counts.get('lost', 0)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(CASES), help="both when not given")
    parser.add_argument("--model", help="in the place of the task's")
    parser.add_argument("--peers", default=",".join(PEERS), help="which, by commas")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load")
    parser.add_argument("--overload", action="store_true")
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        print(json.dumps(asyncio.run(client(**json.loads(given.client)))))
        return
    for task in [given.task] if given.task else list(CASES):
        model = CASES[task] if given.model is None else given.model
        if given.overload:
            overload(task, model, seconds=given.seconds)
        elif given.stop:
            stop(task, model, seconds=given.seconds)
        else:
            peers = [name for name in given.peers.split(",") if name]
            compare(task, model, peers, turns=given.turns, seconds=given.seconds)


if __name__ == "__main__":
    main()
