"""What the picture and the words are worth for the rest of a report."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from tiny_system import REPORTS, tiny_model, tiny_pixels

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.controls import shuffled
from r2gen_lib.evaluation.counterfactual.likelihood import sentence_nats
from r2gen_lib.evaluation.words_or_picture import WORTH, format_worth, worth_by_study, worth_table

TEXTS = [REPORTS["large"], REPORTS["normal"], REPORTS["large"]]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def features(model):
    with torch.no_grad():
        return model.encode(tiny_pixels(3))


def test_the_words_losses_are_those_of_the_report(model, features):
    found = worth_by_study(model, features, TEXTS, given=[0, 2], seed=0).set_index(["given", "study"])
    other = shuffled(["0", "1", "2"], 0)
    wrong = features[[int(other[str(i)]) for i in range(3)]]
    for i, text in enumerate(TEXTS):
        words = text.split()[: model.preset.target.max_tokens - 1]
        with torch.no_grad():
            own, others = (sentence_nats(model, rows[[i]], " ".join(words)).item() for rows in (features, wrong))
            rest = sentence_nats(model, features[[i]], " ".join(words[2:])).item()
            first = sentence_nats(model, features[[i]], " ".join(words[:2])).item()
        assert found.loc[(0, i), "picture"] == pytest.approx(own - others, abs=1e-4)
        given = own - first  # log-likelihood of the rest, the first two words given
        assert found.loc[(2, i), "words"] == pytest.approx(given - rest, abs=1e-4)
        assert found.loc[(2, i), "rest"] == len(words) - 2


def test_without_given_words_there_is_nothing_to_compare(model, features):
    table = worth_by_study(model, features, TEXTS, given=[0])
    assert (table["picture"] == table["picture, no words"]).all() and (table["words"] == 0).all()


def test_pictures_that_are_all_alike_are_worth_nothing(model, features):
    table = worth_by_study(model, features[[0, 0, 0]], TEXTS, given=[0, 4])
    assert table[["picture", "picture, no words"]].abs().max().max() < 1e-4


def test_a_report_counts_where_it_is_longer_than_the_words_given(model, features):
    table = worth_table(worth_by_study(model, features, TEXTS, given=[0, 8]))
    assert table.studies.to_dict() == {0: 3, 8: 1}  # "mild cardiomegaly . left pleural effusion ." has 7 words
    assert {f"{name} low" for name in WORTH} <= set(table) and "another picture" in format_worth(table)


def test_a_mean_counts_words_and_its_interval_studies():
    by_study = pd.DataFrame({"study": range(4), "given": 4, "rest": [1, 1, 1, 9]})
    by_study = by_study.assign(
        **{"picture": [3.0, 3.0, 3.0, 9.0], "picture, no words": 1.5 * by_study.rest, "words": 2.0}
    )
    row = worth_table(by_study).loc[4]
    assert row["picture"] == 18 / 12 and row["picture, no words"] == 1.5 and row["words"] == 8 / 12
    assert row["picture low"] < row["picture"] < row["picture high"] and row["picture, no words low"] == pytest.approx(
        1.5
    )
    assert row["taken"] == pytest.approx(0)


@pytest.mark.parametrize(("reports", "given"), [(TEXTS[:2], [0]), (TEXTS, []), (TEXTS, [-1])])
def test_what_cannot_be_is_refused(model, features, reports, given):
    with pytest.raises(DataError, match="expected a report each, and numbers of words from 0 on"):
        worth_by_study(model, features, reports, given)
