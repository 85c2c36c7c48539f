from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.tokenizer import ptbtokenizer
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from r2gen_lib.data.readers.openi import load_openi_reports
from r2gen_lib.errors import DataError, JavaError
from r2gen_lib.metrics.java import find_java
from r2gen_lib.metrics.nlg import METRICS, TOKENIZERS, LanguageScorer, score_reports, start_meteor, tokenize

REFERENCES = {
    "a": "The heart is mildly enlarged. There is a small left pleural effusion.",
    "b": "The lungs are clear. No pneumothorax or pleural effusion.",
    "c": "Stable right upper lobe granuloma; the heart size is normal.",
}
HYPOTHESES = {
    "c": "The heart size is normal. The lungs are clear.",
    "a": "The heart is enlarged. There is a moderate left effusion.",
    "b": "The lungs are clear. No pneumothorax or pleural effusion.",
}


@pytest.fixture(scope="module")
def real_pairs() -> tuple[dict[str, str], dict[str, str]]:
    """60 real reports, and for each the report of another study."""
    studies = load_openi_reports()[:60]
    references = {study.id: study.report for study in studies}
    others = studies[1:] + studies[:1]
    return references, {study.id: other.report for study, other in zip(studies, others, strict=True)}


@pytest.fixture
def java_on_path(monkeypatch):
    """pycocoevalcap's own classes call the plain command ``java``."""
    monkeypatch.setenv("PATH", f"{find_java().parent}{os.pathsep}{os.environ.get('PATH', '')}")


def test_the_same_report_scores_one(scorer):
    scores = scorer.score(REFERENCES, REFERENCES)
    assert list(scores) == list(METRICS)
    assert all(type(value) is float for value in scores.values())
    for metric in METRICS[:6]:
        assert scores[metric] == pytest.approx(1, abs=1e-9), metric
    assert scores["CIDEr"] == pytest.approx(10)


def test_ids_pair_the_reports_not_their_order(scorer):
    scores = scorer.score(REFERENCES, HYPOTHESES)
    assert scores == scorer.score(REFERENCES, {i: HYPOTHESES[i] for i in REFERENCES})
    each = scorer.score_each(REFERENCES, HYPOTHESES)
    assert list(each.index) == ["a", "b", "c"] and list(each.columns) == list(METRICS)
    assert each.loc["b", "ROUGE_L"] == 1 and each.loc["a", "ROUGE_L"] < 1
    assert each["ROUGE_L"].mean() == pytest.approx(scores["ROUGE_L"])
    assert each["CIDEr"].mean() == pytest.approx(scores["CIDEr"])


def test_tokens_are_those_of_pycocoevalcap(real_pairs, java_on_path):
    """Ours sends text through pipes, theirs through a file in site-packages: the words must be the same."""
    if not os.access(Path(ptbtokenizer.__file__).parent, os.W_OK):
        pytest.skip("pycocoevalcap's own tokenizer needs a writable site-packages")
    texts = [*real_pairs[0].values(), 'Says "normal" (see 3.5 cm) -- it\'s {stable}; café?! 50% / 1/2 a-b']
    theirs = PTBTokenizer().tokenize({n: [{"caption": text}] for n, text in enumerate(texts)})
    assert tokenize(texts) == [theirs[n][0] for n in range(len(texts))]


