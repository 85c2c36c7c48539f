from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tiny_system import PROFILE, TINY, tiny_language, tiny_model, tiny_studies

from r2gen_lib import cli
from r2gen_lib.config import get_preset
from r2gen_lib.errors import R2GenError
from r2gen_lib.model.llm import load_language
from r2gen_lib.training.examples import Examples
from r2gen_lib.training.processes import Processes
from r2gen_lib.training.rare_findings.token_weights import token_weights
from r2gen_lib.training.schedule import make_optimizer
from r2gen_lib.training.step import take_step
from r2gen_lib.training.trainer import train

pytestmark = pytest.mark.usefixtures("empty_cache")
REPORT = "the heart is normal in size . left pleural effusion . the lungs are clear ."


def weighed(report, tokenizer, weight=3.0):
    """The words with the weight, the words without."""
    ids = tokenizer(report, add_special_tokens=False).input_ids
    weights = token_weights(tokenizer, report, weight)
    assert len(weights) == len(ids) and set(weights) <= {1.0, weight}
    heavy = [i for i, w in zip(ids, weights, strict=True) if w == weight]
    light = [i for i, w in zip(ids, weights, strict=True) if w == 1]
    return tokenizer.decode(heavy).strip(), tokenizer.decode(light).strip()


def test_words_of_a_sentence_that_names_a_finding_weigh_more():
    heavy, light = weighed(REPORT, tiny_language().tokenizer)
    assert heavy == "left pleural effusion ."
    assert light == "the heart is normal in size . the lungs are clear ."


@pytest.mark.parametrize("report", ["There is no pleural effusion.", "The lungs are clear.", "XXXX.", " "])
def test_a_denied_finding_is_none(report):
    assert weighed(report, tiny_language().tokenizer)[0] == ""


def test_the_language_models_own_tokenizer_splits_words_and_blanks_otherwise(monkeypatch):
    """Real tokens begin with their blank, and real reports lack some."""
    monkeypatch.undo()  # the ordinary cache: the language model is there
    tokenizer = load_language(get_preset("laptop").language, "cpu").tokenizer
    report = "Heart size is normal.  Possible small left pleural effusion.No pneumothorax. Mild cardiomegaly"
    heavy, light = weighed(report, tokenizer)
    assert heavy.split() == "Possible small left pleural effusion. Mild cardiomegaly".split()
    assert light.split() == "Heart size is normal. No pneumothorax.".split()


@pytest.mark.parametrize(
    "sentence",
    [
        "left pleural e\ufb00usion .",  # the ligature ff, as PDFs have it
        "left pleural eﬀusion of ½ cm ²\u2075 \ufdfa .",  # one character that is three letters, one that is eighteen
        "ｌｅｆｔ　ｐｌｅｕｒａｌ　ｅｆｆｕｓｉｏｎ .",  # full width
        "left\u00a0pleural\u2003effusion .",  # blanks of other kinds
        "\u00a8left\u00a8 pleural effusion .",
        "a na\u0131\u0308ve re\u0301sume\u0301 shows left pleural effusion .",  # accents that stand alone
        "\u1100\u1161\u11a8 \uac01 left pleural effusion .",  # Hangul, which NFKC puts together
    ],
)
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "the heart is normal in size . {} the lungs are clear .",
        "\ufb01ne lungs .\n\n {}",
        "normal\u2026 {} clear !",
    ],
)
def test_where_the_rules_read_one_character_as_several_the_sentence_weighs_all_the_same(sentence, around):
    report = around.format(sentence)
    tokenizer = tiny_language().tokenizer
    places = tokenizer(report, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    weights = token_weights(tokenizer, report, 3.0)
    begin = report.index(sentence)
    inside = [begin <= start and end <= begin + len(sentence) for start, end in places]
    dots = [report[start:end] == "." for start, end in places]
    for weight, within, dot, place in zip(weights, inside, dots, places, strict=True):
        assert dot or (weight == 3.0) == within, report[slice(*place)]


def test_a_tokenizer_that_does_not_say_where_tokens_stand_is_refused():
    with pytest.raises(R2GenError, match="finding_weight: SimpleNamespace does not say where"):
        token_weights(SimpleNamespace(is_fast=False), REPORT, 2.0)


def test_the_loss_is_the_weighted_mean():
    model, studies = tiny_model(), tiny_studies()[:2]
    examples = Examples(model, studies, "train", progress=False)
    plain = model(**examples.batch([0, 1]))
    losses = torch.nn.functional.cross_entropy(plain.logits, plain.labels, reduction="none")
    lengths = [int((plain.rows == row).sum()) for row in (0, 1)]
    weights = [[float(1 + row + place % 3) for place in range(length)] for row, length in enumerate(lengths)]
    flat = torch.tensor(sum(weights, []))
    loss = model(**examples.batch([0, 1]), weights=weights).loss
    assert loss.item() == pytest.approx(((losses * flat).sum() / flat.sum()).item(), abs=1e-6)
    assert loss.item() != pytest.approx(plain.loss.item(), abs=1e-3)


def test_one_weight_a_report_token_is_needed():
    model, studies = tiny_model(), tiny_studies()[:2]
    batch = Examples(model, studies, "train", progress=False).batch([0, 1])
    with pytest.raises(R2GenError, match=r"weights: found \[1, 1\], expected one of each report token"):
        model(**batch, weights=[[1.0], [1.0]])


@pytest.mark.parametrize("mask_token_0", [False, True])
def test_accumulated_batches_are_one_batch_with_weights_too(mask_token_0):
    optim, target = replace(TINY.optim, batch_size=8), replace(TINY.target, mask_token_0=mask_token_0)
    found = []
    for size in (8, 3):
        model = tiny_model(optim=optim, target=target).train()
        examples = Examples(model, tiny_studies()[:16], "train", progress=False, finding_weight=5.0)
        sized = replace(optim, batch_size=size)
        found.append(take_step(model, make_optimizer(model, sized), examples, list(range(8)), sized, Processes.alone()))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_run_weighs_what_it_trains_on_and_not_what_it_is_judged_by(tmp_path):
    histories = {}
    for weight in (1.0, 6.0):
        preset = replace(TINY, optim=replace(TINY.optim, finding_weight=weight))
        histories[weight] = train(
            tiny_model(), tiny_studies(), preset, PROFILE, tmp_path / str(weight), progress=False
        ).history
    first = {weight: history.iloc[0] for weight, history in histories.items()}
    assert first[1.0]["val_loss"] == first[6.0]["val_loss"]
    assert first[1.0]["train_loss"] != pytest.approx(first[6.0]["train_loss"], abs=1e-4)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_what_is_no_weight_is_refused(weight):
    with pytest.raises(R2GenError, match="optim.finding_weight: found .* expected a (finite )?number"):
        replace(TINY.optim, finding_weight=weight)


def test_the_command_refuses_it_too(capsys, tmp_path):
    code = cli.main(["train", "--finding-weight", "0", "--profile", "ci", "--out", str(tmp_path / "run")])
    assert code != 0 and "optim.finding_weight: found 0.0, expected a number greater than 0" in capsys.readouterr().err
