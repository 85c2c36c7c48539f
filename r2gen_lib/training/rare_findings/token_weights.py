"""Sentences that name a finding weigh more in the loss: most of a report's words are said of every chest."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from r2gen_lib.errors import R2GenError
from r2gen_lib.findings.report_labeler import State, located_labels


def token_weights(tokenizer: PreTrainedTokenizerBase, report: str, finding_weight: float) -> list[float]:
    """``finding_weight`` for each of the report's tokens in a sentence that names a finding, 1 for all others.

    A sentence names one if the rules read from it that an observation of CheXpert's is present or uncertain. The
    token that ends the report is not among them.

    Args:
        tokenizer: one that says where in the text its tokens stand (transformers' fast ones do).

    Raises:
        DataError: the report is not text.
        R2GenError: the tokenizer does not say it.
    """
    if not tokenizer.is_fast:
        raise R2GenError(
            f"OptimConfig.finding_weight: {type(tokenizer).__name__} does not say where its tokens stand. Load the "
            "language model's fast tokenizer, or leave finding_weight at 1."
        )
    named = [False] * len(report)  # of each character, whether it stands in such a sentence; white space does not count
    for start, end, states in located_labels(report):
        if any(state >= State.UNCERTAIN for state in states.values()):
            named[start:end] = [not character.isspace() for character in report[start:end]]
    places = tokenizer(report, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    return [finding_weight if any(named[start:end]) else 1.0 for start, end in places]
