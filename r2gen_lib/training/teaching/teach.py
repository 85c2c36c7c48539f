"""Rounds of teaching: what a report should say is set beside what it should not, and the mapper learns the difference.

The wrong side of a lesson is either the model's own (it describes new simulated chests, and ``correction`` corrects
it) or made of a true report (``contrast``). The language model stays frozen, and so does the encoder. Real reports of
the train split, and questions, stand in every batch, so that they are not unlearnt; the loss of the val split says
after each round whether they were.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from r2gen_lib.data.study import Study, by_split
from r2gen_lib.errors import CheckpointError, R2GenError
from r2gen_lib.files import atomic_write
from r2gen_lib.findings.contradictions import contradictions
from r2gen_lib.findings.finding import FINDING_NAMES, Finding
from r2gen_lib.inference.feature_cache import encode_studies
from r2gen_lib.inference.generate_reports import describe_features
from r2gen_lib.model.alignment import question_ids
from r2gen_lib.model.checkpoint import load_trainable, save_trainable
from r2gen_lib.model.finding_head import finding_logits
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.simulation.render import draw_simulated
from r2gen_lib.training.examples import Examples, mean_loss
from r2gen_lib.training.questions import question_studies
from r2gen_lib.training.rare_findings.counterfactual_reports import CLEAR, normal_studies, rewritten_studies
from r2gen_lib.training.schedule import cosine, cut
from r2gen_lib.training.teaching.chests import lesson_studies
from r2gen_lib.training.teaching.contrast import contrasted
from r2gen_lib.training.teaching.correction import correct
from r2gen_lib.training.teaching.preference import Lesson, decision_loss, lesson

VALIDATED_AT_ONCE = 8
WARM_UP = 20  # steps of a round with a smaller rate: its AdamW knows no moments yet


@dataclass(frozen=True)
class TeachConfig:
    """How long, and with what.

    Attributes:
        rounds: each learns once from its lessons.
        contrasts: lessons a round that are made of true reports: of ``rewritten`` ones, and for each five of these one
            normal chest's.
        chests: lessons a round that are the model's own reports of so many new simulated chests, corrected; those
            without a mistake teach nothing, and are left out.
        rewritten: studies with a rewritten report and new simulated chests, from which the contrasts are taken in turn.
        questions: about the pictures of these, which stand among the real reports; for a model that can be asked.
        batch_size: lessons a step.
        real: real reports or questions a step, beside them.
        learning_rate: at the start; it falls along a half cosine over all rounds, to a fiftieth.
        preference: what the preference at the decisions weighs beside the words' loss; 0: true words alone.
        finding_weight: of sentences of real reports that name a finding.
        clip_norm: of the gradient.
        unseen: a finding is to be said where the encoder's finding head sees it more clearly than in all but this share
            of the chests without it. What the encoder does not see cannot be learnt, but as something to say now and
            then.
        seed: of chests, words and batches.
    """

    rounds: int = 4
    contrasts: int = 400
    chests: int = 0
    rewritten: int = 2500
    questions: int = 0
    batch_size: int = 4
    real: int = 2
    learning_rate: float = 1e-3
    preference: float = 0.3
    finding_weight: float = 3.0
    clip_norm: float = 1.0
    unseen: float = 0.05
    seed: int = 0


def teach(
    model: R2GenGPT,
    studies: Sequence[Study],
    out_dir: str | Path,
    config: TeachConfig = TeachConfig(),
    progress: bool = True,
    **decoding: Any,
) -> pd.DataFrame:
    """Teach a trained model, in place; a call that was stopped goes on from its last whole round.

    Args:
        model: shallow mode, trained (``R2GenGPT.from_trained``).
        studies: real reports with pictures; the train split is learnt from, the val split is the guard.
        out_dir: gets ``round-N`` (a checkpoint after each round) and ``history.csv``.
        config: how long.
        progress: show progress bars.
        decoding: of the reports that are corrected; by default the preset's, contradictions left in.

    Returns:
        A row a round: the losses of its steps, and the loss of the val split after it, with its own and with another
        study's pictures. With ``chests``, what the model's reports of these said before they were corrected: the share
        with an invented observation, of the findings those that were missed and those on a wrong side, and the share
        of the reports that contradict themselves.

    Raises:
        CheckpointError: ``out_dir`` holds another run.
        R2GenError: another mode, a prompt without a place for the questions, or a loss that is not a number.
    """
    if model.mode != "shallow":
        raise R2GenError(f"teach: mode is {model.mode}, expected shallow: the encoder stays as it is.")
    if config.questions:
        question_ids(model.tokenizer, model.preset.prompt, "Is it?")  # can it be asked?
    out = Path(out_dir)
    history = _start(model, out, config)
    rewritten = rewritten_studies(studies, config.rewritten, config.seed) if config.rewritten else []
    draw_simulated([study for study in studies if study.split != "test"] + rewritten, model.preset.vision.views)
    val = Examples(model, by_split(studies, "val"), "val", progress)
    train = by_split(studies, "train")
    asked = question_studies(rewritten, config.questions, CLEAR, config.seed) if config.questions else []
    real = Examples(model, train + asked, "train", progress, config.finding_weight)
    true = [*rewritten, *normal_studies(studies)[: config.rewritten // 5]]
    features = encode_studies(model, true, progress=progress) if true else None
    for number in range(len(history), config.rounds):
        rng = np.random.default_rng([config.seed, number])
        chosen = rng.permutation(len(true))[: config.contrasts]
        lessons = [_contrast(model, true[i], rng) for i in chosen]
        seen = [features[chosen]] if len(chosen) else []
        row: dict[str, Any] = {"round": number + 1}
        if config.chests:
            said, own, of_own = _corrections(model, config, number, rng, progress, decoding)
            row, lessons, seen = row | said, lessons + own, [*seen, of_own]
        row |= _learn(model, torch.cat(seen), lessons, real, config, number, rng, progress)
        row["val_loss"] = mean_loss(model, val, VALIDATED_AT_ONCE)
        row["val_loss_shuffled"] = mean_loss(model, val, VALIDATED_AT_ONCE, shuffled=True)
        history.append(row)
        save_trainable(model, out / f"round-{number + 1}", row)
        with atomic_write(out / "history.csv") as path:
            pd.DataFrame(history).to_csv(path, index=False, float_format="%.4f")
        if progress:
            tqdm.write("  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    return pd.DataFrame(history)


def _start(model: R2GenGPT, out: Path, config: TeachConfig) -> list[dict[str, Any]]:
    """The rounds that are done, whose weights the model is given; and a note of the settings for the next call."""
    settings, file = asdict(config), out / "teach.json"
    out.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        with atomic_write(file) as path:
            Path(path).write_text(json.dumps(settings, indent=1), encoding="utf-8")
        return []
    found = json.loads(file.read_text(encoding="utf-8"))
    if found != settings:
        differ = ", ".join(k for k in settings if found.get(k) != settings[k])
        raise CheckpointError(f"{out}: holds a run with other settings ({differ}). Give another folder.")
    if not (out / "history.csv").is_file():
        return []
    history = pd.read_csv(out / "history.csv").to_dict("records")
    load_trainable(model, out / f"round-{len(history)}")
    return history


def _contrast(model: R2GenGPT, study: Study, rng: np.random.Generator) -> Lesson:
    return lesson(model.tokenizer, contrasted(study.report, study.findings, rng, CLEAR), model.ends[0], true=True)


def _corrections(
    model: R2GenGPT, config: TeachConfig, number: int, rng: np.random.Generator, progress: bool, decoding: dict
) -> tuple[dict[str, float], list[Lesson], Tensor]:
    """The model's own reports of new chests: what they say, those that were corrected, and features of these."""
    chests = lesson_studies(config.chests, config.seed * 1000 + number)
    draw_simulated(chests, model.preset.vision.views)
    features = encode_studies(model, chests, progress=progress)
    reports = describe_features(model, features, progress=progress, **{"consistent": False} | decoding)
    seen = visible_findings(model, features, [study.findings for study in chests], config.unseen)
    corrections = [
        correct(report, study.findings, rng, must) for report, study, must in zip(reports, chests, seen, strict=True)
    ]
    named = sum(len({finding.name for finding in must}) for must in seen)
    said = {
        "invented": float(np.mean([bool(c.invented) for c in corrections])),
        "missed": sum(len(c.missed) for c in corrections) / max(named, 1),
        "wrong_side": sum(len(c.wrong_side) for c in corrections) / max(named, 1),
        "contradict": float(np.mean([bool(contradictions(report)) for report in reports])),
    }
    made = [lesson(model.tokenizer, one, model.ends[0]) for one in corrections]
    usable = [i for i, one in enumerate(made) if one.report and one.decisions]
    return said, [made[i] for i in usable], features[usable]


