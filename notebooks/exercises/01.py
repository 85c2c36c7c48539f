# Exercises of notebook 01, as README.md in this folder describes. `r2gen exercises` makes the notebooks' cells of them.

# %% notebook 01_data_loading

# %% setup
import numpy as np

from r2gen_lib.plots.lessons import picture_grid, show
from r2gen_lib.simulation.simulate import simulate

normal = simulate("CXR12")

# %% exercise Sections from plain text | difficulty 2 | importance 2 | 15 minutes
# Open-i marks sections in XML. Most hospitals send one string:
# headings in capitals (INDICATION, COMPARISON, FINDINGS, IMPRESSION) with a colon, some missing or all of them. Write
# `split_sections`: texts by lower-case name, empty sections left out. What stands before the first heading is findings.

# %% hint
# `re.split` with a group keeps what it splits at.

# %% stub Each text runs from its heading to the next one
def split_sections(text):
    return {"findings": text}

# %% check
checks.check_split_sections(split_sections);

# %% solution
import re

HEADING = re.compile(r"\b(INDICATION|COMPARISON|FINDINGS|IMPRESSION):")


def split_sections(text):
    first, *rest = HEADING.split(text)  # text before, heading, text, heading, text, ...
    sections = {}
    for name, words in [("FINDINGS", first), *zip(rest[::2], rest[1::2], strict=True)]:
        words = f"{sections.get(name.lower(), '')} {words.strip()}".strip()
        if words:
            sections[name.lower()] = words
    return sections

# %% explanation
# A heading that comes twice is an addendum more often than an error, so its texts are joined. What to do with headings
# nobody foresaw ("RECOMMENDATION:") is a decision: here they stay in the text, where a reader sees them.

# %% wrong A report without headings is all findings
import re

def split_sections(text):
    parts = re.split(r"\b([A-Z]+):", text)
    return {name.lower(): words.strip() for name, words in zip(parts[1::2], parts[2::2]) if words.strip()}

# %% wrong What stands before the first heading is findings too
import re

def split_sections(text):
    parts = re.split(r"\b(INDICATION|COMPARISON|FINDINGS|IMPRESSION):", text)
    if len(parts) == 1:
        return {"findings": text}
    return {name.lower(): words.strip() for name, words in zip(parts[1::2], parts[2::2]) if words.strip()}

# %% wrong join both texts with a blank
import re

def split_sections(text):
    parts = ["FINDINGS", *re.split(r"\b(INDICATION|COMPARISON|FINDINGS|IMPRESSION):", text)]
    return {name.lower(): words.strip() for name, words in zip(parts[::2], parts[1::2]) if words.strip()}

# %% wrong in small letters is part of a sentence
import re

def split_sections(text):
    parts = re.split(r"\b(indication|comparison|findings|impression):", text, flags=re.I)
    sections = {}
    for name, words in zip(["findings", *parts[1::2]], parts[::2]):
        if words.strip():
            sections[name.lower()] = f"{sections.get(name.lower(), '')} {words.strip()}".strip()
    return sections

# %% exercise Find the leak | difficulty 2 | importance 3 | 10 minutes
# A training study was slipped into the test split under a new id:
# `planted = [*studies, replace(train[7], id="CXR9001", split="test")]`, and `check_leaks` is silent. Equal findings alone
# don't give it away, as section 3 showed. Write `copies(studies)`: the ids of test studies that are a training study in
# every section and code. How many suspects are there in `planted`?

# %% hint
# Make one key of all that a copy shares: `(tuple(sorted(s.sections.items())), s.mesh)`.

# %% stub and another indication
def copies(studies):
    train_texts = {s.report for s in studies if s.split == "train"}
    return [s.id for s in studies if s.split == "test" and s.report in train_texts]

# %% check
checks.check_copies(copies);

# %% solution
def copies(studies):
    def key(study):
        return tuple(sorted(study.sections.items())), study.mesh

    known = {key(study) for study in studies if study.split == "train"}
    return [study.id for study in studies if study.split == "test" and key(study) in known]

# %% explanation
# In `planted` a few dozen suspects stay: short reports with an indication that is masked (XXXX) or common. Pictures would
# tell them apart, and where patients are known, their numbers.

# %% wrong E5 was missed
def copies(studies):
    ids = {s.id for s in studies if s.split == "train"}
    return [s.id for s in studies if s.split == "test" and s.id in ids]

# %% wrong both must come from one study
def copies(studies):
    train = [s for s in studies if s.split == "train"]
    fields = [(lambda s: s.report), (lambda s: s.sections.get("indication")), (lambda s: s.mesh)]
    known = [{field(s) for s in train} for field in fields]
    tests = [s for s in studies if s.split == "test"]
    return [s.id for s in tests if all(field(s) in values for field, values in zip(fields, known))]

# %% wrong its codes (mesh) are not those of T1
def copies(studies):
    known = {tuple(sorted(s.sections.items())) for s in studies if s.split == "train"}
    return [s.id for s in studies if s.split == "test" and tuple(sorted(s.sections.items())) in known]

# %% wrong asked for are test studies
def copies(studies):
    known = {(tuple(sorted(s.sections.items())), s.mesh) for s in studies if s.split == "train"}
    return [s.id for s in studies if s.split != "train" and (tuple(sorted(s.sections.items())), s.mesh) in known]

