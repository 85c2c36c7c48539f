"""From a report's text to single statements in plain wording, before any finding is looked for.

NegEx knows which words deny and how far a denial reaches inside one statement. It does not know where a statement ends
when no full stop says so, nor that "no findings to suggest edema" denies and "has not resolved" does not. That is done
here, in three steps, each of them a table of patterns:

1. ``sentence_spans``: where sentences stand in the text. A full stop ends one; so do a list's number, a bullet, a
   heading, and a line break that no line's width explains.
2. ``plain_wording``: short forms are written out, and phrases that NegEx would misread give way to ones it reads.
3. ``statements``: a sentence is cut where a denial or a doubt ends, as in "No pneumothorax, small effusion".

Own rules; the kinds of wordings come from NegEx's and CheXpert's published lists and from reports of the train split.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

#: Words, and letters, in which one statement is looked for; more without a stop are read in pieces.
MAX_SENTENCE = 200
_MAX_LETTERS, _MAX_WORD = 1000, 100


def _one_of(words: str) -> str:
    """A pattern for one of several, given with commas between."""
    return f"(?:{'|'.join(word.strip() for word in words.split(','))})"


# ----------------------------------------------------------------------------------------------- 1. sentences

_ABBREVIATED = r"(?i:(?<!\bvs)(?<!\bdr)(?<!\bmr)(?<!\bmrs)(?<!\bapprox)(?<!\bresp)(?<!\be\.g)(?<!\bi\.e)(?<!\bcf))"
_HEADING = _one_of(
    "findings?, impressions?, conclusions?, lungs?, pleura, pleural, heart, cardiac, cardiovascular, mediastinum, hila,"
    "bones?, osseous, skeleton, skeletal, abdomen, diaphragms?, airways?, soft tissues?, chest wall, lines?, tubes?,"
    "devices?, support devices, hardware, other, indications?, history, clinical history, comparisons?, techniques?,"
    "exams?, reason"
)
_ENDS = re.compile(
    rf"{_ABBREVIATED}[.!]+(?=\s|$)"  # a stop before white space
    r"|\?+(?=\s+(?!(?:No|None|Yes|Absent)\b)[A-Z]|\s*$)"  # not "Pneumothorax? No."
    r"|(?<=[a-z]{2})[.!]+(?=[A-Za-z]{2})"  # "normal.no effusion": a blank is missing
    r"|(?<=[a-z)])\.(?=[A-Z][a-z])"
    r"|(?=(?<![\w.,/-])[(#]?\d{1,2}[.)]\s{0,3}[A-Za-z])"  # before "2.Small" and "(2) small"
    r"|(?<=[a-z]{2})\.(?=\d{1,2}[.)]\s?[A-Za-z])"  # "effusion.2.No"
    r"|(?<=[a-z\d.,;])\s(?=\(?(?:\d{1,2}[-:]|[a-h]\))\s[A-Z])"  # before "2: Small" and "b) Small"
    r"|(?<=none)\s(?=[A-Z][a-z]+:)"  # "Pneumothorax: none Effusion: small"
    r"|(?=[•●▪◦·‣])"
    r"|(?=(?<=\s)[A-Z][A-Z/& ]{2,40}:)"  # before "HEART:"
    rf"|(?=(?<!\b[Aa]nd\s)(?<![&/,]\s)(?<=\s)(?i:{_HEADING}(?:\s?(?:/|&|and)\s?{_HEADING})?):)"
)
#: Words that end no line and begin none: a break beside them only wraps it.
_NO_END = re.compile(
    r"(?:\b"
    + _one_of(
        "a, an, the, of, no, or, and, nor, with, without, in, on, at, to, for, from, by, is, are, was, were, be, been,"
        "has, have, not, may, any, which, that, than, as, its, this, these"
    )
    + r"|[,(/-])$",
    re.IGNORECASE,
)
_NO_START = re.compile(
    _one_of("or, and, nor, of, in, on, at, to, for, from, by, is, are, was, were, which, that, than, seen") + r"\b"
)
_BULLET = re.compile(r"[-*•●▪◦·‣>]|\(?[#]?\d{1,2}[.):]|[A-Za-z ]{3,30}:")
#: No text is broken into lines narrower than this.
_NARROWEST = 50
#: A sentence under one of these headings is about why or how the picture was taken, not about what it shows.
_NOT_SEEN = re.compile(
    r"\s*"
    + _one_of(
        r"indications?, history, clinical(?: history| information| indication)?,"
        r"reason(?: for (?:the )?exam\w*| for study)?, comparisons?, techniques?, exam(?:ination)?, procedure, views?"
    )
    + r"\s*:",
    re.IGNORECASE,
)
_MARKS = str.maketrans(
    {
        **dict.fromkeys("‘’ʼ`´′", "'"),
        **dict.fromkeys("‐‑‒−", "-"),
        **dict.fromkeys("–—―", "–"),
        **dict.fromkeys("\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", "\n"),
    }  # noqa: RUF001
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences stand: (start, end) in ``text``, in order, without white space at either end.

    Every character but white space is in exactly one of them. A sentence of more than ``MAX_SENTENCE`` words is given
    in pieces.
    """
    plain, places = _single_characters(text)
    cuts = {0, len(plain)}
    cuts.update(match.end() for match in _ENDS.finditer(plain))
    cuts.update(_ended_lines(plain))
    spans = []
    ordered = sorted(cuts)
    for start, end in zip(ordered, ordered[1:], strict=False):
        for piece in _in_pieces(re.finditer(rf"\S{{1,{_MAX_WORD}}}", plain[start:end])):
            begin, stop = places[start + piece[0].start()], places[start + piece[-1].end() - 1] + 1
            begin = max(begin, spans[-1][1]) if spans else begin  # one character that is written as several
            if begin < stop:
                spans.append((begin, stop))
    return spans


