"""Requests a second of a server with monitoring and of one without, in rounds that take turns.

Both serve nlp.classification in processes of their own; every text is another. Monitoring logs a tenth of the requests
(the default), or all of them with --rate 1.

    python bench/monitoring_serving.py [--rate 0.1] [--rounds 10] [--requests 400]
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from shared.monitoring.log_reading import profile_log

CONFIG = '[server]\nport = 0\nthreads = 1\n[[models]]\ntask = "nlp.classification"\n'
WATCHED = '[monitoring."nlp.classification"]\nlog = "{}"\nrate = {}\n'
TEXT = "a warm and funny film well played if little long towards the end we left the cinema smiling"
WORDS = TEXT.split()
AT_ONCE = 8


class Served:
    """A server in a process of its own."""

    def __init__(self, config: str, folder: Path, name: str) -> None:
        file = folder / f"{name}.toml"
        file.write_text(config)
        command = [sys.executable, "-c", "from shared.cli.main import main; main()", "serve", "--config", str(file)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        self.url = re.findall(r"http://\S+", said)[0]
        with httpx.Client(trust_env=False) as client:
            while client.get(f"{self.url}/readyz").status_code != 200:
                time.sleep(0.2)
        self.log = open(folder / f"{name}.log", "w")  # noqa: SIM115 - open as long as the server runs
        self.copier = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=self.log)

    def processor(self) -> float:
        """Seconds of a processor that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.copier.wait(10)
        self.log.close()


def main() -> None:
    """Both servers, and rounds in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        servers = {
            "without": Served(CONFIG, folder, "without"),
            "with": Served(CONFIG + WATCHED.format(folder / "predictions", given.rate), folder, "with"),
        }
        rng = np.random.default_rng(0)
        rates: dict[str, list[float]] = {name: [] for name in servers}
        spent: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(given.rounds + 1):
            for name in list(servers)[:: 1 if number % 2 else -1]:
                texts = [" ".join(rng.choice(WORDS, 20)) for _ in range(given.requests)]
                before, began = servers[name].processor(), time.perf_counter()
                asyncio.run(ask(servers[name].url, texts))
                if number:  # the first round warms up
                    rates[name].append(given.requests / (time.perf_counter() - began))
                    spent[name].append(1000 * (servers[name].processor() - before) / given.requests)
        for server in servers.values():
            server.close()
        for name in servers:
            low, middle, high = np.percentile(rates[name], [25, 50, 75])
            print(f"{name:8} {middle:7.1f} requests a second (quartiles {low:.1f} to {high:.1f}), "
                  f"{np.median(spent[name]):.2f} ms of processor each")  # fmt: skip
        ratio = np.array(rates["with"]) / np.array(rates["without"])
        low, middle, high = np.percentile(ratio, [25, 50, 75])
        print(f"with / without, by rounds: {middle:.3f} (quartiles {low:.3f} to {high:.3f})")
        logged = profile_log(folder / "predictions", rng=rng)
        print(f"logged {logged.n:,} of {(given.rounds + 1) * given.requests:,}, rate {given.rate:g}")


async def ask(url: str, texts: list[str]) -> None:
    waiting = iter(texts)

    async def client() -> None:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as session:
            for text in waiting:
                answer = await session.post("/v1/tasks/nlp.classification", json={"item": text})
                answer.raise_for_status()

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    main()
