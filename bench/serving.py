"""Requests at 64 concurrent clients: ours beside the same model behind a plain endpoint, LitServe and Ray Serve.

Every server is a process, and so are the clients, which keep 64 connections busy (or, for overload, send at a fixed
rate whatever comes back) and count what they got. Systems take turns; a ratio is the median over the turns. Beside them
stands the model alone, without a server: what it does with all processors is the most that any server can.

    python bench/serving.py                         # text and pictures, all peers
    python bench/serving.py --overload              # twice the capacity: accepted p99, the rest 429
    python bench/serving.py --stop                  # SIGTERM under load: nothing that was accepted is lost
    python bench/serving.py --long                  # what texts of 100,000 characters do to their neighbours
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serving_client import CLIENTS, begin, bodies, counted, load

HERE = Path(__file__).parent
CASES = {"nlp.classification": "sst2-minilm", "vision.detection": ""}
PEERS = ("plain", "litserve", "ray")
START = 600.0
"""Seconds within which a server must answer: on a busy machine Ray takes minutes."""


@contextlib.contextmanager
def served(name: str, task: str, model: str, *more: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server that answers, as its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = ["-c", "from shared.cli.main import main; main()", "serve", f"{task}={model}" if model else task]
    ours += ["--port", str(port), *more]
    theirs = [str(HERE / "serving_peers.py"), name, task, model, str(port)]
    command = [sys.executable, *(ours if name == "ours" else theirs)]
    scratch = tempfile.mkdtemp(prefix="ray")  # Ray's logs and sockets: hundreds of files a run
    environment = os.environ | {"RAY_TMPDIR": scratch, "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
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
        shutil.rmtree(scratch, ignore_errors=True)


def _until_answered(url: str, body: bytes, process: subprocess.Popen[bytes]) -> None:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    until = time.monotonic() + START
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"a server ended with {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(request, timeout=30):
                return
        except urllib.error.HTTPError as error:
            if error.code not in (404, 503):  # Ray's proxy answers before it knows of the route
                raise SystemExit(f"a server answered {error.code}: {error.read()[:300]!r}") from error
            time.sleep(0.1)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("a server did not answer in time")


def processor_seconds(pid: int) -> float:
    """Processor time of a process and all below it, until now."""
    import psutil

    root = psutil.Process(pid)
    whole = 0.0
    for one in (root, *root.children(recursive=True)):
        used = one.cpu_times()
        whole += used.user + used.system
    return whole


def alone(task: str, model: str, *, seconds: float) -> dict[str, Any]:
    """The model without a server; see bench/serving_alone.py."""
    command = [sys.executable, str(HERE / "serving_alone.py"), task, model, str(seconds)]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def compare(task: str, model: str, peers: list[str], *, turns: int, seconds: float) -> None:
    """The model alone and each system for some seconds, in turns."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("alone", "ours", *peers)}
    for turn in range(turns):
        names = list(found)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if name == "alone":
                found[name].append(alone(task, model, seconds=seconds / 2))
                continue
            with served(name, task, model) as (url, process):
                load(url, task, seconds=min(2.0, seconds))
                before = processor_seconds(process.pid)
                row = load(url, task, seconds=seconds)
                row["cpu"] = 1000 * (processor_seconds(process.pid) - before) / max(1, row["counts"].get("200", 0))
                found[name].append(row)
    print(f"{task} {model}: {CLIENTS} clients, {turns} turns of {seconds:g} s")
    best = found.pop("alone")
    threads, rate, least = (statistics.median(row[key] for row in best) for key in ("threads", "rate", "cpu"))
    print(f"  the model alone, {threads:g} threads: {rate:.1f} items/s, processor {least:.2f} ms an item")
    for name, rows in found.items():
        pairs = ((found["ours"], rows, "rate"), (rows, found["ours"], "cpu"), (rows, best, "rate"), (best, rows, "cpu"))
        ratio, cheaper, of_it, own = (
            statistics.median(one[key] / other[key] for one, other in zip(over, under)) for over, under, key in pairs
        )
        middle = {
            key: statistics.median(row[key] for row in rows) for key in ("rate", "p50", "p99", "cpu", "client_cpu")
        }
        bad = sum((Counter(row["counts"]) for row in rows), Counter()) - Counter({"200": 10**9})
        others = f"  others: {dict(bad)}" if bad else ""
        print(
            f"  {name:10} {middle['rate']:8.1f} requests/s  p50 {middle['p50']:7.1f} ms  p99 {middle['p99']:7.1f} ms"
            f"  processor {middle['cpu']:6.2f} ms a request, its clients' {middle['client_cpu']:.2f}"
            f"  {of_it:4.0%} of the model alone ({own:.0%} by processor time)"
            f"  ours has {ratio:5.2f} times its rate, {cheaper:.2f} times by processor time{others}"
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
        sending = begin(url, task, seconds=seconds)
        time.sleep(2.0)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        counts = counted(sending)["counts"]
    print(f"{task} {model}: SIGTERM under load of {CLIENTS} clients: exit code {code}, client counts {counts}")
    print(f"  lost: {counts.get('lost', 0)}")


def long(task: str, model: str, *, turns: int, seconds: float, clients: int = 8) -> None:
    """A few clients with short texts, alone and beside one client whose texts are long: in the batch, and aside."""
    found: dict[str, list[dict[str, Any]]] = {"no long texts": [], "in the batch": [], "aside": []}
    with tempfile.TemporaryDirectory() as folder:
        together = Path(folder) / "together.toml"
        together.write_text("[limits]\nlong_text = 1_000_000\n")
        for _ in range(turns):
            for name, rows in found.items():
                more = ["--config", str(together)] if name == "in the batch" else []
                with served("ours", task, model, *more) as (url, _):
                    load(url, task, seconds=1.0, clients=clients)
                    if name == "no long texts":
                        rows.append(load(url, task, seconds=seconds, clients=clients))
                        continue
                    beside = begin(url, task, seconds=seconds + 1, clients=1, long=True)
                    time.sleep(0.5)
                    rows.append(load(url, task, seconds=seconds, clients=clients))
                    rows[-1]["long"] = counted(beside)
    print(f"{task} {model}: {clients} clients with short texts, one with texts of 100,000 characters, {turns} turns")
    for name, rows in found.items():
        rate, p50, p99 = (statistics.median(row[key] for row in rows) for key in ("rate", "p50", "p99"))
        slow = [f"{row['long']['counts']} {row['long']['p50']:.0f} ms" for row in rows if "long" in row]
        print(f"  {name:14} {rate:7.1f} short/s  p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  the long ones: {slow}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(CASES), help="both when not given")
    parser.add_argument("--model", help="in the place of the task's")
    parser.add_argument("--peers", default=",".join(PEERS), help="which, by commas")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load")
    parser.add_argument("--overload", action="store_true")
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--long", action="store_true")
    given = parser.parse_args()
    for task in [given.task] if given.task else list(CASES):
        model = CASES[task] if given.model is None else given.model
        if given.overload:
            overload(task, model, seconds=given.seconds)
        elif given.stop:
            stop(task, model, seconds=given.seconds)
        elif given.long:
            if task.startswith("nlp."):
                long(task, model, turns=given.turns, seconds=given.seconds)
        else:
            peers = [name for name in given.peers.split(",") if name]
            compare(task, model, peers, turns=given.turns, seconds=given.seconds)


if __name__ == "__main__":
    main()
