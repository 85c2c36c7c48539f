"""Who leads, picture or words? What either is worth for the rest of a report whose first words are given.

A model that writes *the heart is* knows from the words alone much of what follows. So the true report is read, and for
each ``k`` the loss of what comes after its first ``k`` words is asked for four times: with the study's own picture and
with another study's, and with the ``k`` words and without them. All words are the radiologist's; nothing is written.

* *picture*: how much the loss of the rest rises with another study's picture, the words given;
* *picture, no words* (the control): the same for the same rest, read as if it were a report's beginning. A later
  part of a report may ask less of a picture, whatever stood before it; this column has that part and not the words;
* *words*: how much the loss of the rest rises without the ``k`` words, the picture being the study's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.controls import shuffled

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT

GIVEN = (0, 4, 12)
WORTH = ("picture", "picture, no words", "words")
TAKEN = "taken"  # of the picture's worth by the words: the second of ``WORTH`` less the first
RESAMPLES = 1000


def worth_by_study(
    model: R2GenGPT,
    features: Float[Tensor, "S N D_v"],
    reports: Sequence[str],
    given: Sequence[int] = GIVEN,
    batch_size: int = 8,
    seed: int = 0,
) -> pd.DataFrame:
    """What picture and words are worth in each report, by how many words are given.

    Args:
        model: any mode.
        features: of the studies' own pictures, as ``encode_studies`` gives them.
        reports: the radiologists', a row of ``features`` each; of a long one, the words that
            ``target.max_tokens`` holds.
        given: how many words; a report counts for those that it is longer than.
        batch_size: reports read at once.
        seed: which other study's picture each gets (``controls.shuffled``).

    Returns:
        A row a study and number of words. Columns: study (its place), given, rest (how many words follow), and the
        three of ``WORTH``, each in nats, summed over the rest. With 0 words given both columns of the picture agree,
        and the words are worth 0.

    Raises:
        DataError: fewer than two studies, as many reports as rows are needed, no number, or one below 0.
    """
    if len(reports) != len(features) or not given or min(given) < 0:
        raise DataError(
            f"worth_by_study: found {len(reports)} reports for {len(features)} pictures and given={tuple(given)}, "
            "expected a report each, and numbers of words from 0 on."
        )
    other = shuffled(map(str, range(len(reports))), seed)
    pictures = {"own": features, "other": features[[int(other[str(i)]) for i in range(len(reports))]]}
    words = [_fitting(model, report.split()) for report in reports]
    whole = {name: _word_nats(model, rows, words, batch_size) for name, rows in pictures.items()}
    rows = []
    for k in given:
        longer = [i for i, one in enumerate(words) if len(one) > k]
        rests = [words[i][k:] for i in longer]
        alone = {
            name: [whole[name][i] for i in longer] if k == 0 else _word_nats(model, picture[longer], rests, batch_size)
            for name, picture in pictures.items()
        }
        for place, i in enumerate(longer):
            read = {name: whole[name][i][k:].sum() for name in pictures}
            bare = {name: alone[name][place].sum() for name in pictures}
            values = (read["other"] - read["own"], bare["other"] - bare["own"], bare["own"] - read["own"])
            rows.append(
                {"study": i, "given": k, "rest": len(words[i]) - k, **dict(zip(WORTH, map(float, values), strict=True))}
            )
    return pd.DataFrame(rows)


@torch.no_grad()
def _word_nats(model: R2GenGPT, features: Tensor, words: Sequence[Sequence[str]], batch_size: int) -> list[np.ndarray]:
    """For each report the loss of each of its words, in nats: the sum over a word's tokens. The end is left out."""
    order = sorted(range(len(words)), key=lambda i: len(words[i]))  # alike in length, so that little is padding
    found: dict[int, np.ndarray] = {}
    for start in range(0, len(order), batch_size):
        chunk = order[start : start + batch_size]
        out = model(features=features[chunk], reports=[" ".join(words[i]) for i in chunk])
        nats = torch.nn.functional.cross_entropy(out.logits, out.labels, reduction="none").cpu().numpy()
        rows = out.rows.cpu().numpy()
        for row, i in enumerate(chunk):
            found[i] = _summed_by_word(model, nats[rows == row], words[i])
    return [found[i] for i in range(len(words))]


def _summed_by_word(model: R2GenGPT, nats: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """(words,): a report's token losses added up by word."""
    sums = np.concatenate([[0.0], np.cumsum(nats.astype(float))])
    return np.diff(sums[[0, *_ends(model, words)]])


def _ends(model: R2GenGPT, words: Sequence[str]) -> list[int]:
    """Where each word ends, in tokens: a word's tokens are the same whatever follows it."""
    texts = [" ".join(words[: n + 1]) for n in range(len(words))]
    return [len(row) for row in model.tokenizer(texts, add_special_tokens=False).input_ids]


def _fitting(model: R2GenGPT, words: Sequence[str]) -> list[str]:
    """The words that the model reads whole: as many as ``target.max_tokens`` holds, and an end."""
    limit = model.preset.target.max_tokens - 1
    return [word for word, end in zip(words, _ends(model, words), strict=True) if end <= limit]


def worth_table(by_study: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Worth in nats a word of the rest, over all studies of ``worth_by_study``, index given.

    Columns: studies, and each of ``WORTH`` and ``TAKEN`` with low and high (95%, percentile bootstrap over studies).
    """
    rng = np.random.default_rng(seed)
    rows = {}
    for k, some in by_study.groupby("given"):
        nats = some[list(WORTH)].assign(**{TAKEN: some[WORTH[1]] - some[WORTH[0]]})
        counts = rng.multinomial(len(some), np.full(len(some), 1 / len(some)), size=RESAMPLES)
        drawn = (counts @ nats.to_numpy()) / (counts @ some.rest.to_numpy())[:, None]  # (resamples, 4)
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        rows[k] = {"studies": len(some)}
        for place, name in enumerate(nats):
            value = nats[name].sum() / some.rest.sum()
            rows[k] |= {name: value, f"{name} low": low[place], f"{name} high": high[place]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("given")


def format_worth(table: pd.DataFrame) -> str:
    """The table of ``worth_table`` for a terminal."""
    names = (*WORTH, TAKEN)
    lines = [f"{'given':>5s}{'studies':>9s}   " + "".join(f"{name:24s}" for name in names)]
    for k, row in table.iterrows():
        cells = [f"{row[name]:+.3f} [{row[f'{name} low']:+.3f}, {row[f'{name} high']:+.3f}]" for name in names]
        lines.append(f"{k:5d}{int(row.studies):9d}   " + "".join(f"{cell:24s}" for cell in cells))
    lines.append("nats a word of the rest: by how much its loss rises with another picture, or without the words.")
    lines.append("taken: what the words take of the picture's worth (second column less the first).")
    return "\n".join(lines)