def test_meteor_is_that_of_pycocoevalcap(scorer, real_pairs, java_on_path):
    references, hypotheses = ({i: texts[i] for i in list(texts)[:15]} for texts in real_pairs)
    keys = list(references)
    tokens = tokenize([*references.values(), *hypotheses.values()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        theirs = Meteor()
        total, each = theirs.compute_score(
            {i: [tokens[n]] for n, i in enumerate(keys)},
            {i: [tokens[n + len(keys)]] for n, i in enumerate(keys)},
        )
        for pipe in (theirs.meteor_p.stdout, theirs.meteor_p.stderr):
            pipe.close()
        del theirs
    assert scorer.score(references, hypotheses)["METEOR"] == total
    np.testing.assert_array_equal(scorer.score_each(references, hypotheses)["METEOR"], each)


def test_text_that_breaks_lines_or_the_protocol_stays_in_its_place(scorer):
    texts = ["One\nline\r\nof\u2028text\x85and\x0cmore", "", "a ||| b", "...", "\0", "Last é — line"]
    tokens = tokenize(texts)
    assert tokens[0] == "one line of text and more"
    assert tokens[1] == tokens[3] == tokens[4] == ""
    assert tokens[5].startswith("last é") and len(tokens) == 6
    assert tokenize([]) == []
    assert tokenize(["", "", "a", ""]) == ["", "", "a", ""]
    scores = scorer.score({"a": "x ||| y", "b": "heart\nlarge"}, {"a": "||| |||", "b": "heart large"})
    assert 0 < scores["METEOR"] < 1
    assert scorer.score(REFERENCES, REFERENCES)["METEOR"] == 1  # METEOR still answers line for line


def test_any_printable_character_keeps_its_line(scorer):
    texts = ["".join(map(chr, range(start, start + 64))) for start in range(32, 0x3000, 64)]
    texts += ["😀 lungs 肺 clear", "\ufeffheart", "a\u200bb", "\ud800 alone"]
    texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    assert len(tokenize(texts)) == len(texts)


@pytest.mark.parametrize("half", ["\ud83d", "\ude00", "\ude00\ud83d", "\udfff"])
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_half_a_character_is_one_error_that_names_the_study_and_starts_nothing(half, tokenizer, no_java_starts):
    text = f"The heart {half} is large."
    words = rf"study b: found half a character \(U\+{ord(half[0]):04X}.*at place 10 of the text, in 'The heart .*Mend"
    with pytest.raises(DataError, match=f"references: {words}"):
        score_reports({**REFERENCES, "b": text}, HYPOTHESES, tokenizer=tokenizer)
    with LanguageScorer(tokenizer=tokenizer) as own:
        for score in (own.score, own.score_each, own.study_scores):
            with pytest.raises(DataError, match=f"hypotheses: {words}"):
                score(REFERENCES, {**HYPOTHESES, "b": text})
    with pytest.raises(DataError, match=r"texts\[1\]: found half a character"):
        tokenize(["heart", text])


@pytest.fixture
def no_java_starts(monkeypatch):
    monkeypatch.setattr("r2gen_lib.metrics.nlg.JavaProgram", None)


@pytest.mark.parametrize("nothing", [None, float("nan"), 3])
def test_what_is_no_text_is_one_error_that_names_the_study(nothing, no_java_starts):
    with pytest.raises(DataError, match=rf"hypotheses: study b: found {type(nothing).__name__} .* expected text"):
        score_reports(REFERENCES, {**HYPOTHESES, "b": nothing})
    with pytest.raises(DataError, match="references: study b: found"):
        score_reports({**REFERENCES, "b": nothing}, HYPOTHESES)


ODD = [
    *map(chr, [*range(32), *range(127, 161), 0xAD, 0x200B, 0x2028, 0x2029, 0x202E, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF]),
    "|", "||", "|||", "||||", "|||||", " ||| ", "😀", "\U0010ffff", "𝔸", "e" + "\u0301" * 300, "\r\n", "SCORE", "EVAL",
    "EXIT", "%s %n", "\\n", "<unk>", "&#10;", "-LRB-",
]  # fmt: skip


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_no_odd_text_disturbs_the_score_of_another(tokenizer, scorer, plain_scorer):
    """Each question to METEOR is a line: a text that broke it would shift the answers of all that follow."""
    own = scorer if tokenizer == "ptb" else plain_scorer
    good, other = "the heart is mildly enlarged", "no pneumothorax or pleural effusion is seen"
    references, hypotheses = {}, {}
    for n, odd in enumerate(ODD):
        references |= {f"odd {n}": good, f"swapped {n}": f"{good} {odd} clear{odd}", f"good {n}": other}
        hypotheses |= {f"odd {n}": f"{good} {odd} clear{odd}", f"swapped {n}": good, f"good {n}": other}
    each = own.score_each(references, hypotheses)["METEOR"]
    assert (each[[f"good {n}" for n in range(len(ODD))]] == each["good 0"]).all() and each["good 0"] > 0.99
    assert (each > 0).all() and (each[[f"odd {n}" for n in range(len(ODD))]] < 1).all()


@pytest.fixture
def plain_scorer():
    with LanguageScorer(tokenizer="none") as own:
        yield own


def test_an_empty_hypothesis_counts_as_an_empty_text_and_is_reported(scorer, shared_meteor):
    message = r"1 of 3 hypotheses are empty \(b\); they are scored as empty texts"
    with pytest.warns(UserWarning, match=message) as caught:
        scores = score_reports(REFERENCES, {**HYPOTHESES, "b": " "})
    assert caught[0].filename == __file__
    each = scorer.score_each(REFERENCES, {**HYPOTHESES, "b": ""})
    assert not each.loc["b"].round(9).any()
    assert scores["ROUGE_L"] == pytest.approx(each["ROUGE_L"].mean())


def test_all_hypotheses_empty_score_nothing(scorer):
    assert all(score < 1e-9 for score in scorer.score(REFERENCES, dict.fromkeys(REFERENCES, "")).values())


def test_differing_ids_are_one_error_that_lists_them():
    with pytest.raises(DataError, match=r"1 have no hypothesis \(c\), 2 have no reference \(x, y\)"):
        score_reports(REFERENCES, {"a": "", "b": "", "x": "", "y": ""})
    with pytest.raises(DataError, match=r"3 have no hypothesis \(a, b, c\), 0 have no reference\. "):
        score_reports(REFERENCES, {})
    many = {str(n): "text" for n in range(100)}
    with pytest.raises(DataError, match=r"100 have no reference \(0, 1, 2, 3, 4, \.\.\.\)"):
        score_reports(REFERENCES, {**HYPOTHESES, **many})
    with pytest.raises(DataError, match="found no study"):
        score_reports({}, {})


@pytest.mark.parametrize("empty", ["", " \n", "..."])
def test_an_empty_reference_is_one_error(scorer, empty):
    with pytest.raises(DataError, match=r"references: 1 hold no word \(b\)"):
        scorer.score({**REFERENCES, "b": empty}, HYPOTHESES)


def test_nothing_is_printed_or_written_and_the_locale_changes_nothing(scorer, monkeypatch, capfd, real_pairs):
    """Under decimal commas METEOR cannot read back the numbers it wrote, unless told otherwise."""
    expected = scorer.score(*real_pairs)
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=de -Duser.country=DE -Dfile.encoding=ISO-8859-1")
    monkeypatch.setenv("LC_ALL", "C")
    folder = Path(ptbtokenizer.__file__).parents[1]
    before = sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score_reports(*real_pairs) == expected
        assert tokenize(["café 肺"]) == ["café 肺"]
    assert capfd.readouterr() == ("", "")
    assert sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts) == before


def test_a_meteor_that_was_killed_is_one_error_and_the_next_is_new():
    with LanguageScorer() as scorer:
        scorer._meteor = start_meteor()
        scorer._meteor._process.kill()
        with pytest.raises(JavaError, match=r"study a, .* have 12 and 10 words: METEOR: the Java program .* stopped"):
            scorer.score(REFERENCES, HYPOTHESES)
        assert scorer._meteor is None


def test_too_little_time_is_one_error():
    with pytest.raises(JavaError, match="no answer within 0.01 seconds"):
        score_reports(REFERENCES, HYPOTHESES, timeout=0.01)