# %% exercise Window a 12-bit picture | difficulty 2 | importance 2 | 10 minutes
# Detectors give 4,096 grey levels, screens show 256. A *window*
# with a centre and a width maps the levels inside it to 0..255 and clips the rest: what DICOM calls LINEAR_EXACT. The
# function below only rescales: make it a window. Which window shows the spine, which the lungs? (The picture is an 8-bit
# one, stretched to 12 bits.)

# %% hint
# The window begins at `centre - width / 2`. Clip *before* the numbers become uint8.

# %% stub All levels were rescaled
def window(levels, centre, width):
    return (levels / 4095 * 255).round().astype(np.uint8)

# %% check
deep = (normal.picture / 255.0 * 4095).round()
pictures = [window(deep, centre, 1600) for centre in (900, 2600)]
row = picture_grid(pictures, ["simulated, centre 900", "centre 2600"], inches=1.6)
show(row, alt="A simulated radiograph, windowed twice")
checks.check_window(window);

# %% solution
def window(levels, centre, width):
    low = centre - width / 2
    return ((levels - low) / width * 255).clip(0, 255).round().astype(np.uint8)

# %% explanation
# Lungs let much through and are dark: a low centre spreads their levels. Spine and heart are bright: a high one.

# %% wrong a uint8 wraps around
def window(levels, centre, width):
    return ((levels - (centre - width / 2)) / width * 255).round().astype(np.int64).astype(np.uint8)

# %% wrong The centre was taken for the lower edge
def window(levels, centre, width):
    return ((levels - centre) / width * 255).clip(0, 255).round().astype(np.uint8)

# %% wrong The width is the whole window
def window(levels, centre, width):
    return ((levels - (centre - width)) / (2 * width) * 255).clip(0, 255).round().astype(np.uint8)

# %% wrong expected uint8
def window(levels, centre, width):
    return ((levels - (centre - width / 2)) / width * 255).clip(0, 255).round()

# %% exercise From stored values to the screen | difficulty 3 | importance 3 | 20 minutes
# Write `to_display(stored, photometric, centre, width, slope=1, intercept=0)`, the way of section 10: rescale the stored
# values, apply the window LINEAR (not LINEAR_EXACT), clip, turn MONOCHROME1 round, and give uint8, 0 for black. Half of
# Open-i's original files need it; a program that divides by the maximum shows them as negatives.

# %% guess
# The stored levels are 0 to 4, the window has centre 2 and width 4. Which shade, 0 to 255, does LINEAR give to level 1,
# and which LINEAR_EXACT?

# %% hint
# LINEAR: `(x - (centre - 0.5)) / (width - 1) + 0.5`, then clip to 0..1.

# %% hint
# The order is rescale, window, inversion: centre and width are in the units that the rescale makes.

# %% stub It was divided by the maximum
def to_display(stored, photometric, centre, width, slope=1, intercept=0):
    return (stored / stored.max() * 255).round().astype(np.uint8)

# %% check
checks.check_to_display(to_display);

# %% solution
def to_display(stored, photometric, centre, width, slope=1, intercept=0):
    values = stored * slope + intercept
    shade = ((values - (centre - 0.5)) / (width - 1) + 0.5).clip(0, 1)
    if photometric == "MONOCHROME1":
        shade = 1 - shade
    return (shade * 255).round().astype(np.uint8)

# %% why
# *Why?* Turn the stored values round first and window them afterwards. For which windows is the picture the same, and
# what is lost with the others?

# %% explanation
# Inverting first mirrors the levels about the middle of their range, so that a window with another centre shows other
# levels: what it was made to show is clipped. Only a window in the middle of the range stays what it was.
# `r2gen_lib/data/images/dicom.py` does the same as the solution, and reads lookup tables, padding and colour besides.

# %% wrong This is LINEAR_EXACT
def to_display(stored, photometric, centre, width, slope=1, intercept=0):
    shade = ((stored * slope + intercept - centre) / width + 0.5).clip(0, 1)
    return ((1 - shade if photometric == "MONOCHROME1" else shade) * 255).round().astype(np.uint8)

# %% wrong MONOCHROME1 was not turned round
def to_display(stored, photometric, centre, width, slope=1, intercept=0):
    shade = ((stored * slope + intercept - centre + 0.5) / (width - 1) + 0.5).clip(0, 1)
    return (shade * 255).round().astype(np.uint8)

# %% wrong The stored values were turned round before the window
def to_display(stored, photometric, centre, width, slope=1, intercept=0):
    if photometric == "MONOCHROME1":
        stored = stored.max() - stored
    shade = ((stored * slope + intercept - centre + 0.5) / (width - 1) + 0.5).clip(0, 1)
    return (shade * 255).round().astype(np.uint8)

# %% wrong Slope and intercept come before the window
def to_display(stored, photometric, centre, width, slope=1, intercept=0):
    shade = ((stored - centre + 0.5) / (width - 1) + 0.5).clip(0, 1)
    return ((1 - shade if photometric == "MONOCHROME1" else shade) * 255).round().astype(np.uint8)

# %% wrong a uint8 wraps around
def to_display(stored, photometric, centre, width, slope=1, intercept=0):
    shade = (stored * slope + intercept - centre + 0.5) / (width - 1) + 0.5
    shade = 1 - shade if photometric == "MONOCHROME1" else shade
    return (shade * 255).round().astype(np.int64).astype(np.uint8)
