"""A Ray cluster of two machines that are processes here, for tests: each line read is a node to kill, and why it ends.

Run as a script it prints ``host:port`` once both are up. ``0`` or ``1`` on standard input kills that node's processes
at once, as a machine that goes away does; the end of standard input ends the cluster.
"""

from __future__ import annotations

import os
import sys

NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}


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
