"""A sentence in plain wording: short forms are written out, and phrases that NegEx would misread give way to others."""

from __future__ import annotations

import re

from r2gen_lib.findings.sentence_spans import one_of, single_characters

VISIBLE = one_of(
    "seen, present, visible, visuali[sz]ed, identified, appreciated, evident, apparent, demonstrated, detected, noted,"
    "discernible, observed, found, shown, depicted, recogni[sz]ed, perceived, recognizable, identifiable, there,"
    "in place, in situ, suspected"
)
_DEGREE = one_of(
    r"evidence, signs?, of, any, interval, gross, marked, major, clear, real, further, large, radiographic, clinical,"
    r"new, overall, substantial, additional, acute, definite, definitive, obvious, relevant, significant, important,"
    r"notable, dramatic, noteworthy, short-term, short-interval, much, \w+(?:able|ible|ful|ly)"
)
_CHANGE = (
    one_of(
        "change, increase, decrease, worsening, improvement, progression, regression, difference, alteration,"
        "deterioration, reduction, resolution, clearing, growth"
    )
    + "s?"
)
_OF_WHAT = (
    r"(?: (?:in|of|to|from|with)\b(?: the)?"
    r"(?: (?:size|appearance|extent|degree|amount|position|volume) of(?: the)?)?)?"
)
_NEARLY = one_of(
    "nearly, almost, mostly, largely, partially, partly, incompletely, virtually, essentially, near,"
    "not(?: yet| quite)?(?: fully| completely| entirely| totally)?"
)
DEVICE_WORDS = "tubes?|lines?|catheters?|drains?|picc|pacemakers?|ports?|leads?"
_GONE = r"(?:resolved|cleared|disappeared|re-?absorbed|vanished)"
_OUT = r"(?:excluded|ruled out)"
_HARD = (
    r"(?:difficult|hard|impossible|not possible|unable|not able|challenging|tough) to (?:\w+ly )?(?:exclude|rule out)"
)
_POINTS_TO = one_of(
    r"to (?:\w+ly )?(?:suggest|indicate|represent|support|confirm|imply|raise \w+ (?:of|for)), suggesting,"
    r"suggestive (?:of|for), suspicious (?:of|for), concerning for, worrisome for, indicative of, indicating,"
    r"suspicion (?:of|for), concerns? (?:of|for|about), compatible with, consistent with, typical (?:of|for),"
    r"diagnostic (?:of|for), characteristic (?:of|for), representing, convincing (?:of|for), specific for,"
    r"pointing to(?:wards?)?, that (?:would |could |might |may )?(?:suggests?|indicates?|represents?|be \w+ for),"
    r"suspected, suspect"
)
_EARLIER = one_of("prior, previous, earlier, comparison, last, older, outside, most recent, recent")
_FINDING = one_of(
    "pneumothora(?:x|ces), effusions?, consolidations?, edema, opacit(?:y|ies), infiltrates?, pneumonia, atelectasis,"
    "fractures?, disease, process, abnormality, normal, clear, limits"
)
_ANOTHER = one_of(
    "small, tiny, trace, minimal, mild, moderate, stable, unchanged, persistent, there (?:is|are),"
    "(?:the )?(?:heart|lungs?|mediastinum|bones?|cardiac silhouette) (?:size )?(?:is|are|remains?|appears?),"
    r"(?:an? |the )?(?:endotracheal|enteric|nasogastric|ng|et|chest|picc|central|right|left) (?:\w+ )?"
    r"(?:tube|line|catheter) (?:is|tip|in|ends)"
)

