"""Rules that read CheXpert's 14 observations from a report.

``report_statements`` cuts the text into statements in plain wording. Each is read by a spaCy pipeline without a
statistical model: the blank English tokenizer, spaCy's span ruler for the phrases of ``report_phrases``, and negspacy
(NegEx; Chapman et al. 2001) twice: once for negation, once with terms of doubt. medspaCy's ConText was tried in its
place, with its terms and with ours (``benchmarks/labeller_engines.py``): it errs no less, and asks for an older spaCy.

What a rule says is the rule's: on real reports it errs, and ``labeler_quality`` measures how often.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from r2gen_lib.errors import DataError
from r2gen_lib.findings.kinds import KINDS
from r2gen_lib.findings.report_phrases import (
    DOUBTFUL,
    MENTIONS,
    NEGATION_ADDED,
    NEGATION_REMOVED,
    NORMAL,
    OBSERVATIONS,
    OTHER_MEANING,
    UNCERTAINTY,
)
from r2gen_lib.findings.report_statements import statements
from r2gen_lib.findings.sentence_spans import sentence_spans

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Span

_SPANS = "observations"
_NOT_BETWEEN = (
    *"no not without but however although though except normal unremarkable clear".split(),
    *"enlarged enlargement large widened prominent cardiomegaly".split(),
)


class State(IntEnum):
    """What a report says of an observation."""

    NOT_MENTIONED = 0
    ABSENT = 1
    UNCERTAIN = 2
    PRESENT = 3

    @property
    def words(self) -> str:
        """As tables have it, such as "not mentioned"."""
        return self.name.lower().replace("_", " ")


def label_reports(texts: Iterable[str]) -> np.ndarray:
    """What each report says of each observation, by rules.

    The strongest statement of a report holds: present before uncertain before absent. "No Finding" is present if no
    other observation but Support Devices is present or uncertain, else not mentioned; a text without a word says
    nothing, not even that.

    Args:
        texts: reports of any length, in English.

    Returns:
        int8 (studies, 14) of ``State``, columns in the order of ``OBSERVATIONS``.

    Raises:
        DataError: a report is not text.
    """
    rows = [_label_report(text) for text in _checked(texts)]
    return np.array(rows, dtype=np.int8).reshape(-1, len(OBSERVATIONS))


def sentence_labels(text: str) -> list[tuple[str, dict[str, State]]]:
    """Each sentence of a report, as it stands there, with what the rules read from it.

    Returns:
        (sentence, observation -> its strongest state there), in order; see ``located_labels`` for where it stands.

    Raises:
        DataError: not text.
    """
    return [(text[start:end], states) for start, end, states in located_labels(text)]


def located_labels(text: str) -> list[tuple[int, int, dict[str, State]]]:
    """(start, end, observation -> its strongest state there) of each sentence: ``text[start:end]`` is the sentence.

    Raises:
        DataError: not text.
    """
    (checked,) = _checked([text])
    spans = sentence_spans(checked)
    return [(start, end, _strongest(_sentence_statements(checked[start:end]))) for start, end in spans]


def _strongest(found: Iterable[tuple[str, State]]) -> dict[str, State]:
    """Observation -> the strongest of its states."""
    states: dict[str, State] = {}
    for observation, state in found:
        states[observation] = max(states.get(observation, state), state)
    return states


def _checked(texts: Iterable[str]) -> Iterator[str]:
    if isinstance(texts, str):
        raise DataError("texts: found one text, expected several. Put it into a list.")
    for n, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"texts[{n}]: found {type(text).__name__}, expected text. Leave it out or pass ''.")
        yield text


def _label_report(text: str) -> list[State]:
    found = (one for start, end in sentence_spans(text) for one in _sentence_statements(text[start:end]))
    states = dict.fromkeys(OBSERVATIONS, State.NOT_MENTIONED) | _strongest(found)
    others = [state for name, state in states.items() if name not in ("No Finding", "Support Devices")]
    if max(others) < State.UNCERTAIN and any(character.isalpha() for character in text):
        states["No Finding"] = State.PRESENT
    return list(states.values())


@lru_cache(maxsize=50_000)
def _sentence_statements(sentence: str) -> tuple[tuple[str, State], ...]:
    """What one sentence says: (observation, state) of each phrase found. Sentences recur, so they are kept."""
    return tuple(found for statement in statements(sentence) for found in _statements(statement))


@lru_cache(maxsize=50_000)
def _statements(statement: str) -> tuple[tuple[str, State], ...]:
    """What one statement in plain wording says."""
    doc = _reader()(statement)
    spans = list(doc.spans[_SPANS])
    read = (span for span in spans if span.id_ != "other meaning" and not any(_overrules(o, span) for o in spans))
    return tuple((span.label_, _state(span)) for span in read)


def _overrules(other: Span, span: Span) -> bool:
    """Whether a phrase that is not a plain mention overlaps this mention of the same observation."""
    return (
        other.id_ != "mention"
        and span.id_ == "mention"
        and other.label_ == span.label_
        and other.start < span.end
        and span.start < other.end
    )


def _state(span: Span) -> State:
    if span.id_ == "normal" or span._.r2gen_negated:
        return State.ABSENT
    return State.UNCERTAIN if span.id_ == "doubtful" or span._.r2gen_doubted else State.PRESENT


@lru_cache(maxsize=1)
def _reader() -> Language:
    """The pipeline that finds the phrases in a sentence and what is denied and doubted.

    Raises:
        ModuleNotFoundError: spaCy or negspacy is not installed.
    """
    return with_negspacy(phrase_reader(), terms())


def phrase_reader() -> Language:
    """The pipeline that finds the phrases in a statement and knows nothing of denial and doubt."""
    import spacy

    nlp = spacy.blank("en")
    nlp.tokenizer.rules = {}  # no abbreviations: "Mass." is a mass, and no state of the Union
    nlp.add_pipe("sentencizer", config={"punct_chars": ["\n"]})  # NegEx asks for sentences; this is one
    nlp.add_pipe("span_ruler", config={"spans_key": _SPANS}).add_patterns(phrase_patterns())
    return nlp


def with_negspacy(nlp: Language, both: Sequence[Mapping[str, list[str]]]) -> Language:
    """The pipeline with negspacy twice: terms that deny, terms that doubt, as ``terms`` gives them."""
    import negspacy.negation  # noqa: F401 (makes spaCy know "negex")

    for name, words in zip(("r2gen_negated", "r2gen_doubted"), both, strict=True):
        options = {"neg_termset": words, "extension_name": name, "span_keys": [_SPANS]}
        nlp.add_pipe("negex", name=name, config=options)
    return nlp


def terms() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The terms that deny and those that doubt, each in negspacy's four kinds."""
    from negspacy.termsets import termset

    negation = {  # not by termset's own methods, which change the package's terms for everyone
        kind: [term for term in words if term not in NEGATION_REMOVED.get(kind, [])] + NEGATION_ADDED.get(kind, [])
        for kind, words in termset("en_clinical").get_patterns().items()
    }
    return negation, UNCERTAINTY


