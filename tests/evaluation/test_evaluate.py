"""The controls on whole systems: a tiny model, and one that does not look."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_system import TINY, tiny_language, tiny_model, tiny_studies

from r2gen_lib.data.study import by_split
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.controls import score_systems
from r2gen_lib.evaluation.evaluate import RunRecord, evaluate, left_out, save_run, write_reports
from r2gen_lib.evaluation.score_table import format_scores
from r2gen_lib.evaluation.scoring_protocol import AS_HERE, TOGETHER, cut_references, protocol_table
from r2gen_lib.findings.finding import Finding
from r2gen_lib.inference.generate_reports import describe_blank, nearest_reports, pooled_features
from r2gen_lib.metrics.nlg import METRICS, LanguageScorer, score_reports
from r2gen_lib.model.oracle_encoder import with_oracle
from r2gen_lib.model.r2gengpt import R2GenGPT

SENTENCE = "the heart is normal in size ."


class Blind:
    """Stands in for a trained model that writes the same for every picture."""

    preset, device, mode, vision = TINY, torch.device("cpu"), "shallow", None
    tokenizer = tiny_language().tokenizer

    def generate(self, pixel_values: torch.Tensor, **decoding) -> list[str]:
        return [SENTENCE] * len(pixel_values)


def test_a_reader_who_does_not_look_is_marked(tmp_path, shared_meteor):
    """The model writes the constant report: no score of its is above that control, nor above its own shuffle."""
    scores = evaluate(Blind(), tiny_studies(6), [SENTENCE], tmp_path, controls="quick", cut_to=5, min_new_tokens=2)
    for metric in METRICS:
        assert scores.not_above[metric] == ("constant report", "shuffled pictures", "blank picture")
    assert (scores.frame()["Bleu_1 not above"].iloc[1:] == "").all()
    text = format_scores(scores)
    assert "Bleu_4: constant report, shuffled pictures, blank picture" in text
    assert re.search(r"Bleu_1 +\d\.\d+ \[\d\.\d+, \d\.\d+\]\* +\d\.\d+ \[[^]]+\] ", text)
    assert "left out: nearest neighbour: controls=quick" in text and "left out: oracle: needs a model" in text
    assert "95% percentile bootstrap over 6 studies, 1,000 resamples" in text
    told = json.loads((tmp_path / "scores.json").read_text())["settings"]
    assert told["references cut to"] == 5 and told["decoding"] == {"min_new_tokens": 2}
    assert set(pd.read_csv(tmp_path / "reports.csv").reference.str.split().str.len()) <= {4, 5}


@pytest.mark.parametrize("mode", ["shallow", "delta"])
def test_the_nearest_neighbour_has_the_most_similar_picture(mode, empty_cache):
    model, studies = tiny_model(mode), tiny_studies(24)
    train, held_out = by_split(studies, "train"), by_split(studies, "val")
    reports = nearest_reports(model, held_out, train)
    assert list(reports) == [s.id for s in held_out]
    features = {s.id: row for s, row in zip(studies, pooled_features(model, studies).numpy(), strict=True)}
    mean = np.mean([features[s.id] for s in train], axis=0)

    def alike(one, other):
        a, b = features[one.id] - mean, features[other.id] - mean
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert reports == {s.id: max(train, key=lambda other, s=s: alike(s, other)).report for s in held_out}
    assert reports == {s.id: s.report for s in held_out}  # bright pictures find bright ones
    twin = replace(train[0], id="T0-again", report="its twin's")
    assert nearest_reports(model, train[:1], [*train, twin]) == {"T0": "its twin's"}  # not its own
    for none in ([], train[:1]):
        with pytest.raises(DataError, match="expected another one for every study"):
            nearest_reports(model, train[:1], none)


def test_a_tiny_system_is_evaluated_with_all_controls(tmp_path, empty_cache, shared_meteor):
    model, studies = tiny_model(), tiny_studies(12)
    train, held_out = by_split(studies, "train"), by_split(studies, "val")
    scores = evaluate(model, held_out, [s.report for s in train], tmp_path, train_studies=train)
    systems = ["model", "constant report", "shuffled pictures", "blank picture", "nearest neighbour"]
    assert scores.systems == systems and scores.omitted.keys() == {"oracle"}
    assert scores.scores.loc["nearest neighbour", "Bleu_4"] == pytest.approx(1)
    assert "nearest neighbour" in scores.not_above["Bleu_4"]
    assert scores.distinct["blank picture"] == 1 / len(held_out)
    assert describe_blank(model) == pd.read_csv(tmp_path / "reports.csv", keep_default_na=False)["blank picture"][0]


def test_the_oracle_stands_beside_the_model_as_its_upper_bound(tmp_path, shared_meteor):
    """It is told what the pictures were drawn from; here both models are as untrained, and write the same."""
    told = [replace(study, findings=(Finding("Cardiomegaly"),)) for study in tiny_studies(6)]
    oracle = R2GenGPT.from_preset(with_oracle(TINY), language=tiny_language(), device="cpu")
    scores = evaluate(oracle, told, [SENTENCE], tmp_path, oracle=oracle, controls="quick")
    assert scores.systems[-1] == "oracle" and "oracle" not in scores.omitted
    assert scores.scores.loc["oracle", "Bleu_1"] == scores.scores.loc["model", "Bleu_1"]


def test_the_three_steps_stand_alone(tmp_path, shared_meteor):
    """Reports are written, scored and kept one after the other, with whatever was changed between."""
    studies = tiny_studies(6)
    systems = write_reports(Blind(), studies, controls="quick")
    assert list(systems) == ["model", "shuffled pictures", "blank picture"]
    assert left_out("quick").keys() == left_out("all").keys() == {"oracle", "nearest neighbour"}
    assert all(list(texts) == [study.id for study in studies] for texts in systems.values())
    references = {study.id: study.report for study in studies}
    words = {**systems["model"], studies[0].id: references[studies[0].id]}
    scores = score_systems(references, {**systems, "model": words}, [SENTENCE], omitted=left_out("quick"))
    settings = {"section": "findings", "cleaning": "", "tokenizer": "ptb", "references cut to": None}
    save_run(tmp_path, RunRecord(studies, references, words, scores, settings))
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "scores.json", "scores.png", "report.html"}
    told = json.loads((tmp_path / "scores.json").read_text())
    assert told["omitted"] == left_out("quick") and told["settings"]["section"] == "findings"
    assert told["systems"]["model"]["Bleu_1"]["score"] == pytest.approx(scores.scores.loc["model", "Bleu_1"])
    with pytest.raises(DataError, match="controls='some': expected one of all, quick"):
        write_reports(Blind(), studies, controls="some")


def test_references_are_cut_to_the_language_models_tokens():
    tokenizer = tiny_language().tokenizer
    references = {"a": "the heart is normal in size . the lungs are clear .", "b": "the lungs are clear ."}
    cut = cut_references(references, tokenizer, 6)
    assert cut == {"a": "the heart is normal in size", "b": "the lungs are clear ."}
    assert cut_references(references, tokenizer, 60) == references
    with pytest.raises(DataError, match="found 0 tokens, expected 1 or more"):
        cut_references(references, tokenizer, 0)


def test_the_protocol_table_says_how_far_each_setting_moves_each_score(shared_meteor):
    references = {s.id: s.report for s in tiny_studies(6)}
    hypotheses = {i: text.rsplit(" . ", 1)[0] + " ." for i, text in references.items()}
    tokenizer = tiny_language().tokenizer
    table = protocol_table(references, hypotheses, tokenizer, tokens=4, forced=references)
    rows = [AS_HERE, "references cut to 4 tokens", "no tokenizer", "minimum length forced", TOGETHER]
    assert list(table.index) == rows and list(table["moved by"].columns) == list(METRICS)
    assert (table["moved by"].loc[AS_HERE] == 0).all()
    assert dict(table["score"].loc[AS_HERE]) == pytest.approx(score_reports(references, hypotheses))
    cut = cut_references(references, tokenizer, 4)
    moved = LanguageScorer().score(cut, hypotheses)["Bleu_1"] - table["score"].loc[AS_HERE, "Bleu_1"]
    assert table["moved by"].loc["references cut to 4 tokens", "Bleu_1"] == pytest.approx(moved)
    assert table["score"].loc["minimum length forced", "Bleu_4"] == pytest.approx(1)
    assert "minimum length forced" not in protocol_table(references, hypotheses, tokenizer).index


def test_without_a_tokenizer_case_and_punctuation_count(shared_meteor):
    truth, guess = {"a": "The heart is large."}, {"a": "the heart is large"}
    assert score_reports(truth, guess)["Bleu_1"] == pytest.approx(1)
    assert score_reports(truth, guess, tokenizer="none")["Bleu_1"] == pytest.approx(1 / 2)
    with pytest.raises(DataError, match="tokenizer='moses': expected one of ptb, none"):
        LanguageScorer(tokenizer="moses")
