"""The cleanings of a report by name. A score is a number about cleaned texts, so the cleaning is printed beside it.

``"gentle"`` and ``"none"`` leave a report as a radiologist would read it. The others give, character for character,
what published models were trained on and scored against: ``clean_report_iu_xray`` and ``clean_report_mimic_cxr`` of
R2Gen's tokenizer (Chen et al., EMNLP 2020), and R2GenGPT's ``data_helper`` (Wang et al., Meta-Radiology 2023). Their
quirks are kept, because a comparison with a published score needs them: ``1.5 cm`` becomes ``15 cm``, ``L1. The``
becomes ``lthe``, an empty report becomes `` .``. R2GenGPT cleans IU-Xray as R2Gen does; for MIMIC-CXR it keeps
colons, with a blank before each, and ``<``, ``=``, ``>`` and ``@``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from r2gen_lib.data.reports import clean_report
from r2gen_lib.errors import DataError

# List numbers, in the order in which they are replaced. "1. " goes wherever it stands, also at the end of "L1. ".
_NUMBERS = (
    ("1. ", ""),
    *((f". {number}. ", ". ") for number in (2, 3, 4, 5)),
    *((f" {number}. ", ". ") for number in (2, 3, 4, 5)),
)
_QUOTES_AND_SLASHES = str.maketrans("", "", "\"'/\\")


@dataclass(frozen=True)
class _Rules:
    """Where the benchmark's cleanings differ.

    Attributes:
        doubled: marks whose doubles become one, and how many times over: 3 passes shorten a run of 8 to 1, no more.
        removed: the punctuation that is deleted.
        one_line: whether line breaks become blanks first.
        spaced_colons: whether a colon gets a blank before it.
    """

    doubled: tuple[tuple[str, int], ...]
    removed: str
    one_line: bool = False
    spaced_colons: bool = False


# R2Gen writes its punctuation as a pattern in which ":-[" is a range, so "<", "=", ">" and "@" go and "-" stays.
_R2GEN_REMOVED = ".,?;*!%^&_+():<=>@[]{}"
_MIMIC_DOUBLED = (("_", 7), (" ", 6), (".", 8))
_IU_XRAY = _Rules(((".", 3),), _R2GEN_REMOVED)
_MIMIC_CXR = _Rules(_MIMIC_DOUBLED, _R2GEN_REMOVED, one_line=True)
_R2GENGPT_MIMIC_CXR = _Rules(_MIMIC_DOUBLED, ".,?;*!%^&_+()[]{}", one_line=True, spaced_colons=True)


def clean_r2gen_iu_xray(text: str) -> str:
    """A report as R2Gen (and R2GenGPT) cleans those of IU-Xray. Line breaks stay, as they do there."""
    return _last(_r2gen_steps(text, _IU_XRAY))


def clean_r2gen_mimic_cxr(text: str) -> str:
    """A report as R2Gen cleans those of MIMIC-CXR."""
    return _last(_r2gen_steps(text, _MIMIC_CXR))


def clean_r2gengpt_mimic_cxr(text: str) -> str:
    """A report as R2GenGPT cleans those of MIMIC-CXR: R2Gen's way, with colons kept."""
    return _last(_r2gen_steps(text, _R2GENGPT_MIMIC_CXR))


def as_written(text: str) -> str:
    """The report itself."""
    return text


#: Name -> cleaning of one report's text.
CLEANINGS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "gentle": clean_report,
        "none": as_written,
        "r2gen_iu_xray": clean_r2gen_iu_xray,
        "r2gen_mimic_cxr": clean_r2gen_mimic_cxr,
        "r2gengpt_mimic_cxr": clean_r2gengpt_mimic_cxr,
    }
)

_RULES = {"r2gen_iu_xray": _IU_XRAY, "r2gen_mimic_cxr": _MIMIC_CXR, "r2gengpt_mimic_cxr": _R2GENGPT_MIMIC_CXR}


def get_cleaning(name: str | Callable[[str], str]) -> Callable[[str], str]:
    """The cleaning of that name; a function of the caller's own is given back as it is.

    Raises:
        DataError: no cleaning has that name.
    """
    if callable(name):
        return name
    if name in CLEANINGS:
        return CLEANINGS[name]
    near = difflib.get_close_matches(str(name), CLEANINGS, n=1)
    raise DataError(
        f"cleaning {name!r}: expected one of {', '.join(CLEANINGS)}, or a function of one text. "
        + (f"Did you mean {near[0]!r}?" if near else "'gentle' changes white space only.")
    )


def cleaning_steps(name: str, text: str) -> list[tuple[str, str]]:
    """What each step of a cleaning makes of one report.

    Args:
        name: a key of ``CLEANINGS``.
        text: the report as written.

    Returns:
        Pairs of what was done and the text after it, the first being the report as written and the last what
        ``CLEANINGS[name]`` gives. While the report is cut into sentences they are shown with `` | `` between them.

    Raises:
        DataError: no cleaning has that name.
    """
    clean = get_cleaning(name)
    if name in _RULES:
        return list(_r2gen_steps(text, _RULES[name]))
    if clean is as_written:
        return [("as written", text)]
    return [("as written", text), ("line breaks, tabs and runs of blanks become one blank", clean(text))]


def _r2gen_steps(text: str, rules: _Rules) -> Iterator[tuple[str, str]]:
    yield "as written", text
    if rules.one_line:
        text = text.replace("\n", " ")
        yield "line breaks become blanks", text
    for mark, times in rules.doubled:
        for _ in range(times):
            text = text.replace(mark * 2, mark)
        yield f"runs of {mark!r} become one", text
    for number, instead in _NUMBERS:
        text = text.replace(number, instead)
    yield "list numbers 1 to 5 removed", text
    if rules.spaced_colons:
        text = text.replace(":", " :")
        yield "a blank before each colon", text
    text = text.strip().lower()
    yield "lower case", text
    sentences = text.split(". ")
    yield "cut into sentences at '. '", " | ".join(sentences)
    sentences = [sentence.translate(_QUOTES_AND_SLASHES).strip() for sentence in sentences]
    yield "quotes and slashes removed", " | ".join(sentences)
    punctuation = str.maketrans("", "", rules.removed)
    sentences = [sentence.translate(punctuation) for sentence in sentences]
    yield f"punctuation removed: {rules.removed}", " | ".join(sentences)
    # a sentence of which nothing is left still gets its full stop: so does the benchmark
    yield "sentences joined by ' . '", " . ".join(sentences) + " ."


def _last(steps: Iterator[tuple[str, str]]) -> str:
    *_, (_, text) = steps
    return text
