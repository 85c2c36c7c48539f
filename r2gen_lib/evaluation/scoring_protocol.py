"""The scoring protocol of the public R2GenGPT code as options, and how far each moves every score.

Its references are cut to 60 (IU-Xray) or 100 (MIMIC-CXR) tokens of the language model before they are scored, no
tokenizer separates words from punctuation, and every report is forced to 40 or 80 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from transformers import PreTrainedTokenizerBase

from r2gen_lib.errors import DataError
from r2gen_lib.metrics.nlg import LanguageScorer

AS_HERE, TOGETHER = "as scored here", "together"


def cut_references(references: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, tokens: int) -> dict[str, str]:
    """Study id -> the reference's first ``tokens`` tokens of the language model, as text again.

    Raises:
        DataError: ``tokens`` is not positive.
    """
    if tokens < 1:
        raise DataError(f"cut_references: found {tokens} tokens, expected 1 or more.")
    ids = tokenizer(list(references.values()), add_special_tokens=False).input_ids
    texts = tokenizer.batch_decode([row[:tokens] for row in ids], skip_special_tokens=True)
    return dict(zip(references, texts, strict=True))


def protocol_table(
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    tokens: int = 60,
    forced: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> pd.DataFrame:
    """How far each setting of the protocol moves each score, the model and its weights being the same.

    Args:
        references: study id -> the radiologist's report, whole.
        hypotheses: study id -> the generated report, of no forced length.
        tokenizer: the language model's, which says where references are cut (``model.tokenizer``).
        tokens: what references are cut to.
        forced: the reports of the same model when a minimum length is forced:
            ``describe_studies(model, studies, min_new_tokens=40)``. Without it that row is left out.
        timeout: seconds that each Java program may take for one row.

    Returns:
        Rows: ``"as scored here"``, one a setting, ``"together"``. Two levels of columns: ``table["score"]`` is what the
        scores become, ``table["moved by"]`` how far that is from the first row.

    Raises:
        DataError: ids differ, or a reference holds no word.
        JavaError: no Java, it stopped, or took too long.
    """
    cut = cut_references(references, tokenizer, tokens)
    rows = {
        AS_HERE: ("ptb", references, hypotheses),
        f"references cut to {tokens} tokens": ("ptb", cut, hypotheses),
        "no tokenizer": ("none", references, hypotheses),
        "minimum length forced": ("ptb", references, forced),
        TOGETHER: ("none", cut, hypotheses if forced is None else forced),
    }
    scores = {}
    with LanguageScorer(timeout) as scorer:
        for name, (words, truth, guess) in rows.items():
            if guess is not None:
                scorer.tokenizer = words
                scores[name] = scorer.score(truth, guess)
    table = pd.DataFrame.from_dict(scores, orient="index")
    return pd.concat({"score": table, "moved by": table - table.loc[AS_HERE]}, axis=1)
