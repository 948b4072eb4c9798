"""A Ray cluster of two machines that are processes here, for tests.

Run as a script it prints ``host:port`` once both are up. ``0`` or ``1`` on standard input kills that node's processes
at once, as a machine that goes away does; the end of standard input ends the cluster.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}


@dataclass
class TwoNodes:
    """The cluster, the pipe to it, and where the toys of its workers count."""

    address: str
    process: subprocess.Popen[str]
    count: Path

    def kill(self, node: int) -> None:
        """Kill a node's processes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{node}\n")
        self.process.stdin.flush()
        lines = iter(self.process.stdout.readline, "")
        assert any(line.strip() == "killed" for line in lines), "the cluster ended"


def two_nodes(count: Path) -> Iterator[TwoNodes]:
    """Start the cluster, give it once, and end it; ``count`` is the file that its toys count in."""
    count.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("TOY_COUNT", str(count))
        process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        patch.delenv("TOY_COUNT")
        assert process.stdout is not None
        yield TwoNodes(process.stdout.readline().strip(), process, count)
        process.communicate(timeout=60)


def main() -> None:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
    import psutil
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    nodes = [cluster.head_node, cluster.add_node(**NODE)]
    print(cluster.address, flush=True)  # noqa: T201
    for line in sys.stdin:
        raylet = nodes[int(line)].all_processes["raylet"][0].process
        for process in [*psutil.Process(raylet.pid).children(recursive=True), psutil.Process(raylet.pid)]:
            process.kill()
        print("killed", flush=True)  # noqa: T201
    cluster.shutdown()


if __name__ == "__main__":
    main()
