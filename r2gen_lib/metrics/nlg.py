"""BLEU, METEOR, ROUGE-L and CIDEr, computed as the report-generation papers compute them.

The metrics are those of the COCO caption evaluation (``pycocoevalcap``; Chen et al., arXiv 1504.00325): the
Penn-Treebank tokenizer of Stanford CoreNLP (lower case, punctuation dropped; or no tokenizer, as R2GenGPT's code does),
BLEU-1..4 over the corpus, METEOR 1.5, ROUGE-L with beta 1.2, and CIDEr-D times ten. Its Python code and its two Java
programs are used as they are; only the driving of the Java programs is ours, because the package's own writes temporary
files into ``site-packages``, waits for ever, and depends on the locale. A test holds both to the same numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import pandas as pd
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor import meteor as coco_meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer import ptbtokenizer as coco_tokenizer

from r2gen_lib.environment import give_back_memory
from r2gen_lib.errors import BRACKETS, DataError, JavaError, shown
from r2gen_lib.metrics.bootstrap import StudyScore, mean_score
from r2gen_lib.metrics.corpus_scores import bleu_scores, meteor_score
from r2gen_lib.metrics.java import JavaProgram, half_a_character

#: The names of the scores, in the order papers print them.
METRICS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr")

#: ``"ptb"``: Penn-Treebank tokens in lower case without punctuation, as the COCO evaluation. ``"none"``: what blanks
#: separate, letters and punctuation as they are, as the public R2GenGPT code.
TOKENIZERS = ("ptb", "none")

_SEPARATOR = "|||"  # of METEOR's line format
Answer = TypeVar("Answer")


def score_reports(
    references: Mapping[str, str], hypotheses: Mapping[str, str], timeout: float = 300, *, tokenizer: str = "ptb"
) -> dict[str, float]:
    """Scores of a set of reports against one reference each.

    Args:
        references: study id -> the radiologist's report, whole (cutting references changes every score).
        hypotheses: study id -> the generated report, for the same ids. An empty one counts as an empty text:
            it scores nothing and shortens the corpus; how many there are is said in a warning.
        timeout: seconds that each Java program may take.
        tokenizer: one of ``TOKENIZERS``.

    Returns:
        ``Bleu_1`` .. ``Bleu_4``, ``METEOR``, ``ROUGE_L`` in 0..1 and ``CIDEr`` in 0..10. CIDEr weighs words
        by how few of *these* references hold them: it is 0 for a single study, and not comparable between
        sets of studies.

    Raises:
        DataError: the ids differ, there are none, a reference is empty, a text is none or holds half a character, or an
            unknown tokenizer.
        JavaError: no Java, or it stopped, or it took longer than ``timeout``.
    """
    check_pairs(references, hypotheses)
    _check_texts(references, hypotheses)
    empty = [i for i in references if not hypotheses[i].strip()]
    if empty:
        warnings.warn(
            f"{len(empty)} of {len(references)} hypotheses are empty{shown(empty, frame=BRACKETS)}; they are scored as "
            "empty texts.",
            stacklevel=2,
        )
    with LanguageScorer(timeout, tokenizer) as scorer:
        return scorer.score(references, hypotheses)


class LanguageScorer:
    """Scores several sets of reports with one METEOR process, whose start takes most of its time.

    Use it as a context manager. Nothing is started before it is needed.

    Args:
        timeout: seconds that each Java program may take for one call.
        tokenizer: one of ``TOKENIZERS``.

    Raises:
        DataError: an unknown tokenizer.
    """

    def __init__(self, timeout: float = 300, tokenizer: str = "ptb") -> None:
        if tokenizer not in TOKENIZERS:
            raise DataError(f"tokenizer={tokenizer!r}: expected one of {', '.join(TOKENIZERS)}.")
        self.timeout, self.tokenizer = timeout, tokenizer
        self._meteor: JavaProgram | None = None

    def __enter__(self) -> LanguageScorer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the METEOR process, if it was started."""
        if self._meteor is not None:
            self._meteor.close()
            self._meteor = None

    def score(self, references: Mapping[str, str], hypotheses: Mapping[str, str]) -> dict[str, float]:
        """The scores of the whole set; see ``score_reports``, whose warning is not given here."""
        truth, guess = self._tokens(references, hypotheses)
        return dict(zip(METRICS, map(float, self._score(truth, guess)[0]), strict=True))

    def score_each(self, references: Mapping[str, str], hypotheses: Mapping[str, str]) -> pd.DataFrame:
        """The scores of each report: one row a study id, one column a metric.

        The corpus BLEU is not the mean of the single ones, nor is METEOR; ROUGE-L and CIDEr are.
        """
        each = dict(zip(METRICS, self._score(*self._tokens(references, hypotheses))[1], strict=True))
        return pd.DataFrame(each, index=pd.Index(list(references), name="id"), columns=list(METRICS))

    def study_scores(self, references: Mapping[str, str], hypotheses: Mapping[str, str]) -> list[StudyScore]:
        """The scores as what each study adds to them, for intervals and tests (``evaluation.statistics``).

        Studies are in the order of ``references``. BLEU and METEOR are sums of counts over studies; ROUGE-L and CIDEr
        are means, CIDEr with the document frequencies of all of ``references``.
        """
        truth, guess = self._tokens(references, hypotheses)
        expected, written = ([texts[i][0] for i in truth] for texts in (truth, guess))
        meteor = self._ask_meteor(lambda program: meteor_score(_meteor_statistics(program, truth, guess)))
        rouge, cider = (metric.compute_score(truth, guess)[1] for metric in (Rouge(), Cider()))
        return [*bleu_scores(expected, written), meteor, mean_score("ROUGE_L", rouge), mean_score("CIDEr", cider)]

    def _tokens(
        self, references: Mapping[str, str], hypotheses: Mapping[str, str]
    ) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """References and hypotheses as the metrics want them: id -> [tokens joined by blanks]."""
        check_pairs(references, hypotheses)
        _check_texts(references, hypotheses)
        texts = list(dict.fromkeys([*references.values(), *(hypotheses[i] for i in references)]))
        if self.tokenizer == "ptb":
            known = dict(zip(texts, tokenize(texts, self.timeout), strict=True))
        else:
            known = {text: " ".join(text.split()) for text in texts}
        truth = {i: [known[references[i]]] for i in references}
        _check_words(truth)
        return truth, {i: [known[hypotheses[i]]] for i in references}

    def _score(
        self, truth: Mapping[str, list[str]], guess: Mapping[str, list[str]]
    ) -> tuple[Sequence[float], Sequence[Sequence[float]]]:
        """For the corpus and for each report, in the order of ``METRICS``."""
        corpus, each = Bleu(4).compute_score(truth, guess, verbose=0)
        meteor, meteor_each = self._ask_meteor(lambda program: _meteor(program, truth, guess))
        rouge, rouge_each = Rouge().compute_score(truth, guess)
        cider, cider_each = Cider().compute_score(truth, guess)
        return (*corpus, meteor, rouge, cider), (*each, meteor_each, rouge_each, cider_each)

    def _ask_meteor(self, question: Callable[[JavaProgram], Answer]) -> Answer:
        """Put a question to the METEOR process, started if need be; one that fails is ended."""
        if self._meteor is None:
            self._meteor = start_meteor()
        try:
            with self._meteor.time_limit(self.timeout):
                return question(self._meteor)
        except ValueError as error:
            self.close()
            raise JavaError(f"METEOR: it answered something that is no number ({error}).") from error
        except JavaError:
            self.close()
            raise


