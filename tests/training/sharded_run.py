"""A training run with the language model of a folder, sharded where two processes are launched.

torchrun --nproc_per_node 2 sharded_run.py OUT_DIR LANGUAGE_FOLDER BATCH_SIZE CHECKPOINTING

The history goes to OUT_DIR; beside it each process writes what it held of the language model, and its checksum.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_system import PROFILE, TINY, tiny_studies

from r2gen_lib.metrics import nlg as language
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.processes import Processes
from r2gen_lib.training.trainer import train

if __name__ == "__main__":
    out, folder, batch_size, checkpointing = sys.argv[1:]
    torch.set_num_threads(1)
    language.tokenize = lambda texts: texts  # the tiny model's words are apart already; Java would take its time
    preset = replace(
        TINY,
        language=replace(TINY.language, source=folder, shard=True, gradient_checkpointing=checkpointing == "True"),
        optim=replace(TINY.optim, batch_size=int(batch_size), select_by="bleu4+cider"),
    )
    with Processes.launched().main_first():  # as r2gen train does: nothing may be sent meanwhile
        model = R2GenGPT.from_preset(preset, vision_weights=None, device="cpu")
    layers = [p for name, p in model.language.named_parameters() if ".layers." in name]
    held = sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in layers)
    before = model.llm_checksum()
    train(model, tiny_studies(26), preset, PROFILE, out, progress=False)
    facts = {"held": held, "all": sum(p.numel() for p in layers), "before": before, "after": model.llm_checksum()}
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    Path(f"{out}-facts-{rank}.json").write_text(json.dumps(facts))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # neither goes while the other may still need it
        torch.distributed.destroy_process_group()
