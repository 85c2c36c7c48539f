"""Checks of notebook 01: sections of a report, copies between splits, a window, and DICOM's way to the screen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from r2gen_lib.checks.core import Wrong, ask, described, exercise, same_shape
from r2gen_lib.data.study import Study


@exercise("01.1", "Sections from plain text")
def check_split_sections(split_sections: Callable[[str], dict[str, str]]) -> str:
    """``split_sections(text)``: section texts by lower-case name, for reports with headings and without."""
    cases = [
        ("INDICATION: Dyspnea. FINDINGS: The heart is large. IMPRESSION: Cardiomegaly.",
         {"indication": "Dyspnea.", "findings": "The heart is large.", "impression": "Cardiomegaly."},
         "Each text runs from its heading to the next one, without the heading and without blanks at its ends."),
        ("The heart is large. Lungs are clear.", {"findings": "The heart is large. Lungs are clear."},
         "A report without headings is all findings."),
        ("The heart is large. IMPRESSION: Cardiomegaly.",
         {"findings": "The heart is large.", "impression": "Cardiomegaly."},
         "What stands before the first heading is findings too; it was lost or went elsewhere."),
        ("FINDINGS: Clear. IMPRESSION: Normal. FINDINGS: Old rib fracture.",
         {"findings": "Clear. Old rib fracture.", "impression": "Normal."},
         "A heading that comes twice: join both texts with a blank; one of them was overwritten."),
        ("FINDINGS: See the earlier findings: no change.", {"findings": "See the earlier findings: no change."},
         "'findings:' in small letters is part of a sentence, no heading."),
        ("COMPARISON: FINDINGS: Clear.", {"findings": "Clear."}, "A section without text is left out."),
        ("FINDINGS: The result: NORMAL: no change.", {"findings": "The result: NORMAL: no change."},
         "Only INDICATION, COMPARISON, FINDINGS and IMPRESSION are headings."),
    ]  # fmt: skip
    for text, expected, slip in cases:
        found = ask(split_sections, text)
        if found != expected:
            raise Wrong(f"{text!r} gave {found}, expected {expected}. {slip}")
    return f"{len(cases)} reports, with headings, without, and with some missing."


def _study(name: str, split: str, report: str, indication: str, mesh: str = "normal") -> Study:
    return Study(name, split, report, {"findings": report, "indication": indication}, (mesh,))


@exercise("01.2", "Find the leak")
def check_copies(copies: Callable[[list[Study]], list[str]]) -> str:
    """``copies(studies)``: ids of test studies that are a training study under another id."""
    clear, big = "The lungs are clear.", "The heart is large."
    train = [
        _study("T1", "train", clear, "Cough."),
        _study("T2", "train", big, "Dyspnea.", "Cardiomegaly"),
        _study("T3", "train", clear, "Fever."),
    ]
    tests = {
        "own": (_study("E1", "test", "Scoliosis.", "Pain."), False, "it shares nothing with any training study."),
        "words": (_study("E2", "test", clear, "Chest pain."), False,
                  "it has the findings of T1 and another indication: many normal reports have the same words."),
        "codes": (_study("E3", "test", clear, "Cough.", "Scoliosis"), False, "its codes (mesh) are not those of T1."),
        "mixed": (_study("E4", "test", big, "Fever.", "Cardiomegaly"), False,
                  "its findings are T2's and its indication is T3's: both must come from one study."),
        "copy": (_study("E5", "test", big, "Dyspnea.", "Cardiomegaly"), True,
                 "every section and every code is that of T2."),
        "val": (_study("V1", "val", clear, "Cough."), False, "it is in val; asked for are test studies."),
    }  # fmt: skip
    found = ask(copies, [*train, *(study for study, *_ in tests.values())], shown="nine studies")
    found = list(found) if not isinstance(found, dict | str) else found
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise Wrong(f"copies gave {described(found)}, expected a list of ids: strings such as 'E1'.")
    for study, leaked, why in tests.values():
        if leaked != (study.id in found):
            raise Wrong(f"{study.id} was {'missed' if leaked else 'accused'}: {why}")
    if set(found) & {"T1", "T2", "T3"}:
        raise Wrong(f"{sorted(found)} holds training studies; expected the ids of the copies in test alone.")
    if ask(copies, train, shown="three training studies"):
        raise Wrong("without any test study something was accused, expected an empty list.")
    return "the copy is found and five innocents are left in peace. How many suspects are there among all studies?"


@exercise("01.3", "Window a 12-bit picture")
def check_window(window: Callable[[np.ndarray, float, float], np.ndarray]) -> str:
    """``window(levels, centre, width)``: 0 at the lower edge, 255 at the upper, clipped beyond; uint8."""
    levels, centre, width = np.array([0.0, 1000, 1500, 2000, 2500, 3000, 4095]), 2000, 2000
    expected = np.array([0, 0, 64, 128, 191, 255, 255])
    found = ask(window, levels, centre, width, shown="levels, centre 2000, width 2000")
    same_shape(found, levels, "the picture")
    if found.dtype != np.uint8:
        raise Wrong(f"the picture is {found.dtype}, expected uint8: round, then .astype(np.uint8).")
    if np.abs(found.astype(int) - expected).max() <= 1:
        flat = ask(window, np.array([[100.0, 300.0]]), 200, 100, shown="[[100, 300]], centre 200, width 100")
        if np.array_equal(flat, [[0, 255]]):
            return "0 at the lower edge, 255 at the upper, and nothing wraps around."
        raise Wrong(f"levels 100 and 300, centre 200, width 100 gave {flat.tolist()}, expected [[0, 255]].")
    raise Wrong(
        f"levels {levels.astype(int).tolist()} with centre 2000 and width 2000 gave {found.tolist()}, "
        f"expected {expected.tolist()}. " + _window_slip(levels, found.astype(int), centre, width)
    )


def _window_slip(levels: np.ndarray, found: np.ndarray, centre: float, width: float) -> str:
    def scaled(low: float, span: float) -> np.ndarray:
        return np.clip((levels - low) / span * 255, 0, 255)

    def like(other: np.ndarray) -> bool:
        return bool(np.abs(found - other).max() <= 1)

    inside = slice(1, 6)
    if like(scaled(0, 4095)):
        return "All levels were rescaled: centre and width are not used yet."
    if like(scaled(centre, width)):
        return "The centre was taken for the lower edge; the window begins half a width below it."
    if like(scaled(centre - width, 2 * width)):
        return "The width is the whole window, half of it on each side of the centre."
    if np.abs(found - scaled(centre - width / 2, width))[inside].max() <= 1:
        return "Levels outside the window were not clipped: a uint8 wraps around, so that black becomes white."
    return "The window goes from centre - width / 2 to centre + width / 2."


@exercise("01.4", "From stored values to the screen")
def check_to_display(to_display: Callable[..., np.ndarray]) -> str:
    """``to_display(stored, photometric, centre, width, slope, intercept)``: rescale, LINEAR, MONOCHROME1; uint8."""
    six, deep = np.arange(6), np.array([0, 500, 1500, 2500, 4095])
    cases = [
        (deep, "MONOCHROME2", 2048, 4096, 1, 0),
        (deep, "MONOCHROME2", 1500, 1000, 1, 0),
        (six, "MONOCHROME2", 2, 4, 1, 0),
        (deep, "MONOCHROME1", 1200, 2000, 1, 0),
        (deep, "MONOCHROME2", 200, 800, 0.5, -100),
        (deep, "MONOCHROME1", 200, 800, 0.5, -100),
    ]
    for stored, *settings in cases:
        expected = _displayed(stored, *settings)
        shown = f"{stored.tolist()}, " + ", ".join(map(repr, settings))
        found = ask(to_display, stored.copy(), *settings, shown=shown)
        same_shape(found, expected, "the picture")
        if found.dtype != np.uint8:
            raise Wrong(f"the picture is {found.dtype}, expected uint8: round, then .astype(np.uint8).")
        if np.abs(found.astype(int) - expected).max() > 1:
            slip = _display_slip(found.astype(int), stored, *settings)
            raise Wrong(f"to_display({shown}) gave {found.tolist()}, expected {expected.tolist()}. {slip}")
    return "six pictures: both photometric interpretations, a narrow window and a rescale."


def _displayed(
    stored: np.ndarray,
    photometric: str,
    centre: float,
    width: float,
    slope: float,
    intercept: float,
    exact: bool = False,
) -> np.ndarray:
    values = stored * slope + intercept
    shade = (values - centre) / width + 0.5 if exact else (values - (centre - 0.5)) / (width - 1) + 0.5
    shade = np.clip(shade, 0, 1)
    return np.round(255 * (1 - shade if photometric == "MONOCHROME1" else shade)).astype(int)


def _display_slip(found: np.ndarray, stored: np.ndarray, photometric: str, *window: float) -> str:
    def like(other: np.ndarray) -> bool:
        return bool(np.abs(found - other).max() <= 1)

    if like(stored / stored.max() * 255):
        return "It was divided by the maximum: centre and width are not used yet."
    if like(_displayed(stored, photometric, *window, exact=True)):
        return "This is LINEAR_EXACT; LINEAR has centre - 0.5 and width - 1."
    if photometric == "MONOCHROME1" and like(_displayed(stored, "MONOCHROME2", *window)):
        return "MONOCHROME1 was not turned round: there, low values are bright."
    if photometric == "MONOCHROME1" and like(_displayed(stored.max() - stored, "MONOCHROME2", *window)):
        return "The stored values were turned round before the window, which then shows other levels: turn last."
    if like(_displayed(stored, photometric, *window[:2], 1, 0)):
        return "Slope and intercept come before the window: centre and width are in rescaled units."
    clipped = (_displayed(stored, photometric, *window) % 255) == 0
    if clipped.any() and np.abs(found - _displayed(stored, photometric, *window))[~clipped].max(initial=0) <= 1:
        return "Clip before the picture becomes uint8: a uint8 wraps around, so that black becomes white."
    return "Rescale, then LINEAR, then clip, then MONOCHROME1."