#: What is read in place of what, in this order, in lower case with single blanks. Some words are of our own making, so
#: that no report has them: "isdenied", "nolonger", "isdoubted" and "ifany" (what stands before), "notexcluded" (what
#: comes after); ``report_phrases`` knows them.
REWRITTEN: tuple[tuple[str, str], ...] = (
    # spelling and short forms
    (r"(\w)\((e?s)\)", r"\1\2"),  # effusion(s)
    (r"\b(is|are|was|were|has|have|had|does|do|did|could|would|should)n'?t\b", r"\1 not"),
    (r"\b(?:can'?t|cannot)\b", "can not"),
    (r"\bwon'?t\b", "will not"),
    (r"\bw\s?/\s?o(?:ut)?\b", "without"),
    (r"\bw/\s?(?=\w)", "with "),
    (r"\br\s?/\s?o\b", "rule out"),
    (r"\bs\s?/\s?p\b", "status post"),
    (r"\bc\s?/\s?w\b", "consistent with"),
    (r"\bh\s?/\s?o\b", "history of"),
    (r"\bneg\b\.?", "negative"),
    (r"\bptx\b", "pneumothorax"),
    (r"\bpna\b", "pneumonia"),
    (r"\s&\s", " and "),
    (r"\s\+\s", " with "),
    (r"^\(-\)", "no"),
    (r"\bvs\b\.?", "versus"),
    (r"\b(dr|mr|mrs|approx|resp|cf)\.", r"\1"),
    (r"\b(?:e\.g|i\.e)\.?", "such as"),
    (r"\+\s?/\s?-|\+-|±", " possible "),
    (r"\band\s?/\s?or\b", "or"),
    (r"(?<=[a-z])\s?/\s?(?=[a-z])", " / "),
    (r"(?<!\w)\?\s?(?=[a-z])", "possible "),  # "?pneumonia"
    (r"^\W*\(?#?\d{1,2}[.):]\s*|^[\s*•●▪◦·‣>–-]+", ""),  # a list's number or bullet  # noqa: RUF001
    # not excluded is a doubt
    (rf"\b(?:(?:can|could|may|is|are|was|were) )?not (?:\w+ly )?(?:yet )?(?:been |be )?(?:\w+ly )?{_OUT}", "isdoubted"),
    (r"\b(?:(?:can|could|does|do|did|may|will|would) )?not (?:\w+ly )?(?:exclude|rule out)", "notexcluded"),
    (
        rf"\b{_HARD}(?= (?!(?:given|due|on|because|with|without|in|at|by|from|here|as|but|and|there)\b)[a-z])",
        "notexcluded",
    ),
    (rf"\b(?:(?:is|are|remains?) )?{_HARD}", "isdoubted"),
    (rf"\b(?:remains? )?incompletely {_OUT}", "isdoubted"),
    (rf"\b(?:is|are|was|were|been|be)(?: \w+ly)? {_OUT}", "isdenied"),
    (rf"\b{_OUT}(?=\s*[.;,]*$)", "isdenied"),
    (
        r"\b(?:if any|if present|if at all)\b"
        r"(?! (?:clinical|concern|question|further|suspicion|change|symptom|doubt|new))",
        "ifany",
    ),
    (r"^any (?=.+ (?:is|are|would be)\b)", "ifany "),  # "any effusion is small"
    (r"\b(?:(?:should|could|may|might|can) be considered|(?:is|are) (?:in|on|within) the differential)\b", "isdoubted"),
    (r"\b(?:could|may|might) be (?:missed|overlooked|hidden|obscured|masked)\b", "isdoubted"),
    (r"\bconcern(?:s)? (?:is|are) for\b", "concern for"),
    (r"\b(?:felt |thought |considered |deemed )?(?:to be )?(?:less|not as) likely\b", "isdoubted"),
    # not resolved, not changed: still there
    (rf"\b(?:(?:has|have|had|is|are) )?{_NEARLY}[ -](?:complete(?:ly)? )?{_GONE}", "is improved"),
    (
        r"\b(?:near|partial|incomplete|near-complete|near complete|almost complete|some|subtotal)[ -](?:\w+ )?"
        r"(?:resolution|clearing|resorption) (?:of|in)\b",
        "improved",
    ),
    (r"\b(?:no|not|without)(?: \w+)? (?:resolution|clearing) of\b", "unchanged"),
    (r"\bnot without\b", "with"),
    (r"\b(?:no|without|beyond|little)(?: a| any)? doubt(?:s)?\b", "definitely"),
    (r"\beither\b(?= .*\bor\b)", "possibly"),
    (
        rf"\b(?:no|without|not any|nor)\b(?: {_DEGREE}){{0,4}} {_CHANGE}(?: or (?:{_DEGREE} )?{_CHANGE})?{_OF_WHAT}",
        "unchanged",
    ),
    (r"\b(?:(?:has|have|had|is|are|was|were) )?not (?:\w+ly )?(?:changed|altered)\b", "is unchanged"),
    (
        r"\b(?:has|have|had) not (?:yet )?(?:\w+ly )?(?:increased|decreased|worsened|improved|progressed|enlarged|"
        r"grown|diminished|regressed)\b",
        "is unchanged",
    ),
    (r"\b(?:has|have|had|was|were) not (?:yet )?been (?:removed|withdrawn|extubated|pulled)\b", "remains"),
    (r"\bunable to (?:\w+ly )?(?:see|identify|visualize|appreciate|detect)\b", "no"),
    (
        rf"\b(?:(?:was|were|is|are) )?not (?:\w+ly )?{VISIBLE} (?:on|in|at) (?:the |her |his |any )?{_EARLIER}\b",
        "is new since the prior",
    ),
    (rf"\b(?:(?:was|were|is|are) )?not (?:\w+ly )?{VISIBLE} (?:previously|before|earlier)\b", "is new"),
    (
        r"\b(?:is|are|was|were|has|have|does|do) not (?:\w+ly )?(?:as )?"
        r"(?:larger?|bigger|smaller|increas\w+|progress\w+|worse\w*)\b(?! .*\bor\b)",
        "is unchanged",
    ),
    (r"\bno (?:larger|bigger|smaller|greater|worse)\b(?=.* (?:than|compared|before|prior|previous))", "unchanged"),
    (r"\bnot much (?:interval )?(?:change|difference)\b", "unchanged"),
    (
        r"\bno (?:evidence of |interval |significant |further )*(?:enlargement|expansion|extension) of "
        r"(?:the |a |an |this )?"
        r"(?!(?:\w+ )?(?:heart|cardiac|cardio|mediastin|hil))",
        "unchanged ",
    ),
    (r"\bno (?:more|larger|bigger) than(?: an?)?(?= (?:small|tiny|trace|minimal|mild))", ""),
    # gone
    (r"\b(?:is|are|has|have|now) (?:now |been )?gone\b", "isdenied"),
    (r"^gone (?:is|are)\b", "nolonger"),
    (r"\s*[(,]\s*(?:none|nil|absent|-)\s*(?:\)|$)", " isdenied "),
    (r"\b(?:does|do|did) not (?=persist|remain)", "nolonger "),
    (r"\b(?:withdrawn|pulled)(?= (?:back|to|by|into|slightly|out by))", "moved"),
    (rf"\b((?:{DEVICE_WORDS}) )removal\b", r"\1been removed"),
    (rf"\bno longer (?:\w+ly )?{VISIBLE}\b", "nolonger"),
    (r"\bno longer (?:(?:appears?|looks?|seems?|is|are) )?(?=enlarged|wid|prominent|abnormal|increased)", "not "),
    (r"\bno longer (?=large|loculated|moderate|increas|grow|expand|tension|severe|as )", "improved "),
    (r"\bno longer\b", "nolonger"),
    (r"\bno more\b", "no"),
    (rf"\b(?:can |could )?not (?:be )?(?:\w+ly )?{VISIBLE} (?:any longer|any ?more|now)\b", "nolonger"),
    (rf"\b(?:can|could) not (?:\w+ly )?be (?:\w+ly )?{VISIBLE}\b", "isdenied"),
    (r"\b(?:rules|ruling) out\b", "excludes"),
    (
        r"\b(?:complete|interval|full|total) (?:interval )?(?:resolution|clearing|resorption|disappearance)"
        r"\b(?! of| in)",
        "resolved",
    ),
    (r"\b(?:resolution|clearing|resorption|disappearance) of\b", "resolution of"),
    (r"\b(?:taken out|withdrawn|explanted|discontinued|pulled)\b", "been removed"),
    # X: none
    (r"\s*\?\s*(?:no|none|absent)\b(?=\s*(?:$|[.,;]))", " isdenied "),
    (r"\s*\?\s*(?:yes|present)\b(?=\s*(?:$|[.,;]))", " is present "),
    (
        r"\s*[:=–-]+\s*(?:none|nil|no|negative|absent|not (?:seen|present|identified|visible)|denied|n|"
        r"no evidence|not evident)"  # noqa: RUF001
        r"\s*(?=$|[;,.])",
        " isdenied ",
    ),
    (r"\bnone (?:seen|present|identified|visible|detected|noted|evident)\b", "isdenied"),
    (r"(?<=\w) none\s*$", " isdenied"),
    (r"(?<=[a-z]) (?:possible|suspected|questioned|questionable|likely|probable)$", " isdoubted"),
    # what does not point to X denies it
    (r"\b(?:nothing|none of the findings|neither)\b", "no"),
    (
        r"\b(?:not|never) (?:\w+ly )?(?:suggestive|suspicious|indicative|diagnostic|typical|characteristic|concerning) "
        r"(?:of|for)\b",
        "no",
    ),
    (
        r"\b(?:very |highly |quite |most )?(?:unlikely|improbable|not likely|not probable|not suspected)\b",
        "unlikely",
    ),
    (r"\b(?:low|little|minimal) (?:suspicion|concern|likelihood|probability) (?:of|for)\b", "no"),
    (
        r"\b(no|without)((?: (?:evidence|signs?|of|any|definite|findings?|indication|convincing))*) "
        r"(?:possible|probable|likely|suspected|potential|questionable|suspicious)\b",
        r"\1\2",
    ),
    # no mark between two statements
    (rf"\b({_FINDING} (?:is|are) {VISIBLE}) (?={_ANOTHER}\b(?! (?:or|nor)\b)(?!$))", r"\1 ; "),
    (rf"\b({_FINDING}) (?={_ANOTHER}\b(?! (?:or|nor)\b)(?!$))", r"\1 ; "),
    # words that look like another finding's
    (r"\b(?:(?:may|might|could|can|will|would) )?leads? to\b", "may cause"),
)
_REWRITTEN = [(re.compile(pattern), words) for pattern, words in REWRITTEN]
_POINTING = re.compile(
    r"\b(no|not|without|lack of|absence of|negative for|free of)\b"
    rf"((?: (?!but\b|however\b|there\b|isdenied|isdoubted|notexcluded)[\w'-]+|,)*?) {_POINTS_TO}\b"
)
_HALF = re.compile("[\ud800-\udfff]")  # half a character, of which spaCy makes no word
_DEVICES = one_of("lines?, tubes?, devices?, hardware, catheters?, drains?")
_DEVICE_HEADING = re.compile(
    rf"^(?:(?:support|medical|monitoring) )?{_DEVICES}"
    rf"(?:(?: / |, | and | & |,? and )(?:support )?{_DEVICES})*\s*: ?(?!isdenied)"
)


def plain_wording(sentence: str) -> str:
    """The sentence in lower case with single blanks, short forms written out and ``REWRITTEN`` applied."""
    plain, _ = single_characters(sentence)
    text = " ".join(_HALF.sub(" ", plain.lower()).split())
    asked = text.endswith("?")
    text = text.rstrip(" .!?")
    for pattern, words in _REWRITTEN:
        text = pattern.sub(words, text)
    text = _POINTING.sub(_denied_throughout, " ".join(text.split()))
    text = _DEVICE_HEADING.sub("", text)
    return f"{text} isdoubted" if asked else text


def _denied_throughout(match: re.Match) -> str:
    """ "no opacity to suggest" is one denial of both; "no effusion, opacity suspicious for" are two statements."""
    between = match[2]
    if "," in between and not re.search(r"\b(?:or|nor)\b", between[between.rindex(",") :]):
        return match[0]
    return f"{match[1]}{between} of"
