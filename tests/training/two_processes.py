"""A training run as each of several processes runs it; the first one's history goes to OUT_DIR.

torchrun --nproc_per_node 2 two_processes.py OUT_DIR BATCH_SIZE [SELECT_BY]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_system import PROFILE, TINY, tiny_model, tiny_studies

from r2gen_lib.training.examples import Examples
from r2gen_lib.training.trainer import train

if __name__ == "__main__":
    out, batch_size = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    batch, scored = Examples.batch, []
    model = tiny_model()

    def counted(self, indices, shift=0):
        if self.studies[0].split == "val" and shift == 0:
            scored.extend(self.studies[i].id for i in indices)
        return batch(self, indices, shift)

    Examples.batch = counted
    preset = replace(TINY, optim=replace(TINY.optim, batch_size=batch_size))
    result = train(model, tiny_studies(25), preset, PROFILE, out, progress=False)
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    Path(f"{out}-scored-{rank}").write_text("\n".join(scored))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # neither goes while the other may still need it
        torch.distributed.destroy_process_group()
