"""Which engine reads denials best: negspacy (NegEx) or medspaCy's ConText? The evidence for the labeller's choice.

    python benchmarks/labeller_engines.py

Each engine is tried with its own lists of terms and with ours, on the sentence as it stands and on the statements that
``report_statements`` makes of it. Printed: wrong texts of ``tests/cases/labels.txt`` and of the held-back set
beside it, wrong sentences of the 300 that were labelled by hand, macro F1 against the MeSH codes of all Open-i reports
(uncertain as negative, as positive), and CPU seconds for these reports.

ConText is left out where medspaCy cannot be imported. Its package asks for spaCy below 3.8 on Python 3.11 and for
QuickUMLS, so it does not install beside the course; into a folder of its own, for this comparison:

    pip install --no-deps --target /tmp/medspacy medspacy==1.3.1 PyRuSH==1.0.13 PyFastNER==1.0.10 pysbd==0.3.4 \\
        quicksectx==0.4.1 loguru==0.7.3 medspacy-quickumls==3.2 medspacy-unqlite==0.9.8 pysimstring==1.3.0 \\
        unidecode==1.4.0 nltk==3.10.4
    PYTHONPATH=/tmp/medspacy python benchmarks/labeller_engines.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from spacy.language import Language

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import labelled_texts

from r2gen_lib.evaluation import labeler_quality as clinical_quality
from r2gen_lib.findings import report_labeler as clinical_rules
from r2gen_lib.findings import report_phrases as clinical_phrases

KINDS = ("pseudo_negations", "preceding_negations", "following_negations", "termination")
DIRECTION = dict(zip(KINDS, ("PSEUDO", "FORWARD", "BACKWARD", "TERMINATE"), strict=True))


def negspacy_reader(own_terms: bool) -> Language:
    """negspacy, with our terms or with its clinical ones and no doubt."""
    from negspacy.termsets import termset

    its = {kind: list(terms) for kind, terms in termset("en_clinical").get_patterns().items()}
    both = clinical_rules.terms() if own_terms else (its, dict.fromkeys(KINDS, ["zzzz"]))
    return clinical_rules.with_negspacy(clinical_rules.phrase_reader(), both)


def context_reader(own_terms: bool) -> Language:
    """medspaCy's ConText, with our terms as its rules or with its own rules."""
    from medspacy.context import ConText, ConTextRule
    from spacy.tokens import Span

    nlp = clinical_rules.phrase_reader()
    denies, doubts = {"NEGATED_EXISTENCE"}, {"POSSIBLE_EXISTENCE"}
    # A word that ends a denial may begin a doubt ("possible"), and one that ends a doubt may begin a denial ("no").
    # As two rules ConText would keep one of them; so each category ends the other, and only the other words terminate.
    ends = {"NEGATED_EXISTENCE": doubts, "POSSIBLE_EXISTENCE": denies}
    options = {"rules": None, "terminating_types": ends} if own_terms else {"rules": "default"}
    context = ConText(nlp, input_span_type="group", span_group_name="observations", span_attrs=None, **options)
    if own_terms:
        both = dict(zip(("NEGATED_EXISTENCE", "POSSIBLE_EXISTENCE"), clinical_rules.terms(), strict=True))
        begin = {t for kinds in both.values() for kind in KINDS[1:3] for t in kinds[kind]}
        for category, kinds in both.items():
            for kind, words in kinds.items():
                chosen = [word for word in words if kind != "termination" or word not in begin]
                context.add([ConTextRule(word, category, direction=DIRECTION[kind]) for word in chosen])
    for name in ("r2gen_negated", "r2gen_doubted"):
        Span.set_extension(name, default=False, force=True)

    @Language.component(f"medspacy_context_{own_terms}")
    def read(doc):
        doc = context(doc)
        for span in doc.spans["observations"]:
            categories = {modifier.category for modifier in span._.modifiers}
            span._.r2gen_negated = bool(categories & denies)
            span._.r2gen_doubted = bool(categories & doubts)
        return doc

    nlp.add_pipe(f"medspacy_context_{own_terms}")
    return nlp


def as_it_stands(sentence: str) -> list[str]:
    """The sentence as the only statement, in lower case."""
    return [" ".join(sentence.lower().split())]


def row(reader: Language, split: Callable[[str], list[str]]) -> dict[str, float]:
    """What one engine scores."""
    clinical_rules._reader = lambda: reader
    clinical_rules.statements = split
    for cached in (clinical_rules._statements, clinical_rules._sentence_statements):
        cached.cache_clear()
    scores: dict[str, float] = {}
    for name in ("labels.txt", "labels_held_back.txt"):
        cases = labelled_texts.cases(name)
        said = clinical_rules.label_reports(text for text, _ in cases)
        wrong = [
            any(state_of(row_, observation) != state for observation, state in wanted.items())
            for (_, wanted), row_ in zip(cases, said, strict=True)
        ]
        scores[f"wrong of {len(wrong)} ({name})"] = sum(wrong)
    sentences = labelled_texts.real_sentences()
    said = clinical_rules.label_reports(text for text, _ in sentences)
    wrong = [
        any(state_of(row_, name) != wanted.get(name, 0) for name in clinical_phrases.OBSERVATIONS[1:])
        for (_, wanted), row_ in zip(sentences, said, strict=True)
    ]
    scores["wrong of 300 (by hand)"] = sum(wrong)
    for cached in (clinical_rules._statements, clinical_rules._sentence_statements):
        cached.cache_clear()
    started = time.process_time()
    table = clinical_quality.quality_table()
    for policy in ("negative", "positive"):
        scores[f"MeSH macro F1, uncertain {policy}"] = table[f"uncertain as {policy}"]["F1"]["macro"]
    scores["CPU seconds, 3,955 reports"] = time.process_time() - started
    return scores


def state_of(labels, observation: str) -> int:
    """The state of one observation in a row of ``label_reports``."""
    return int(labels[clinical_phrases.OBSERVATIONS.index(observation)])


def main() -> None:
    """Print the table."""
    split = clinical_rules.statements
    engines = {"negspacy": negspacy_reader}
    try:
        import medspacy  # noqa: F401

        engines["ConText"] = context_reader
    except ImportError as error:
        print(f"ConText is left out: medspaCy cannot be imported ({error}).")
    rows = {}
    for name, reader in engines.items():
        for own_terms in (False, True):
            for words, how in (("sentences", as_it_stands), ("statements", split)):
                label = (name, "our terms" if own_terms else "its terms", words)
                rows[label] = row(reader(own_terms), how)
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.names = ["engine", "terms", "reads"]
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
