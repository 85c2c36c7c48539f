"""Does the report follow the picture? One finding is put into a simulated chest or taken out, and nothing else.

A pair is the unit. *Sensitivity*: the share of pairs in which the report's label of the finding's observation goes from
not present to present with the finding. *Selectivity*: the share in which no other observation's label changes; files
and tables call it ``specificity``, which in medicine is another thing, the true-negative rate. The control is the same
patient in another exposure, with no finding changed. Labels are by the rules of ``report_labeler``, "uncertain"
counts as present. All pictures are simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from r2gen_lib.evaluation.counterfactual.likelihood import log_odds
from r2gen_lib.evaluation.counterfactual.pairs import CONTROL, Exposure, Pair
from r2gen_lib.findings.chexpert import Case, covers
from r2gen_lib.findings.finding import FINDING_NAMES
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.inference.feature_cache import picture_pixels
from r2gen_lib.inference.generate_reports import describe_features
from r2gen_lib.model.finding_head import finding_logits

if TYPE_CHECKING:
    from r2gen_lib.model.r2gengpt import R2GenGPT


@dataclass(frozen=True)
class Counterfactuals:
    """What a model did with pairs.

    Attributes:
        pairs: as they were given.
        rows: a row a pair and finding; a control has a row for each finding that is not in it. Columns: kind,
            finding, observation, patient, drawn, says without, says with (is the observation present?), others changed
            (names of observations, ``;`` between them), log-odds without, log-odds with (nats), head without, head with
            (logits of the finding head; NaN for an encoder without one), report without, report with.
    """

    pairs: tuple[Pair, ...]
    rows: pd.DataFrame


def run_pairs(
    model: R2GenGPT, pairs: Sequence[Pair], batch_size: int = 16, progress: bool = True, **decoding: Any
) -> Counterfactuals:
    """Draw the pairs' radiographs, let ``model`` describe each once, and note what differs.

    Args:
        model: any mode; it is given the frontal view.
        pairs: of ``pairs.make_pairs``.
        batch_size: pictures encoded, and sentences weighed, at once.
        progress: show a progress bar.
        decoding: overrides fields of the preset's DecodingConfig, such as ``num_beams=1`` for greedy search.
    """
    exposures = list(dict.fromkeys(exposure for pair in pairs for exposure in (pair.without, pair.with_)))
    place = {exposure: i for i, exposure in enumerate(exposures)}
    features = encode_exposures(model, exposures, batch_size, progress)
    reports = describe_features(model, features, progress=progress, **decoding)
    says = label_reports(reports) >= State.UNCERTAIN  # (exposures, 14)
    seen = finding_logits(model, features)
    cases = list(dict.fromkeys(pair.case for pair in pairs if pair.case))
    odds = {case.finding: _odds(model, features, _asked(pairs, case, place), case, batch_size) for case in cases}
    rows = []
    for pair in pairs:
        i, j = place[pair.without], place[pair.with_]
        for case in [pair.case] if pair.case else _unseen(pair, cases):
            own, column = OBSERVATIONS.index(case.observation), FINDING_NAMES.index(case.finding)
            changed = [name for k, name in enumerate(OBSERVATIONS) if says[i, k] != says[j, k]]
            rows.append({
                "kind": pair.kind,
                "finding": case.finding,
                "observation": case.observation,
                "patient": pair.without.patient,
                "drawn": "; ".join(map(str, pair.drawn)),
                "says without": bool(says[i, own]),
                "says with": bool(says[j, own]),
                "others changed": "; ".join(name for name in changed if name not in case.may_change),
                "log-odds without": odds[case.finding][i],
                "log-odds with": odds[case.finding][j],
                "head without": seen[i, column],
                "head with": seen[j, column],
                "report without": reports[i],
                "report with": reports[j],
            })  # fmt: skip
    return Counterfactuals(tuple(pairs), pd.DataFrame(rows))


def _unseen(control: Pair, cases: Sequence[Case]) -> list[Case]:
    """The cases whose finding, or one with the same label, is not in a control's chest."""
    return [case for case in cases if not any(covers(finding, case) for finding in control.without.findings)]


@torch.no_grad()
def encode_exposures(
    model: R2GenGPT, exposures: Sequence[Exposure], batch_size: int = 16, progress: bool = True
) -> Float[Tensor, "B N D_v"]:
    """Draw each exposure and encode it; pictures are not kept."""
    parts = []
    with tqdm(total=len(exposures), unit="picture", desc="simulating and encoding", disable=not progress) as bar:
        for start in range(0, len(exposures), batch_size):
            chunk = exposures[start : start + batch_size]
            parts.append(model.encode(picture_pixels(model, [exposure.draw().picture for exposure in chunk])).float())
            bar.update(len(chunk))
    return torch.cat(parts)


def _asked(pairs: Sequence[Pair], case: Case, place: dict[Exposure, int]) -> list[int]:
    """Places of the exposures for which a finding's sentences are needed: those of its pairs and of the controls."""
    wanted = [pair for pair in pairs if pair.case == case or pair.kind == CONTROL]
    return sorted({place[exposure] for pair in wanted for exposure in (pair.without, pair.with_)})


@torch.no_grad()
def _odds(model: R2GenGPT, features: Tensor, asked: list[int], case: Case, batch_size: int) -> np.ndarray:
    """(exposures,): log-odds of the finding's sentence, NaN where not asked."""
    odds = np.full(len(features), np.nan)
    for start in range(0, len(asked), batch_size):
        chunk = asked[start : start + batch_size]
        odds[chunk] = log_odds(model, features[chunk], case.present, case.absent).cpu().numpy()
    return odds
