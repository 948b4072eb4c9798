"""How much faster an adapter learns in bfloat16 than in float32, on this processor.

    python bench/precision.py [--base minilm-l12-base] [--rank 16] [--tokens 192] [--rows 16] [--turns 5] [--threads N]

Needs the extra `torch`. One step is the loss of a reader's head on random tokens, its gradient and AdamW's move, over
the adapter that `triptych train --method lora` trains. Both precisions take turns; the figure is the ratio of medians.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from nlp.training.base import find_bert
from nlp.training.network import Adapting, build_network
from shared.settings import cpu_count
from shared.training.loop import choose_precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="minilm-l12-base")
    parser.add_argument("--threads", type=int, default=cpu_count())
    for name, value in (("rank", 16), ("tokens", 192), ("rows", 16), ("turns", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    base = find_bert(asked.base).base
    network = build_network(base, Adapting(asked.rank, base.shape.layers, 0.0), head="spans", outputs=2).train()
    moved = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(moved, lr=1e-4)
    torch.manual_seed(0)
    ids = torch.randint(1000, 20000, (asked.rows, asked.tokens))
    types, mask = torch.zeros_like(ids), torch.ones_like(ids, dtype=torch.bool)

    def step(*, bfloat16: bool) -> float:
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            loss = network(ids, types, mask).float().square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return time.perf_counter() - began

    for bfloat16 in (False, True):
        step(bfloat16=bfloat16)
    turns = [(step(bfloat16=False), step(bfloat16=True)) for _ in range(asked.turns)]
    exact, near = (statistics.median(side) for side in zip(*turns))
    print(f"this processor's own choice: {choose_precision('auto', torch.device('cpu'))}; {asked.threads} threads")
    print(
        f"float32 {asked.rows / exact:.1f}, bfloat16 {asked.rows / near:.1f} windows a second: {exact / near:.2f} times"
    )


if __name__ == "__main__":
    main()
