"""What the demo does, without its page (``page``): pictures in, reports out, piece by piece.

``r2gen demo`` serves the page on this machine alone. Not for clinical use: it is there to show what such a model does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r2gen_lib.errors import R2GenError

if TYPE_CHECKING:
    import numpy as np

    from r2gen_lib.model.r2gengpt import R2GenGPT

NOTICE = "For research and teaching, not for clinical use. The chests drawn here are simulated; the model errs."
WAYS = ("greedy", "drawn", "beams")


def checkpoints(given: Iterable[str] = ()) -> dict[str, str]:
    """What can be chosen: name or folder -> the words shown, such as "laptop-shallow (shallow, preset laptop)".

    The folders given come first, then the shipped models, then the ``best`` of every run in ``runs_folder``. What reads
    no picture (the oracle) is left out.

    Raises:
        CheckpointError: a folder that was given holds no checkpoint.
    """
    from r2gen_lib.assets import repository_data, runs_folder
    from r2gen_lib.model import checkpoint

    found = {str(name): _words_for(str(name)) for name in given}
    shipped = sorted(path.parent.name for path in repository_data("weights").glob(f"*/{checkpoint.CONFIG}"))
    runs = sorted(path.parent for path in runs_folder().glob(f"**/best/{checkpoint.CONFIG}"))
    for name in (*shipped, *map(str, runs)):
        try:
            if checkpoint.saved_preset(checkpoint.resolve(name)).vision.views:
                found.setdefault(name, _words_for(name))
        except R2GenError:  # of another version; `r2gen evaluate` says what is wrong with it
            continue
    return found


def _words_for(name: str) -> str:
    from r2gen_lib.assets import runs_folder
    from r2gen_lib.model import checkpoint

    folder = checkpoint.resolve(name)
    mode, preset = checkpoint.read_config(folder)["mode"], checkpoint.saved_preset(folder).name
    path = Path(name)
    shown = path.relative_to(runs_folder()).as_posix() if path.is_relative_to(runs_folder()) else name
    return f"{shown} ({mode}, preset {preset})"


def read_upload(name: str, content: bytes) -> np.ndarray:
    """An uploaded PNG, JPEG or DICOM file as uint8 ``(H, W)``.

    Raises:
        ImageError: not a picture, or one that cannot be read.
    """
    from r2gen_lib.data.images.decode import decode_grey

    return decode_grey(content, Path(name).name)


def draw_chest(patient: str, findings: Iterable[str] = (), severity: float = 0.7, side: str = "") -> np.ndarray:
    """A simulated frontal radiograph, uint8 ``(224, 224)``: the same patient, whatever the findings.

    Args:
        patient: any name; it decides build, pose and exposure.
        findings: some of ``findings.finding.FINDING_NAMES``.
        severity: 0 to 1, of all of them.
        side: "left", "right", or "" to leave it open; findings in the midline have none.

    Raises:
        R2GenError: no such finding, or a severity outside 0 to 1.
    """
    from r2gen_lib.findings.finding import FINDING_NAMES, MIDLINE, Finding
    from r2gen_lib.simulation.simulate import simulate

    unknown = [name for name in findings if name not in FINDING_NAMES]
    if unknown or not 0 <= severity <= 1:
        found = f"unknown findings {', '.join(unknown) or '(none)'} and severity {severity}"
        raise R2GenError(f"demo: found {found}, expected names of FINDING_NAMES and 0 to 1.")
    drawn = [Finding(name, "" if name in MIDLINE else side, severity=severity) for name in findings]
    return simulate(patient, drawn, truth=False).picture


def decoding_of(way: str, max_new_tokens: int = 60, temperature: float = 0.8, seed: int = 0) -> dict[str, Any]:
    """Fields of ``DecodingConfig``: "greedy" (the likeliest word), "drawn" (at a temperature) or "beams" (three).

    Raises:
        R2GenError: no such way.
    """
    if way not in WAYS:
        raise R2GenError(f"demo: found decoding {way!r}, expected one of {', '.join(WAYS)}.")
    chosen: dict[str, Any] = {"max_new_tokens": max_new_tokens, "num_beams": 3 if way == "beams" else 1}
    return chosen | ({"do_sample": True, "temperature": temperature, "seed": seed} if way == "drawn" else {})


def written(model: R2GenGPT, grey: np.ndarray, **decoding: Any) -> Iterator[str]:
    """The report so far, longer each time; beams give it once, whole, for their text changes until the end.

    Where the decoding is ``consistent``, the last one lacks the sentences that contradict the others.

    Args:
        grey: uint8 ``(H, W)``, a frontal radiograph.
        decoding: as ``decoding_of`` gives it.
    """
    from r2gen_lib.inference.feature_cache import picture_pixels
    from r2gen_lib.inference.normal_picture import with_normal

    pixel_values = picture_pixels(model, [grey]).to(model.device)  # (1, 1, 3, S, S)
    decoding = with_normal(model, {"num_beams": 1, **decoding})  # as model.stream has it
    if decoding["num_beams"] > 1:
        yield model.generate(pixel_values, **decoding)[0]
        return
    text = ""
    for piece in model.stream(pixel_values, **decoding):
        text += piece
        yield text
    if decoding.get("consistent", model.preset.decoding.consistent):
        from r2gen_lib.findings.consistent import without_contradictions

        yield without_contradictions(text)


def changes(before: str, after: str) -> tuple[str, str]:
    """Both reports as Markdown, the words that differ in bold; nothing is marked where there was none before."""
    from r2gen_lib.plots.lessons import changed_words

    return changed_words(before, after) if before else ("", after)


def explained() -> tuple[str, ...]:
    """The findings whose saliency can be shown."""
    from r2gen_lib.findings.chexpert import CASES

    return tuple(case.finding for case in CASES.values())


def overlay(model: R2GenGPT, grey: np.ndarray, finding: str) -> np.ndarray:
    """What speaks for a finding, in red over the picture as the encoder sees it: uint8 ``(S, S, 3)``.

    Raises:
        R2GenError: a finding that is not one of ``explained()``.
    """
    if finding not in explained():
        raise R2GenError(f"demo: no saliency for {finding!r}, expected one of: {', '.join(explained())}.")
    from r2gen_lib.evaluation.counterfactual.saliency import saliency_maps
    from r2gen_lib.findings.chexpert import CASES

    case = next(case for case in CASES.values() if case.finding == finding)
    return blend(model, grey, saliency_maps(model, [grey], case)[0])


def blend(model: R2GenGPT, grey: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """A map ``(S, S)`` in red over the picture, its largest value the reddest; what speaks against is left out."""
    from r2gen_lib.data.images.preprocess import to_square
    from r2gen_lib.plots.overlay import blended

    return blended(to_square(grey, model.preset.vision.image_size, model.preset.vision.fit), saliency)
