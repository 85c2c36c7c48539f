"""Where a finding is lost between picture and report: encoder, averaging, mapper, language model or decoding.

    python benchmarks/finding_stages.py [--checkpoint laptop-shallow] [--fit 1600] [--test 400] [--seed 0]

Simulated chests get some of six findings that lie in the same places: an effusion, pleural thickening and a
pneumothorax; an opacity, a consolidation and an atelectasis. At each stage a linear probe (ridge, its penalty chosen by
leaving one out) is fitted on --fit chests and asked about --test others: can a straight line still tell who has the
finding? AUROC, over all chests, and over those with one of its two neighbours (does it tell them apart?). Before and
after the probes stand what has none: the encoder's finding head, the odds of the finding's sentence, and the report.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from r2gen_lib import R2GenGPT
from r2gen_lib.evaluation.counterfactual.likelihood import log_odds
from r2gen_lib.evaluation.counterfactual.pairs import Exposure
from r2gen_lib.evaluation.counterfactual.run import encode_exposures
from r2gen_lib.findings.chexpert import CASES
from r2gen_lib.findings.finding import FINDING_NAMES
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.model.alignment import pool_tokens, splice
from r2gen_lib.model.finding_head import finding_logits
from r2gen_lib.simulation.coded_findings import drawn_anew
from r2gen_lib.simulation.simulate import seed_of

GROUPS = (("Pleural Effusion", "Pleural Thickening", "Pneumothorax"), ("Opacity", "Consolidation", "Atelectasis"))
ASKED = tuple(name for group in GROUPS for name in group)
OTHERS = tuple(name for name in FINDING_NAMES if name not in ASKED)
FIRST_WORDS = "There is"  # the language model is probed where a sentence goes on with the finding
BATCH = 16


def chests(count: int, seed: int, purpose: str) -> list[Exposure]:
    """Each of the six findings on a quarter of the chests, and one of the others on half of them."""
    rng = np.random.default_rng(seed_of(f"stages-{purpose}", seed, "findings"))
    exposures = []
    for number in range(count):
        names = [name for name in ASKED if rng.random() < 0.25]
        names += [str(rng.choice(OTHERS))] if rng.random() < 0.5 else []
        exposures.append(Exposure(f"stages-{purpose}-{seed}-{number}", tuple(drawn_anew(name, rng) for name in names)))
    return exposures


@torch.no_grad()
def stages_of(model: R2GenGPT, features: Tensor) -> dict[str, np.ndarray]:
    """What a probe reads at each stage, (chests, numbers)."""
    middle = model.language.config.num_hidden_layers // 2
    words = model.tokenizer(FIRST_WORDS, add_special_tokens=False).input_ids
    parts: dict[str, list[Tensor]] = {}
    for chunk in features.split(BATCH):
        visual = model.visual_tokens(features=chunk)
        spliced = splice(model.embed, visual, model.prompt, [words] * len(chunk))
        read = model.language(
            inputs_embeds=spliced.inputs_embeds, attention_mask=spliced.attention_mask, output_hidden_states=True
        ).hidden_states
        for name, value in {
            "encoder": chunk.flatten(1),
            "averaged": pool_tokens(chunk, model.preset.mapper.pool).flatten(1),
            "mapper": visual.flatten(1),
            f"LLM, layer {middle}": read[middle][:, -1],
            "LLM, last": read[-1][:, -1],
        }.items():
            parts.setdefault(name, []).append(value.float().cpu())
    return {name: torch.cat(values).numpy() for name, values in parts.items()}


@torch.no_grad()
def sentences_of(model: R2GenGPT, features: Tensor) -> np.ndarray:
    """(chests, 6): log-odds of each finding's sentence."""
    cases = [CASES[name] for name in ASKED]
    odds = [torch.stack([log_odds(model, c, k.present, k.absent) for k in cases], 1) for c in features.split(BATCH)]
    return torch.cat(odds).cpu().numpy()


def truth_of(exposures: list[Exposure]) -> np.ndarray:
    """(chests, 6): which of the six findings are there."""
    return np.array([[name in {f.name for f in exposure.findings} for name in ASKED] for exposure in exposures])


def with_a_neighbour(truth: np.ndarray, name: str) -> np.ndarray:
    """(chests,): which have another finding of its group."""
    (group,) = (group for group in GROUPS if name in group)
    return truth[:, [ASKED.index(other) for other in group if other != name]].any(1)


def auroc_rows(scores: dict[str, np.ndarray], truth: np.ndarray) -> pd.DataFrame:
    """A row a finding and a choice of chests, a column a stage; each score is (chests, 6)."""
    rows = []
    for k, name in enumerate(ASKED):
        beside = with_a_neighbour(truth, name)
        for chosen, among in ((np.ones(len(truth), bool), "all"), (beside, "with a neighbour")):
            row = {"finding": name, "chests": among, "with it": int(truth[chosen, k].sum()), "of": int(chosen.sum())}
            rows.append(row | {s: roc_auc_score(truth[chosen, k], v[chosen, k]) for s, v in scores.items()})
    return pd.DataFrame(rows)


def written_rows(reports: list[str], truth: np.ndarray) -> pd.DataFrame:
    """How often a report says the finding's observation: with it, with a neighbour alone, with neither."""
    says = label_reports(reports) >= State.UNCERTAIN
    rows = []
    for k, name in enumerate(ASKED):
        own = says[:, OBSERVATIONS.index(CASES[name].observation)]
        beside = with_a_neighbour(truth, name)
        row = {"finding": name, "said with it": own[truth[:, k]].mean()}
        row["with a neighbour, without it"] = own[~truth[:, k] & beside].mean()
        rows.append(row | {"with none of the three": own[~truth[:, k] & ~beside].mean()})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="laptop-shallow")
    parser.add_argument("--fit", type=int, default=1600, metavar="N", help="chests that probes are fitted on")
    parser.add_argument("--test", type=int, default=400, metavar="N", help="chests that are asked about")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = R2GenGPT.from_trained(args.checkpoint)
    fit, test = chests(args.fit, args.seed, "fit"), chests(args.test, args.seed, "test")
    known, asked = encode_exposures(model, fit, BATCH), encode_exposures(model, test, BATCH)
    truth, before, after = truth_of(test), stages_of(model, known), stages_of(model, asked)
    scores = {"finding head": finding_logits(model, asked)[:, [FINDING_NAMES.index(name) for name in ASKED]]}
    for stage, seen in before.items():
        probe = make_pipeline(StandardScaler(), RidgeCV(np.logspace(1, 6, 11), alpha_per_target=True))
        scores[stage] = probe.fit(seen, truth_of(fit).astype(float)).predict(after[stage])
    scores["sentence"] = sentences_of(model, asked)
    reports = [text for chunk in asked.split(BATCH) for text in model.generate(features=chunk)]
    print(f"{args.checkpoint}, probes fitted on {args.fit} simulated chests, AUROC on {args.test} others\n")
    print(auroc_rows(scores, truth).to_string(index=False, float_format="%.3f") + "\n")
    print("How often the report says it, by rules:\n")
    print(written_rows(reports, truth).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