def _in_pieces(words: Iterable[re.Match]) -> Iterator[list[re.Match]]:
    """Words in order, in pieces that are not too long: patterns take long for a line without a stop or a blank."""
    piece: list[re.Match] = []
    letters = 0
    for word in words:
        if len(piece) == MAX_SENTENCE or letters + len(word[0]) > _MAX_LETTERS:
            yield piece
            piece, letters = [], 0
        piece.append(word)
        letters += len(word[0])
    if piece:
        yield piece


def _single_characters(text: str) -> tuple[str, list[int]]:
    """The text in compatibility form (NFKC) with plain quotation marks and dashes, and where each character was."""
    letters, places = [], []
    for place, character in enumerate(text):
        for letter in unicodedata.normalize("NFKC", character).translate(_MARKS):
            letters.append(letter)
            places.append(place)
    return "".join(letters), places


def _ended_lines(plain: str) -> Iterator[int]:
    """Places of the line breaks that end a sentence; the others only wrap a long line."""
    lines = plain.split("\n")
    width = max([_NARROWEST, *(len(line.rstrip()) for line in lines)])
    place = 0
    for line, following in zip(lines, lines[1:], strict=False):
        place += len(line) + 1
        here, after = line.strip(), following.strip()
        if not here or not after or _BULLET.match(after):
            yield place
        elif not _NO_END.search(here) and not _NO_START.match(after):
            fitted = len(line.rstrip()) + 1 + len(after.split()[0]) <= width  # it was broken on purpose
            if fitted or (after[0].isupper() and not after.split()[0].rstrip(",.;:").isupper()):
                yield place


# ----------------------------------------------------------------------------------------------- 2. wording

