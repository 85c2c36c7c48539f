"""The doctor: what is wrong with a data set, told before a GPU hour is spent on it.

``examine`` looks at everything and gives one page; ``require_healthy`` is its quick form, which training calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from r2gen_lib.config import Preset, get_preset
from r2gen_lib.data.audit.audit_report import PICTURE_CHECKS, Check, Health, check, known_checks
from r2gen_lib.data.audit.image_survey import BadPicture, Survey, survey_pictures
from r2gen_lib.data.audit.token_counts import TokenCounter, estimate_counter, token_counter, tokenizer_counter
from r2gen_lib.data.reports import holds_lost_value, says_nothing
from r2gen_lib.data.study import SPLITS, Study
from r2gen_lib.errors import DataError

NOT_CODED = frozenset({(), ("No Indexing",)})
_HEADINGS = 6  # of the codes, shown on the page
_KINDS = 3  # of fall-backs
_PROBLEMS = ("missing", "unreadable", "blank", "faint", "noise", "odd_shape", "fallback")
_ACROSS, _TWICE = "in more than one split", "more than once in a split"


def examine(
    studies: Iterable[Study],
    preset: str | Preset,
    *,
    check_pictures: bool = True,
    skip: Collection[str] = (),
    tokenizer: Any = None,
    progress: bool = True,
) -> Health:
    """Look for everything that makes a data set unfit for training, or a score less than it seems.

    Simulated pictures are counted and not drawn. Nothing of a report's text is kept or shown.

    Args:
        studies: as ``load_studies`` gives them.
        preset: what they are meant for: its views and its limit on report tokens.
        check_pictures: open every picture file; else only see that it is there.
        skip: names of checks that do not count (``health.PROBLEMS`` and ``health.WARNINGS`` list all).
        tokenizer: counts the reports' tokens; by default the preset's own if it is on this machine, else an estimate.
        progress: show a progress bar while pictures are opened.

    Raises:
        DataError: an unknown name in ``skip``.
    """
    studies, preset, skip = _with_texts(studies), get_preset(preset), known_checks(skip)
    open_files = check_pictures and not set(PICTURE_CHECKS) <= set(skip)
    name = preset.language.source
    counter = token_counter(preset.language) if tokenizer is None else tokenizer_counter(tokenizer, name)
    return _examine(studies, preset, skip, counter, survey_pictures(studies, open_files, progress))


def require_healthy(
    studies: Iterable[Study],
    preset: str | Preset,
    skip: Collection[str] = (),
    *,
    tokenizer: Any = None,
    check_pictures: bool = False,
) -> Health:
    """Stop before training on data that have a problem.

    Quick: texts are read and files are looked for, not opened (under a second for 3,000 studies), unless
    ``check_pictures``.

    Args:
        studies, preset, check_pictures: as for ``examine``.
        skip: names of checks to leave out.
        tokenizer: the model's; without one tokens are estimated.

    Returns:
        What was found; its ``warnings`` are worth printing.

    Raises:
        DataError: each check that failed, and how to skip it by name.
    """
    studies, preset, skip = _with_texts(studies), get_preset(preset), known_checks(skip)
    name = preset.language.source
    why = "no tokenizer was given"
    counter = estimate_counter(why) if tokenizer is None else tokenizer_counter(tokenizer, name)
    health = _examine(studies, preset, skip, counter, survey_pictures(studies, check_pictures))
    if health.problems:
        listed = "".join(f"\n  {problem}" for problem in health.problems)
        names = ", ".join(f'"{problem.name}"' for problem in health.problems)
        raise DataError(
            f"the data are not fit for training: {len(health.problems)} of the doctor's checks failed.{listed}\n"
            f"Mend them (`r2gen doctor` shows more), or leave checks out by name: skip=[{names}]."
        )
    return health


def _with_texts(studies: Iterable[Study]) -> list[Study]:
    """The studies; a report that is no text, such as the NaN of a data frame, counts as empty."""
    return [study if isinstance(study.report, str) else replace(study, report="") for study in studies]


def _examine(
    studies: list[Study], preset: Preset, skip: tuple[str, ...], counter: TokenCounter, survey: Survey
) -> Health:
    limit = preset.target.max_tokens
    tokens = [n + 1 for n in counter.count([study.report for study in studies])]  # + 1: the end is a token too
    long = [study for study, n in zip(studies, tokens, strict=True) if n > limit]
    within, across = _repeated(studies)
    findings = [
        *_split_checks(studies),
        *_report_checks(studies, within, across),
        *check(
            "long_reports", _ids(long), "report is", "reports are", f"longer than the {limit} tokens that are learnt"
        ),
        *_picture_checks(studies, preset, survey),
    ]
    sources = ", ".join(sorted({study.source for study in studies if study.source})) or "unnamed source"
    views = " and ".join(preset.vision.views)
    return Health(
        title=f"{len(studies):,} studies ({sources}); preset {preset.name} reads {views} pictures, {limit} tokens",
        counts=_counts(studies, across, long, limit),
        notes=(_length_note(tokens, counter), _code_note(studies), _picture_note(survey), *_credentialed_note(studies)),
        findings=tuple(findings),
        skipped=skip,
        bad_pictures=survey.bad,
    )


def _split_checks(studies: list[Study]) -> list[Check]:
    present = {study.split for study in studies}
    places: dict[str, Counter[str]] = {}
    patients: dict[tuple[str, str], set[str]] = {}
    for study in studies:
        places.setdefault(study.id, Counter())[study.split] += 1
        if study.patient:
            patients.setdefault((study.source, study.patient), set()).add(study.split)
    shared = {key: counts for key, counts in places.items() if len(counts) > 1}
    twice = {key: counts for key, counts in places.items() if max(counts.values()) > 1}
    torn = {patient: splits for (_, patient), splits in patients.items() if len(splits) > 1}
    empty = [s for s in ("train", "val") if s not in present]
    return [
        *check("empty_splits", empty, "split holds", "splits hold", "no study"),
        *check("repeated_ids", list(twice), "id appears", "ids appear", _TWICE),
        *check("study_in_two_splits", _with_splits(shared), "study is", "studies are", _ACROSS),
        *check("patient_in_two_splits", _with_splits(torn), "patient is", "patients are", _ACROSS),
        *([] if "test" in present else [Check("no_test_studies", 1, "the test split holds no study")]),
    ]


def _with_splits(places: dict[str, Collection[str]]) -> list[str]:
    return [f"{key} ({', '.join(s for s in SPLITS if s in splits)})" for key, splits in places.items()]


def _report_checks(studies: list[Study], within: list[Study], across: list[Study]) -> list[Check]:
    """``within`` and ``across`` are what ``_repeated`` found."""
    empty = [study for study in studies if says_nothing(study.report)]
    lost = [study for study in studies if holds_lost_value(study.report)]
    lost_words = "'nan' or another word for a missing value in it"
    copy = "word for word, another's of the same split"
    return [
        *check("empty_reports", _ids(empty), "report is", "reports are", "empty"),
        *check("nan_in_reports", _ids(lost), "report has", "reports have", lost_words),
        *check("duplicate_reports", _ids(within), "report is,", "reports are,", copy),
        *check(
            "reports_in_two_splits",
            _ids(across),
            "val or test report is,",
            "val and test reports are,",
            "word for word, in train",
        ),
    ]


def _repeated(studies: list[Study]) -> tuple[list[Study], list[Study]]:
    """The studies whose report another study of their split has, and those of val and test whose report train has."""
    written = [study for study in studies if not says_nothing(study.report)]
    seen = Counter((study.split, study.report) for study in written)
    within = [study for study in written if seen[study.split, study.report] > 1]
    across = [study for study in written if study.split != "train" and ("train", study.report) in seen]
    return within, across


def _picture_checks(studies: list[Study], preset: Preset, survey: Survey) -> list[Check]:
    lacking = [s for s in studies if not set(preset.vision.views) <= {picture.view for picture in s.pictures}]
    bad = {problem: [b for b in survey.bad if b.problem == problem] for problem in _PROBLEMS}
    groups = [[studies[i] for i in places] for places in survey.copies]
    across = [group for group in groups if len({study.split for study in group}) > 1]
    within = [group for group in groups if len({study.split for study in group}) == 1]
    of = f"of {survey.files:,} picture files"
    views = f"a view that is read ({', '.join(preset.vision.views)})"
    return [
        *check("missing_views", _ids(lacking), "study lacks", "studies lack", views),
        *check("missing_pictures", bad["missing"], f"{of} is", f"{of} are", "not there"),
        *check("unreadable_pictures", bad["unreadable"], of, of, "cannot be read"),
        *check("blank_pictures", bad["blank"], f"{of} has", f"{of} have", "one grey value throughout"),
        *check("faint_pictures", bad["faint"], f"{of} is", f"{of} are", "nearly black, nearly white or one grey"),
        *check("noise_pictures", bad["noise"], f"{of} is", f"{of} are", "noise: neighbouring pixels are unlike"),
        *check("odd_shapes", bad["odd_shape"], f"{of} is", f"{of} are", "under 8 pixels wide or high, or a strip"),
        *_fallback_check(bad["fallback"], of),
        *check("pictures_in_two_splits", _together(across), "picture occurs", "pictures occur", _ACROSS),
        *check("duplicate_pictures", _together(within), "picture occurs", "pictures occur", _TWICE),
    ]


def _fallback_check(noted: list[BadPicture], of: str) -> list[Check]:
    """Pictures that could be read by a fall-back alone: how many, and the kinds with their numbers."""
    kinds = Counter(bad.detail for bad in noted)
    shown = "; ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common(_KINDS))
    more = f"; and {len(kinds) - _KINDS:,} other kinds" if len(kinds) > _KINDS else ""
    pictures = {(bad.study, bad.view, bad.path): bad for bad in noted}  # one picture may need several
    return check("fallback_pictures", list(pictures.values()), of, of, f"needed a fall-back: {shown}{more}")


def _together(groups: list[list[Study]]) -> list[str]:
    return [" = ".join(f"{study.id} ({study.split})" for study in group[:3]) for group in groups]


def _ids(studies: list[Study]) -> list[str]:
    return [study.id for study in studies]


def _counts(studies: list[Study], in_train: list[Study], long: list[Study], limit: int) -> dict[str, dict[str, int]]:
    """The rows of the page; ``in_train`` are studies of val and test whose report train has, ``long`` those cut."""

    def row(keep: Callable[[Study], bool]) -> dict[str, int]:
        return _by_split([study for study in studies if keep(study)])

    rows = {"studies": row(lambda study: True)}
    patients = {(s.split, s.source, s.patient): s for s in studies if s.patient}
    if patients:
        distinct = len({(source, patient) for _, source, patient in patients})
        rows["patients"] = _by_split(list(patients.values())) | {"all": distinct}
    for view in ("frontal", "lateral", "other"):
        if any(picture.view == view for study in studies for picture in study.pictures):
            rows[f"with a {view} picture"] = row(lambda s, view=view: any(p.view == view for p in s.pictures))
    rows["without any picture"] = row(lambda study: not study.pictures)
    rows["reports that stand in train"] = _by_split(in_train)
    rows[f"reports over {limit} tokens"] = _by_split(long)
    if _are_coded(studies):
        rows["coded normal"] = row(lambda study: study.mesh == ("normal",))
        rows["coded with findings"] = row(lambda study: study.mesh != ("normal",) and study.mesh not in NOT_CODED)
        rows["not coded"] = row(lambda study: study.mesh in NOT_CODED)
    return rows


def _by_split(studies: list[Study]) -> dict[str, int]:
    counts = Counter(study.split for study in studies)
    return {split: counts[split] for split in SPLITS} | {"all": len(studies)}


def _are_coded(studies: list[Study]) -> bool:
    """Whether the source has codes: a study without any is ("normal",) as well."""
    return any(study.mesh != ("normal",) and study.mesh not in NOT_CODED for study in studies)


def _length_note(tokens: Sequence[int], counter: TokenCounter) -> str:
    if not tokens:
        return "report length: no reports"
    return f"report length: median {median(tokens):.0f}, longest {max(tokens)} tokens, by {counter.how}"


def _code_note(studies: list[Study]) -> str:
    if not _are_coded(studies):
        return "codes: none, so the share of normal studies is unknown"
    coded = [study for study in studies if study.mesh not in NOT_CODED]
    headings = Counter(h for study in coded for h in {code.split("/")[0] for code in study.mesh} - {"normal"})
    shown = ", ".join(f"{h} {n:,} ({n / len(coded):.0%})" for h, n in headings.most_common(_HEADINGS))
    return f"commonest codes, in studies: {shown}"


def _picture_note(survey: Survey) -> str:
    how = "opened" if survey.opened else "looked for, not opened"
    files = f"{survey.files:,} files {how}"
    return f"pictures: {files}; {survey.simulated:,} simulated (drawn when needed, not here)"


def _credentialed_note(studies: list[Study]) -> tuple[str, ...]:
    count = sum(study.credentialed for study in studies)
    words = "studies are under a data use agreement: nothing of them may be saved in a notebook or passed on"
    return (f"credentialed: {count:,} {words}",) if count else ()
