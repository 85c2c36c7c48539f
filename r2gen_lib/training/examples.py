"""Studies as the trainer feeds them: cached features while the encoder is frozen and silent, else pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from r2gen_lib.data.images.cache import PictureCache
from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError
from r2gen_lib.inference.feature_cache import encode_studies, study_pixels
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.model.sharding import is_sharded
from r2gen_lib.training.processes import Processes
from r2gen_lib.training.rare_findings.token_weights import token_weights
from r2gen_lib.training.schedule import cut


class Examples:
    """Studies with what the model needs of them.

    Attributes:
        studies: ``S`` studies.
        lengths: ``S`` numbers of report tokens, the end included, after the cut at ``target.max_tokens``.
        targets: what their losses weigh in all. Each weighs 1, or ``finding_weight`` if it is to train on and stands
            in a sentence that names a finding; with ``mask_token_0`` token 0 weighs nothing.

    Raises:
        DataError: no studies, or empty reports; the message names them.
    """

    def __init__(
        self, model: R2GenGPT, studies: Sequence[Study], name: str, progress: bool = True, finding_weight: float = 1.0
    ) -> None:
        self.studies = list(studies)
        if not self.studies:
            raise DataError(f"{name} studies: found none. Give studies of that split, and a profile that takes some.")
        empty = [study.id for study in self.studies if not study.report.strip()]
        if empty:
            raise DataError(
                f"{name} studies: {len(empty)} have an empty report, such as {', '.join(empty[:5])}. "
                "Leave them out: there is nothing to learn from."
            )
        target, reports = model.preset.target, [study.report for study in self.studies]
        ids = model.report_ids(reports)
        self.lengths = [len(row) for row in ids]
        self._weights: list[list[float]] | None = None  # all the same
        if finding_weight != 1:
            weights = [token_weights(model.tokenizer, report, finding_weight) + [1.0] for report in reports]
            self._weights = [row[:length] for row, length in zip(weights, self.lengths, strict=True)]
        self.targets = [
            sum(w for w, token in zip(row, tokens, strict=True) if token or not target.mask_token_0)
            for row, tokens in zip(self._weights or [[1] * length for length in self.lengths], ids, strict=True)
        ]
        same_each_time = model.mode == "shallow" and not model.preset.vision.noisy_when_frozen
        self._features = encode_studies(model, self.studies, progress=progress) if same_each_time else None
        self._model = model
        vision = model.preset.vision  # pictures are seen again and again where the encoder trains
        self._pictures = PictureCache(vision.image_size, vision.fit) if self._features is None else None

    def __len__(self) -> int:
        return len(self.studies)

    def batch(self, indices: Sequence[int], shift: int = 0) -> dict:
        """Arguments of ``model(...)`` for these studies, each with the picture ``shift`` further on."""
        sources = [(i + shift) % len(self) for i in indices]
        texts: dict = {"reports": [self.studies[i].report for i in indices]}
        if any(self.studies[i].question for i in indices):
            texts["questions"] = [self.studies[i].question for i in indices]
        if self._weights is not None:
            texts["weights"] = [self._weights[i] for i in indices]
        if self._features is not None:
            return {"features": self._features[sources]} | texts
        return {"pixel_values": study_pixels(self._model, [self.studies[i] for i in sources], self._pictures)} | texts


@torch.no_grad()
def mean_loss(
    model: R2GenGPT,
    examples: Examples,
    batch_size: int,
    *,
    shuffled: bool = False,
    processes: Processes | None = None,
) -> float:
    """Loss a report token, in nats, over all examples, in eval mode.

    ``shuffled`` is the control: every study is given its neighbour's picture. A model that looks at the
    picture must do worse; one that has only learnt how reports sound does as well. With ``processes`` the batches are
    divided among them, each study to one, and every process gets the loss over all.
    """
    processes = processes or Processes.alone()
    order = sorted(range(len(examples)), key=lambda i: examples.lengths[i])
    sums = torch.zeros(2, dtype=torch.float64)  # of losses, and of tokens
    with model.evaluating():
        for indices, weight in processes.turns(cut(order, batch_size), is_sharded(model.language)):
            out = model(**examples.batch(indices, shift=int(shuffled)))
            sums += weight * torch.tensor([out.loss.item() * len(out.labels), len(out.labels)], dtype=torch.float64)
    total, tokens = processes.sum(sums).tolist()
    return total / tokens