def _meteor_statistics(
    program: JavaProgram, truth: Mapping[str, list[str]], guess: Mapping[str, list[str]]
) -> list[str]:
    """METEOR's statistics of each pair, by the line protocol of its ``-stdio`` mode."""
    lines = []
    for i in truth:
        try:
            program.write(_meteor_line("SCORE", *truth[i], guess[i][0]))
            lines.append(program.read_line())
        except JavaError as error:
            words = " and ".join(f"{len(text.split()):,}" for text in (truth[i][0], guess[i][0]))
            raise JavaError(f"study {i}, whose reference and hypothesis have {words} words: {error}") from error
    return lines


def _meteor(
    program: JavaProgram, truth: Mapping[str, list[str]], guess: Mapping[str, list[str]]
) -> tuple[float, list[float]]:
    """METEOR of the corpus and of each report."""
    statistics = _meteor_statistics(program, truth, guess)
    program.write(_meteor_line("EVAL", *statistics))
    *each, corpus = [float(program.read_line()) for _ in range(len(statistics) + 1)]
    return corpus, each


def _meteor_line(command: str, *fields: str) -> str:
    return f" {_SEPARATOR} ".join([command, *(field.replace(_SEPARATOR, "") for field in fields)]) + "\n"


def start_meteor() -> JavaProgram:
    """METEOR 1.5 for English, waiting for lines. Loading its paraphrase table takes seconds.

    Raises:
        JavaError: no Java, or it does not start.
    """
    give_back_memory()  # it wants some
    arguments = ["-Xmx2G", "-jar", coco_meteor.METEOR_JAR, "-", "-", "-stdio", "-l", "en", "-norm"]
    return JavaProgram("METEOR", arguments, Path(coco_meteor.__file__).parent)


