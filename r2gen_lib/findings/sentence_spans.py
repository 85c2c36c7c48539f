"""Where sentences stand in a report's text.

A full stop ends one; so do a list's number, a bullet, a heading, and a line break that no line's width explains.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

#: Words, and letters, in which one statement is looked for; more without a stop are read in pieces.
MAX_SENTENCE = 200
_MAX_LETTERS, _MAX_WORD = 1000, 100


def one_of(words: str) -> str:
    """A pattern for one of several, given with commas between."""
    return f"(?:{'|'.join(word.strip() for word in words.split(','))})"


_ABBREVIATED = r"(?i:(?<!\bvs)(?<!\bdr)(?<!\bmr)(?<!\bmrs)(?<!\bapprox)(?<!\bresp)(?<!\be\.g)(?<!\bi\.e)(?<!\bcf))"
_HEADING = one_of(
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
    + one_of(
        "a, an, the, of, no, or, and, nor, with, without, in, on, at, to, for, from, by, is, are, was, were, be, been,"
        "has, have, not, may, any, which, that, than, as, its, this, these"
    )
    + r"|[,(/-])$",
    re.IGNORECASE,
)
_NO_START = re.compile(
    one_of("or, and, nor, of, in, on, at, to, for, from, by, is, are, was, were, which, that, than, seen") + r"\b"
)
_BULLET = re.compile(r"[-*•●▪◦·‣>]|\(?[#]?\d{1,2}[.):]|[A-Za-z ]{3,30}:")
#: No text is broken into lines narrower than this.
_NARROWEST = 50
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
    plain, places = single_characters(text)
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


def single_characters(text: str) -> tuple[str, list[int]]:
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