def visible_findings(
    model: R2GenGPT, features: Tensor, findings: Sequence[Sequence[Finding]], unseen: float
) -> list[list[Finding]]:
    """Of each chest the findings that the encoder's head sees; all of them where there is no head.

    Args:
        features: (chests, N, D_v) of the encoder.
        findings: what is drawn in each chest.
        unseen: a finding's threshold is the logit that this share of the chests without it exceeds.
    """
    logits = finding_logits(model, features.float())  # (chests, F)
    if np.isnan(logits).all():
        return [list(each) for each in findings]
    drawn = np.array([[name in {f.name for f in each} for name in FINDING_NAMES] for each in findings])
    limits = np.array([np.quantile(logits[~drawn[:, f], f], 1 - unseen) for f in range(len(FINDING_NAMES))])
    return [
        [one for one in each if logits[i, FINDING_NAMES.index(one.name)] > limits[FINDING_NAMES.index(one.name)]]
        for i, each in enumerate(findings)
    ]


def _learn(
    model: R2GenGPT,
    features: Tensor,
    lessons: Sequence[Lesson],
    real: Examples,
    config: TeachConfig,
    number: int,
    rng: np.random.Generator,
    progress: bool,
) -> dict[str, float]:
    """One pass over the lessons, with real reports beside them.

    Moments start anew in each round, so that a call that goes on from a round's weights does what it would have done.
    """
    parameters = list(model.trainable_parameters().values())
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, weight_decay=0.0)
    order = sorted(rng.permutation(len(lessons)), key=lambda i: len(lessons[i].weights) // 8)  # alike in length
    batches = cut(order, config.batch_size)
    rng.shuffle(batches)
    losses: list[tuple[float, float]] = []
    model.train()
    for step, batch in enumerate(tqdm(batches, desc=f"round {number + 1}: learning", disable=not progress)):
        done = (number + step / len(batches)) / config.rounds
        share = cosine(done, 1 / 50) * min(1.0, (step + 1) / WARM_UP)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * share
        some = [lessons[i] for i in batch]
        beside = [int(i) for i in rng.choice(len(real), size=config.real, replace=False)]
        inputs = _with_real(model, features[list(map(int, batch))], some, real, beside, config)
        output = model(**inputs)
        preferred = decision_loss(output, some)
        loss = output.loss + config.preference * preferred
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise R2GenError(f"teach: a loss is {loss.item()} in round {number + 1}. Lower TeachConfig.learning_rate.")
        optimizer.step()
        losses.append((output.loss.item(), preferred.item()))
    model.eval()
    words, preferences = np.mean(losses, axis=0)
    return {"train_loss": float(words), "preference_loss": float(preferences)}


def _with_real(
    model: R2GenGPT, features: Tensor, lessons: Sequence[Lesson], real: Examples, beside: list[int], config: TeachConfig
) -> dict[str, Any]:
    """Arguments of ``model(...)``: the lessons, and behind them real studies."""
    limit = model.preset.target.max_tokens
    inputs: dict[str, Any] = {
        "features": features,
        "reports": [one.report for one in lessons],
        "weights": [list(one.weights[:limit]) for one in lessons],
    }
    if beside:
        batch = real.batch(beside)
        inputs["features"] = torch.cat([features, batch["features"]])
        inputs["reports"] += batch["reports"]
        inputs["weights"] += batch.get("weights") or [[1.0] * real.lengths[i] for i in beside]
        if "questions" in batch:
            inputs["questions"] = [""] * len(lessons) + batch["questions"]
    return inputs