_VISIBLE = _one_of(
    "seen, present, visible, visuali[sz]ed, identified, appreciated, evident, apparent, demonstrated, detected, noted,"
    "discernible, observed, found, shown, depicted, recogni[sz]ed, perceived, recognizable, identifiable, there,"
    "in place, in situ, suspected"
)
_DEGREE = _one_of(
    r"evidence, signs?, of, any, interval, gross, marked, major, clear, real, further, large, radiographic, clinical,"
    r"new, overall, substantial, additional, acute, definite, definitive, obvious, relevant, significant, important,"
    r"notable, dramatic, noteworthy, short-term, short-interval, much, \w+(?:able|ible|ful|ly)"
)
_CHANGE = (
    _one_of(
        "change, increase, decrease, worsening, improvement, progression, regression, difference, alteration,"
        "deterioration, reduction, resolution, clearing, growth"
    )
    + "s?"
)
_OF_WHAT = (
    r"(?: (?:in|of|to|from|with)\b(?: the)?"
    r"(?: (?:size|appearance|extent|degree|amount|position|volume) of(?: the)?)?)?"
)
_NEARLY = _one_of(
    "nearly, almost, mostly, largely, partially, partly, incompletely, virtually, essentially, near,"
    "not(?: yet| quite)?(?: fully| completely| entirely| totally)?"
)
_DEVICE_WORDS = "tubes?|lines?|catheters?|drains?|picc|pacemakers?|ports?|leads?"
_GONE = r"(?:resolved|cleared|disappeared|re-?absorbed|vanished)"
_OUT = r"(?:excluded|ruled out)"
_HARD = (
    r"(?:difficult|hard|impossible|not possible|unable|not able|challenging|tough) to (?:\w+ly )?(?:exclude|rule out)"
)
_POINTS_TO = _one_of(
    r"to (?:\w+ly )?(?:suggest|indicate|represent|support|confirm|imply|raise \w+ (?:of|for)), suggesting,"
    r"suggestive (?:of|for), suspicious (?:of|for), concerning for, worrisome for, indicative of, indicating,"
    r"suspicion (?:of|for), concerns? (?:of|for|about), compatible with, consistent with, typical (?:of|for),"
    r"diagnostic (?:of|for), characteristic (?:of|for), representing, convincing (?:of|for), specific for,"
    r"pointing to(?:wards?)?, that (?:would |could |might |may )?(?:suggests?|indicates?|represents?|be \w+ for),"
    r"suspected, suspect"
)
_EARLIER = _one_of("prior, previous, earlier, comparison, last, older, outside, most recent, recent")
_FINDING = _one_of(
    "pneumothora(?:x|ces), effusions?, consolidations?, edema, opacit(?:y|ies), infiltrates?, pneumonia, atelectasis,"
    "fractures?, disease, process, abnormality, normal, clear, limits"
)
_ANOTHER = _one_of(
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
        rf"\b(?:(?:was|were|is|are) )?not (?:\w+ly )?{_VISIBLE} (?:on|in|at) (?:the |her |his |any )?{_EARLIER}\b",
        "is new since the prior",
    ),
    (rf"\b(?:(?:was|were|is|are) )?not (?:\w+ly )?{_VISIBLE} (?:previously|before|earlier)\b", "is new"),
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
    (rf"\b((?:{_DEVICE_WORDS}) )removal\b", r"\1been removed"),
    (rf"\bno longer (?:\w+ly )?{_VISIBLE}\b", "nolonger"),
    (r"\bno longer (?:(?:appears?|looks?|seems?|is|are) )?(?=enlarged|wid|prominent|abnormal|increased)", "not "),
    (r"\bno longer (?=large|loculated|moderate|increas|grow|expand|tension|severe|as )", "improved "),
    (r"\bno longer\b", "nolonger"),
    (r"\bno more\b", "no"),
    (rf"\b(?:can |could )?not (?:be )?(?:\w+ly )?{_VISIBLE} (?:any longer|any ?more|now)\b", "nolonger"),
    (rf"\b(?:can|could) not (?:\w+ly )?be (?:\w+ly )?{_VISIBLE}\b", "isdenied"),
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
    (rf"\b({_FINDING} (?:is|are) {_VISIBLE}) (?={_ANOTHER}\b(?! (?:or|nor)\b)(?!$))", r"\1 ; "),
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
_DEVICES = _one_of("lines?, tubes?, devices?, hardware, catheters?, drains?")
_DEVICE_HEADING = re.compile(
    rf"^(?:(?:support|medical|monitoring) )?{_DEVICES}"
    rf"(?:(?: / |, | and | & |,? and )(?:support )?{_DEVICES})*\s*: ?(?!isdenied)"
)


def plain_wording(sentence: str) -> str:
    """The sentence in lower case with single blanks, short forms written out and ``REWRITTEN`` applied."""
    plain, _ = _single_characters(sentence)
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


# ----------------------------------------------------------------------------------------------- 3. statements

_DENIES = re.compile(
    r"\b"
    + _one_of(
        r"no, not, without, negative, free of, clear of, absent, absence, lack of, nor, neither, nolonger, never,"
        r"isdenied, unlikely, rather than, resolved, been removed, removal of, resolution of, notexcluded, isdoubted,"
        r"may, might, could, possible, possibly, probable, probably, likely, suspected, questionable, suggest\w*,"
        r"suspicious, concerning, versus"
    )
    + r"(?![\w-])"
)
#: Words that begin a finding that is there: nobody denies a "stable" or a "persistent" one.
_SIZES = _one_of(
    "stable, unchanged, small, tiny, trace, minimal, mild, mildly, moderate, moderately, persistent, persisting,"
    "residual, increasing, increased, decreased, decreasing, worsening, worsened, improved, improving, resolving,"
    "known, redemonstrated, again, minor, slight, slightly, moderate-sized, small-to-moderate, severe, marked, healed,"
    "healing, scattered, enlarged, enlarging, new, newly, now, improvement, similar, continued, interval,"
    "extensive, multiple, several, subtle, faint, patchy, bibasilar, basilar, low"
)
#: And those that do so after a comma only.
_SIDES = _one_of("left, right, bilateral, chronic, old, prior, right-sided, left-sided, a, an, there, also, only")
_VERB = _one_of(
    "is, are, was, were, has, have, had, remains?, persists?, appears?, shows?, demonstrates?, measures?, continues?,"
    "ends?, terminates?, projects?, lies, looks?, seems?"
)
_ONLY_SEEN = re.compile(rf"\b{_VERB} (?:been )?(?:not )?(?:\w+ly )?{_VISIBLE}\b")
_HAS_VERB = re.compile(rf"\b{_VERB}\b|\bis(?:denied|doubted)|\bnolonger\b")
_STANDS_ALONE = re.compile(
    rf"(?:[\w-]+ ){{0,3}}(?:{_DEVICE_WORDS}|ngt|ett|wires|tip)\b"
    r"|(?:the )?(?:heart|cardiac silhouette|mediastinum|cardiomediastinal silhouette) (?:is |are |mildly |moderately )*"
    r"(?:enlarged|large|widened|prominent|normal|unremarkable)"
    r"|(?:acute |old |healed )?\w+ (?:of|in) the "
)
_EXCEPT = _one_of(
    "other than, beyond, except(?:ing)?(?: for)?, apart from, aside from, with the exception of, besides,"
    "save for, barring"
)
_SPLIT_ALWAYS = re.compile(
    r"\s*;\s*|\s+(?:–|--|-)\s+|\s*–\s*"  # noqa: RUF001
    rf"|\s+(?={_EXCEPT}\b)"
    r"|(?<!not)[ ,]+(?=only \w+ )"
    rf"|\s*\(\s*(?=[^()]{{0,80}}\b(?:no|not|without)\b)|\s*\(\s*(?={_SIZES} )|\)\s*(?=,|$)|\. "
)
_COMMA = re.compile(r"\s*,\s*(?:and |but |with )?|\s+and\s+")