def phrase_patterns() -> list[dict]:
    """The phrases of ``report_phrases`` and of single findings as patterns of spaCy's span ruler; a pattern's id is the
    phrase's kind."""
    kinds = {"mention": MENTIONS, "normal": NORMAL, "doubtful": DOUBTFUL, "other meaning": OTHER_MEANING}
    patterns = [
        {"label": observation, "id": kind, "pattern": _pattern(phrase)}
        for kind, table in kinds.items()
        for observation, phrases in table.items()
        for phrase in phrases
    ]
    return patterns + [
        {"label": kind.observation, "id": "mention", "pattern": _pattern(phrase)}
        for kind in KINDS
        for phrase in kind.phrases
    ]


def _pattern(phrase: str) -> list[dict]:
    """A phrase in the notation of ``report_phrases`` as spaCy's token pattern."""
    return [_token(word) for word in phrase.split()]


def _token(word: str) -> dict:
    if word == "...":
        return {"LOWER": {"NOT_IN": list(_NOT_BETWEEN)}, "OP": "{0,8}"}
    optional = {"OP": "?"} if word.endswith("?") else {}
    words = word.removesuffix("?").split("|")
    if not any(w.endswith("*") for w in words):
        return {"LOWER": {"IN": words}, **optional}
    regex = "|".join(re.escape(w.removesuffix("*")) + ("" if w.endswith("*") else "$") for w in words)
    return {"LOWER": {"REGEX": f"^(?:{regex})"}, **optional}
