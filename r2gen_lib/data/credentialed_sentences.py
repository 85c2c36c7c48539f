"""Hashes of the sentences of credentialed reports: enough to recognise one, too little to read it.

One file in the cache for each lot of studies: its sorted 8-byte hashes. See ``privacy`` for what it is used for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import numpy as np

from r2gen_lib.files import atomic_write, cache_dir, cache_root

MIN_WORDS = 6
#: A sentence that more studies share is a stock phrase.
MAX_STUDIES = 2
_MAX_WORDS = 80
_FOLDER, _HASH = "credentialed", np.dtype("<u8")
_BREAK = re.compile(r"[.!?;:](?![^\W_])|[\"|<>]|'[,)\]}]|\n\s*\n")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m|\\n")
_WORD = re.compile(r"[^\W_]+")


def keep_sentences(reports: Iterable[Iterable[str]]) -> None:
    """Keep the hashes of the studies' sentences in the cache.

    Args:
        reports: the texts of each study.

    Raises:
        CacheError: the cache cannot be written.
    """
    hashes = [h for texts in reports for h in {_hash(words) for text in texts for words in _sentences(text)}]
    distinct, studies = np.unique(np.array(hashes, dtype=_HASH), return_counts=True)
    kept = distinct[studies <= MAX_STUDIES].tobytes()
    path = cache_dir(_FOLDER) / f"{hashlib.sha256(kept).hexdigest()[:16]}.u8"
    if kept and not path.exists():
        with atomic_write(path) as temporary:
            temporary.write_bytes(kept)


def holds_known_sentence(texts: Iterable[str]) -> bool:
    """Whether one of the texts holds a sentence that was kept, in any case, punctuation and wrapping of lines.

    Words may stand before the sentence (an id, a number); after it the text must end or break.
    """
    files = sorted((cache_root() / _FOLDER).glob("*.u8"))
    if not files:
        return False
    runs = (words for text in texts for words in _sentences(text))
    hashes = {_hash(words[i:]) for words in runs for i in range(len(words) - MIN_WORDS + 1)}
    asked = np.array(sorted(hashes), dtype=_HASH)
    return len(asked) > 0 and any(_any_in(asked, np.fromfile(path, dtype=_HASH)) for path in files)


def _any_in(asked: np.ndarray, kept: np.ndarray) -> bool:
    """Whether two sorted arrays of hashes share one."""
    if not len(kept):
        return False
    places = np.searchsorted(kept, asked).clip(max=len(kept) - 1)
    return bool((kept[places] == asked).any())


def _sentences(text: str) -> Iterable[list[str]]:
    """The words of each sentence of at least ``MIN_WORDS``; of a longer run than any sentence, the last words."""
    for part in _BREAK.split(_ESCAPES.sub(" ", text)):
        words = _WORD.findall(part.lower())
        if len(words) >= MIN_WORDS:
            yield words[-_MAX_WORDS:]


def _hash(words: list[str]) -> int:
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest(), "little")