def statements(sentence: str) -> list[str]:
    """The sentence's statements in plain wording: pieces that a denial or a doubt in another piece does not reach."""
    if _NOT_SEEN.match(sentence):
        return []
    found = []
    for part in _SPLIT_ALWAYS.split(plain_wording(sentence)):
        found += _cut_at_commas(part.strip(" ,"))
    return [part for part in found if part]


def _cut_at_commas(part: str) -> Iterator[str]:
    start = 0
    for match in _COMMA.finditer(part):
        before, after = part[start : match.start()], part[match.end() :]
        if before.strip() and _begins_another(before, match.group(), after):
            yield before.strip(" ,")
            start = match.end()
    yield part[start:].strip(" ,")


def _begins_another(before: str, joint: str, after: str) -> bool:
    """Whether a new statement begins at a comma or "and" between two parts of a sentence."""
    if not (_DENIES.search(before) or _DENIES.search(after)):
        return False  # nothing to keep apart
    if re.match(r"(?:or|nor)\b", after) and not _HAS_VERB.search(before):
        return False
    if re.match(r"(?:it|they|this|these|which|that)\b", after):
        return False  # "the effusion was seen before, it is not seen now"
    if "," in joint and re.match(r"(?:after|following|status post) ", before):
        return True  # "after removal of the tube, a small pneumothorax"
    comma = "," in joint
    piece = re.split(r",|\b(?:but|however|although|though)\b", after, maxsplit=1)[0]  # up to the next joint
    if comma and "versus" in piece and "versus" not in before and not _DENIES.search(before):
        return True  # "opacity, atelectasis versus pneumonia"
    listed = _goes_on_as_list(after)
    if comma and not listed and _DENIES.search(before) and _STANDS_ALONE.match(piece):
        return True  # "no pneumothorax, tube in place", "no effusion, heart enlarged"
    denied_first = re.match(r"(?:no|without|negative|not|free)\b", piece) is not None
    verb = _HAS_VERB.search(piece)
    if _HAS_VERB.search(before) and verb and not denied_first:  # both are whole sentences
        return not (listed and _ONLY_SEEN.search(piece))
    if verb and not _ONLY_SEEN.search(piece) and not listed and not re.search(r"\bisdenied|isdoubted|nolonger", piece):
        if not _DENIES.search(before) or (not comma and verb.group() in ("are", "were", "have")):
            return False  # "heart and mediastinum are normal", "heart size, mediastinum are normal"
        return not denied_first  # "no X, the heart is enlarged"
    if verb and comma and not denied_first:  # "small effusion, pneumothorax is not seen"
        many = re.search(r"\b(?:are|were|have|and|or|nor)\b", piece)
        return bool(re.match(rf"{_SIZES}\b", before.lstrip())) or not (many or _DENIES.search(before))
    return _states_a_finding(after, comma) and not listed


def _states_a_finding(after: str, comma: bool) -> bool:
    """Whether the part begins as a finding that is there: "small effusion", "a persistent pneumothorax"."""
    first = re.sub(r"^(?:an?|the) (?=\S)", "", after).split(" ")[0]
    if re.fullmatch(_SIZES, first):
        return True
    return comma and re.match(rf"{_SIDES}(?:\s|$)|large (?:left|right|bilateral|upper|lower|new)\b", after) is not None


def _goes_on_as_list(after: str) -> bool:
    """Whether a list goes on with "or": "no consolidation, large effusion or pneumothorax"."""
    return re.search(r"\b(?:or|nor)\b", re.split(r"\b(?:but|however|there is|there are)\b", after)[0]) is not None