def tokenize(texts: Sequence[str], timeout: float = 300) -> list[str]:
    """Each text as lower-case Penn-Treebank tokens joined by blanks, punctuation dropped.

    Args:
        texts: any number, line breaks and empty texts included.
        timeout: seconds the program may take.

    Raises:
        DataError: one is no text or holds half a character.
        JavaError: no Java, it stopped, or it took too long.
    """
    for n, text in enumerate(texts):
        _check_text(f"texts[{n}]", text)
    lines = [" ".join(text.replace("\0", " ").split()) for text in texts]
    arguments = [
        "-cp", coco_tokenizer.STANFORD_CORENLP_3_4_1_JAR, "edu.stanford.nlp.process.PTBTokenizer",
        "-preserveLines", "-lowerCase",
    ]  # fmt: skip
    with JavaProgram("PTB tokenizer", arguments, Path(coco_tokenizer.__file__).parent) as program:
        with program.time_limit(timeout):
            tokenized = program.finish("".join(line + "\n" for line in lines)).split("\n")[:-1]
    if len(tokenized) != len(lines):
        raise JavaError(
            f"PTB tokenizer: {len(tokenized)} lines came back for {len(lines)} texts, so they cannot be told "
            "apart. A text holds a character that breaks lines: remove it, and please report it."
        )
    drop = set(coco_tokenizer.PUNCTUATIONS)
    return [" ".join(word for word in line.split() if word not in drop) for line in tokenized]


def check_pairs(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> None:
    """See that references and hypotheses are about the same studies.

    Raises:
        DataError: the ids differ or there are none; the message lists them.
    """
    unwritten = [i for i in references if i not in hypotheses]
    unknown = [i for i in hypotheses if i not in references]
    if unwritten or unknown:
        raise DataError(
            f"references and hypotheses are of different studies: {len(unwritten)} have no hypothesis"
            f"{shown(unwritten, frame=BRACKETS)}, {len(unknown)} have no reference{shown(unknown, frame=BRACKETS)}. "
            "Score the same ids on both sides: leaving some out changes every score."
        )
    if not references:
        raise DataError("references: found no study, expected at least one. There is nothing to score.")


def _check_texts(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> None:
    """See that both sides are texts that can be written as UTF-8, before the work rather than in a Java program.

    Raises:
        DataError: one is not; the message names the study.
    """
    for i in references:
        _check_text(f"references: study {i}", references[i])
        _check_text(f"hypotheses: study {i}", hypotheses[i])


def _check_text(where: str, text: object) -> None:
    if not isinstance(text, str):
        raise DataError(
            f"{where}: found {type(text).__name__} ({text!r}), expected text. An empty cell of a table is read as nan: "
            "give '' for a report without a word."
        )
    if problem := half_a_character(text):
        raise DataError(f"{where}: {problem}")


def _check_words(truth: Mapping[str, list[str]]) -> None:
    empty = [i for i, texts in truth.items() if not texts[0]]
    if empty:
        raise DataError(
            f"references: {len(empty)} hold no word{shown(empty, frame=BRACKETS)}, expected a report each. Leave these "
            "studies out, on both sides."
        )
