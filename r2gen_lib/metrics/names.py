"""How papers print a score's name."""

from __future__ import annotations

SCORE_WORDS = {"ROUGE_L": "ROUGE-L", **{f"Bleu_{n}": f"BLEU-{n}" for n in range(1, 5)}}


def score_name(name: str) -> str:
    """A score's name as papers print it."""
    return SCORE_WORDS.get(name, name)
