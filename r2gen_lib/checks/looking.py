"""Checks of notebook 05b: the plan of a counterfactual, the plan carried out, and what leads: picture or words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from r2gen_lib.checks.core import Wrong, ask, close, described, exercise
from r2gen_lib.checks.start import affirmed


@exercise("05b.1", "Design a counterfactual")
def check_counterfactual(plan: dict) -> str:
    """Is the plan complete: finding, side, severity, chests, words, denials, control, seed, rate?"""
    from r2gen_lib.findings.finding import FINDING_NAMES

    if not isinstance(plan, dict):
        raise Wrong(f"the plan is {described(plan)}, expected a dictionary.")
    keys = ("finding", "side", "severity", "chests", "words", "denied_counts", "control", "same_seed", "rate_expected")
    missing = [key for key in keys if plan.get(key) in (None, "", [], set(), ())]
    if missing:
        raise Wrong(f"the plan says nothing about {', '.join(missing)}. Decide it before you look at a report.")
    chests, words = list(plan["chests"]), {str(word).lower() for word in plan["words"]}
    tests: list[tuple[bool, str]] = [
        (plan["finding"] in FINDING_NAMES, f"finding {plan['finding']!r} is none of FINDING_NAMES."),
        (plan["side"] in ("left", "right", "both", "none"),
         f"side is {plan['side']!r}, expected left, right, both or none."),
        (0 < float(plan["severity"]) <= 1, f"severity is {plan['severity']}, expected more than 0 and at most 1."),
        (len(set(chests)) >= 5, f"{len(set(chests))} different chests, expected at least 5: one is an anecdote."),
        (not isinstance(plan["words"], str), "words is one string, expected a set of words in curly brackets."),
        (all(" " not in word for word in words), "words holds several words in one string: list single words."),
        (plan["denied_counts"] is False, "denied_counts must be False: 'no effusion' says the opposite."),
        ("without" in str(plan["control"]).lower() or "same chest" in str(plan["control"]).lower(),
         f"control is {plan['control']!r}, expected the same chests without the finding."),
        (plan["same_seed"] is True, "same_seed must be True: with another seed more than the finding changes."),
        (0 < float(plan["rate_expected"]) <= 1, f"rate_expected is {plan['rate_expected']}, not in (0, 1]."),
    ]  # fmt: skip
    for holds, message in tests:
        if not holds:
            raise Wrong(message)
    return "the plan can be carried out as it stands. Only its form was checked: carry it out next, and keep to it."


_PLAN = {
    "finding": "Pleural Effusion",
    "side": "left",
    "severity": 0.8,
    "chests": ["A", "B", "C", "D", "E"],
    "words": {"effusion", "fluid"},
    "denied_counts": False,
    "control": "the same chests without the finding",
    "same_seed": True,
    "rate_expected": 0.5,
}
#: What a model might write of the plan's chests, with the finding and without: each tells other slips apart.
_WRITERS = (
    (["Small left effusion.", "No effusion.", "Fluid on the left. No pneumothorax.", "Clear.", "Effusions."],
     ["Clear.", "No effusion.", "There is fluid.", "Clear.", "No fluid, no effusion."]),
    (["Large EFFUSION. No fluid level."] * 5, ["The lungs are clear."] * 5),
    (["There is no effusion."] * 5, ["There is no effusion."] * 5),
)  # fmt: skip


@exercise("05b.2", "Carry the plan out")
def check_carried_out(carry_out: Callable) -> str:
    """``carry_out(plan, write)``: the two rates, with the finding and without, where ``write`` writes the reports."""
    for with_it, without in _WRITERS:
        calls: list[tuple[list[str], tuple]] = []

        def write(chests: Sequence[str], findings: Sequence, told=(with_it, without), calls=calls) -> list[str]:
            calls.append((list(chests), tuple(findings)))
            return list(told[0] if findings else told[1])

        found = ask(carry_out, dict(_PLAN), write, shown="plan, write")
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Wrong(f"carry_out gave {described(found)}, expected two rates: with the finding, and without.")
        _see_what_was_asked(calls)
        expected = [_rate(texts, affirmed) for texts in (with_it, without)]
        if close(list(map(float, found)), expected):
            continue
        slips = [
            (expected[::-1], "The rate with the finding comes first."),
            ([_rate(texts, _has) for texts in (with_it, without)],
             "A denial was counted: 'no effusion' says the opposite (`affirmed` of notebook 00 reads sentences)."),
            ([5 * rate for rate in expected], "These are counts: divide by the number of chests."),
        ]  # fmt: skip
        slip = next((text for values, text in slips if close(list(map(float, found)), values)),
                    "A chest counts where its report affirms any of the plan's words.")  # fmt: skip
        shown = ", ".join(f"{float(value):.3g}" for value in found)
        raise Wrong(
            f"five reports with the finding, {with_it}, and five without, {without}, gave ({shown}), expected "
            f"({expected[0]:.3g}, {expected[1]:.3g}). {slip}"
        )
    return "both rates are counted as the plan says, on the same chests, and denials do not count."


def _see_what_was_asked(calls: list[tuple[list[str], tuple]]) -> None:
    """Raises Wrong where other chests or another finding were written about than the plan names."""
    with_it = [findings for _, findings in calls if findings]
    if not with_it or not any(not findings for _, findings in calls):
        raise Wrong("expected reports with the finding and of the same chests without it: `write` was not asked both.")
    if any(chests != _PLAN["chests"] for chests, _ in calls):
        raise Wrong("`write` was asked about other chests than the plan's: the control is the *same* chests.")
    (drawn,) = with_it[0] if len(with_it[0]) == 1 else (None,)
    asked = (getattr(drawn, "name", None), getattr(drawn, "side", None), getattr(drawn, "severity", None))
    if asked != (_PLAN["finding"], _PLAN["side"], _PLAN["severity"]):
        raise Wrong(f"what was drawn is {asked}, expected the plan's one finding with its side and severity.")


def _rate(reports: Sequence[str], says: Callable[[str, str], bool]) -> float:
    return sum(any(says(report, word) for word in _PLAN["words"]) for report in reports) / len(reports)


def _has(report: str, word: str) -> bool:
    return word in report.lower()


@exercise("05b.3", "Where do the words take over?")
def check_takes_over(takes_over: Callable[[pd.DataFrame], int | None]) -> str:
    """``takes_over(table)``: the fewest given words for which the words' interval lies above the picture's."""
    cases = [
        ([(0.30, 0.20, 0.40), (0.25, 0.15, 0.35), (0.20, 0.10, 0.30)],
         [(0.0, 0.0, 0.0), (0.40, 0.30, 0.50), (0.60, 0.50, 0.70)], 8),
        ([(0.30, 0.20, 0.40), (0.25, 0.15, 0.35), (0.20, 0.10, 0.30)],
         [(0.0, 0.0, 0.0), (0.10, 0.05, 0.20), (0.20, 0.1, 0.40)], None),
        ([(0.05, -0.1, 0.2), (0.30, 0.25, 0.35), (0.1, 0.0, 0.2)],
         [(0.0, 0.0, 0.0), (0.60, 0.50, 0.70), (0.50, 0.3, 0.70)], 4),
    ]  # fmt: skip
    for picture, words, expected in cases:
        table = pd.DataFrame(index=pd.Index([0, 4, 8], name="given"))
        for name, rows in (("picture", picture), ("words", words)):
            table[[name, f"{name} low", f"{name} high"]] = rows
        try:
            found = takes_over(table.copy())
        except Exception as error:
            raise Wrong(f"takes_over raised {type(error).__name__}: {error}. Columns: {', '.join(table)}.") from error
        if found == expected and (found is None) == (expected is None):
            continue
        means = next((k for k in table.index if table.words[k] > table.picture[k]), None)
        slips = [
            (means, "The means were compared; asked for is that the two intervals do not overlap."),
            (list(table.index)[-1], "That is the last row; asked for is the first that fits."),
        ]
        slip = next((text for value, text in slips if found == value), "Compare `words low` with `picture high`.")
        raise Wrong(f"pictures {picture} and words {words} gave {described(found)}, expected {expected}. {slip}")
    return "three tables, one of them without such a row: None."
