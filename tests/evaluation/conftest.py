from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from r2gen_lib.metrics import nlg as language
from r2gen_lib.metrics.nlg import LanguageScorer

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/tiny_system.py, whatever pytest's import mode


@pytest.fixture(scope="session")
def scorer() -> Iterator[LanguageScorer]:
    """One METEOR process for all tests that don't test the process itself."""
    with LanguageScorer(timeout=300) as one:
        yield one


@pytest.fixture
def shared_meteor(scorer, monkeypatch) -> None:
    """Let every scorer of a test use the session's METEOR, whose start takes seconds."""
    if scorer._meteor is None:
        scorer._meteor = language.start_meteor()
    monkeypatch.setattr(language, "start_meteor", lambda: scorer._meteor)
    monkeypatch.setattr(LanguageScorer, "close", lambda self: None)
