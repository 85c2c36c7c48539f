# Exercises of notebook 05b, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 05b_does_it_look

# %% setup
from r2gen_lib import R2GenGPT
from r2gen_lib.findings.finding import Finding
from r2gen_lib.inference.feature_cache import picture_pixels
from r2gen_lib.simulation.simulate import simulate

model = R2GenGPT.from_trained("laptop-shallow")


def write(chests, findings):
    """The model's reports of these chests, each with the same findings drawn into it."""
    return model.generate(picture_pixels(model, [simulate(chest, findings).picture for chest in chests]))

# %% exercise Design a counterfactual | difficulty 3 | 15 minutes
# Choose a finding from `FINDING_NAMES` and at least five normal chests.
# Decide beforehand, in the dictionary, which words should appear, whether a denial counts, what the control is and which
# rate you expect. The check looks at the form alone; exercise 2 carries the plan out.

# %% hint
# The control tells how often the words come without the finding: the same chests, the same seed.

# %% stub the plan says nothing about finding
plan = dict(
    finding="",
    side="",
    severity=None,
    chests=[],
    words=set(),
    denied_counts=None,
    control="",
    same_seed=None,
    rate_expected=None,
)

# %% check
checks.check_counterfactual(plan);

# %% solution
plan = dict(
    finding="Pleural Effusion",
    side="left",
    severity=0.8,
    chests=["CXR12", "CXR23", "CXR30", "CXR34", "CXR38"],
    words={"effusion", "blunting", "fluid"},
    denied_counts=False,  # "no effusion" says the opposite
    control="the same chests without the finding",
    same_seed=True,
    rate_expected=0.5,
)

# %% explanation
# The five chests are coded normal, in the test split. The result is two rates, with the finding and without, and their
# difference; with five chests one report more or less is a fifth.

# %% wrong expected at least 5: one is an anecdote
plan = dict(finding="Pleural Effusion", side="left", severity=0.8, chests=["CXR12"], words={"effusion"},
            denied_counts=False, control="the same chests without it", same_seed=True, rate_expected=0.5)

# %% wrong 'no effusion' says the opposite
plan = dict(finding="Pleural Effusion", side="left", severity=0.8, chests=list("abcde"), words={"effusion"},
            denied_counts=True, control="the same chests without it", same_seed=True, rate_expected=0.5)

# %% wrong expected the same chests without the finding
plan = dict(finding="Pleural Effusion", side="left", severity=0.8, chests=list("abcde"), words={"effusion"},
            denied_counts=False, control="other patients", same_seed=True, rate_expected=0.5)

# %% wrong is none of FINDING_NAMES
plan = dict(finding="Effusion", side="left", severity=0.8, chests=list("abcde"), words={"effusion"},
            denied_counts=False, control="the same chests without it", same_seed=True, rate_expected=0.5)

# %% wrong with another seed more than the finding changes
plan = dict(finding="Pleural Effusion", side="left", severity=0.8, chests=list("abcde"), words={"effusion"},
            denied_counts=False, control="the same chests without it", same_seed=False, rate_expected=0.5)

# %% exercise Carry the plan out | difficulty 3 | 30 minutes
# Write `carry_out(plan, write)`: two rates, with the finding and without it. `write(chests, findings)` of section 1 gives
# a report of each chest; `findings` is a list, empty for the control. A chest counts where its report affirms one of the
# plan's words, in any case of letters; "no effusion" does not. The check hands over a `write` that it knows. Then the cell
# runs our plan; run yours. Is the difference what you expected? What does it *not* show?

# %% hint
# `Finding(plan["finding"], plan["side"], severity=plan["severity"])` is the finding.

# %% hint
# `from r2gen_lib.checks.start import affirmed`: `affirmed(report, word)` is whether a sentence has the word and none
# that denies.

# %% given
ours = dict(finding="Pleural Effusion", side="left", severity=0.8, chests=["CXR12", "CXR23", "CXR30", "CXR34", "CXR38"],
            words={"effusion", "effusions", "blunting", "fluid"})

# %% stub was not asked both
def carry_out(plan, write):
    return 0.0, 0.0

# %% check
if checks.check_carried_out(carry_out):
    print("with the finding, without:", carry_out(ours, write))

# %% solution
from r2gen_lib.checks.start import affirmed


def carry_out(plan, write):
    finding = Finding(plan["finding"], plan["side"], severity=plan["severity"])

    def rate(findings):
        reports = write(plan["chests"], findings)
        return sum(any(affirmed(report, word) for word in plan["words"]) for report in reports) / len(reports)

    return rate([finding]), rate([])

# %% explanation
# Two rates from five chests: one report more or less is 0.2, and Wilson's interval of 5 in 5 begins at 0.57. It is a
# result about this simulator's effusions, which the model has seen in other chests; and about five chests that were
# named beforehand.

# %% wrong A denial was counted
def carry_out(plan, write):
    finding = Finding(plan["finding"], plan["side"], severity=plan["severity"])
    both = write(plan["chests"], [finding]), write(plan["chests"], [])
    return tuple(sum(any(w in text.lower() for w in plan["words"]) for text in some) / len(some) for some in both)

# %% wrong These are counts
def carry_out(plan, write):
    from r2gen_lib.checks.start import affirmed
    finding = Finding(plan["finding"], plan["side"], severity=plan["severity"])
    both = write(plan["chests"], [finding]), write(plan["chests"], [])
    return tuple(sum(any(affirmed(text, w) for w in plan["words"]) for text in some) for some in both)

# %% wrong the control is the *same* chests
def carry_out(plan, write):
    from r2gen_lib.checks.start import affirmed
    finding = Finding(plan["finding"], plan["side"], severity=plan["severity"])
    both = write(plan["chests"], [finding]), write(["CXR2", "CXR13", "CXR64", "CXR65", "CXR97"], [])
    return tuple(sum(any(affirmed(text, w) for w in plan["words"]) for text in some) / len(some) for some in both)

# %% wrong expected the plan's one finding with its side and severity
def carry_out(plan, write):
    from r2gen_lib.checks.start import affirmed
    both = write(plan["chests"], [Finding(plan["finding"], plan["side"])]), write(plan["chests"], [])
    return tuple(sum(any(affirmed(text, w) for w in plan["words"]) for text in some) / len(some) for some in both)

# %% exercise Where do the words take over? | difficulty 2 | 15 minutes
# Write `takes_over(table)` for a table as in section 2: the smallest number of given words (the index) at which the
# words' interval lies wholly above the picture's, or None. Then ask of your own table. Which rows would change if the
# rest began at a new sentence?

# %% hint
# Rows are in order. The columns are `words low` and `picture high`.

# %% stub The means were compared
def takes_over(table):
    return next((k for k in table.index if table.words[k] > table.picture[k]), None)

# %% check
checks.check_takes_over(takes_over);

# %% solution
def takes_over(table):
    above = table["words low"] > table["picture high"]
    return int(table.index[above][0]) if above.any() else None

# %% explanation
# Two intervals that do not overlap are a strict rule; a paired comparison, study by study, would decide more rows. Cut
# off in the middle of a sentence a rest is odd to read, and some of what the words are "worth" is that.

# %% wrong That is the last row
def takes_over(table):
    above = table["words low"] > table["picture high"]
    return int(table.index[-1]) if above.any() else None

# %% wrong takes_over raised KeyError
def takes_over(table):
    return int(table.index[table["words_low"] > table["picture_high"]][0])

# %% wrong Compare `words low` with `picture high`
def takes_over(table):
    return 0
