"""Checks of the exercises: they say in words what is right, or what came out, what was expected and the likeliest slip.

    from r2gen_lib import checks

    checks.check_visual_token_count(visual_token_count)  # prints, returns True or False; strict=True raises instead
    checks.report()                                      # a table of what was done
    checks.save_json("answers.json", student="...")      # the same for whoever grades

One module a notebook; the exercises themselves are in ``notebooks/exercises``.
"""

from r2gen_lib.checks.alignment import (
    check_gain,
    check_splice,
    check_views,
    check_visual_token_count,
)
from r2gen_lib.checks.core import forget, report, results, save_json
from r2gen_lib.checks.data import check_copies, check_split_sections, check_window
from r2gen_lib.checks.delta import check_disk, check_lora_forward, check_lora_parameters, check_merge
from r2gen_lib.checks.evaluation import (
    check_bigram_precision,
    check_bootstrap,
    check_counterfactual,
    check_worse_report,
)
from r2gen_lib.checks.scale import check_hours, check_optimizer_steps, check_training_gb
from r2gen_lib.checks.start import check_first_move, check_names, check_repetition
from r2gen_lib.checks.training import check_accumulate, check_frozen, check_report_loss_mask

__all__ = [
    "check_accumulate",
    "check_bigram_precision",
    "check_bootstrap",
    "check_copies",
    "check_counterfactual",
    "check_disk",
    "check_first_move",
    "check_frozen",
    "check_gain",
    "check_hours",
    "check_lora_forward",
    "check_lora_parameters",
    "check_merge",
    "check_names",
    "check_optimizer_steps",
    "check_repetition",
    "check_report_loss_mask",
    "check_splice",
    "check_split_sections",
    "check_training_gb",
    "check_views",
    "check_visual_token_count",
    "check_window",
    "check_worse_report",
    "forget",
    "report",
    "results",
    "save_json",
]
