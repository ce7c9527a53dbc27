"""The models that come with the library are those of the recorded runs."""

import pytest
import torch
from underglass import pretrained
from underglass.experiments import pretraining, recorded
from underglass.experiments.plans import PLANS
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.models.gpt import GPT
from underglass.models.parts import evaluating
from underglass.pretrained.files import OWN, own_names

KINDS = {"speeches_gpt": GPT, "speeches_bert": BERTForMaskedLM}
RECORDED = {name: name.replace("speeches", "pretraining") for name in KINDS}
shipped = pytest.mark.parametrize("name", own_names())


def test_there_is_one():
    assert "speeches_gpt" in own_names()
    assert {*own_names()} <= {*KINDS}


@shipped
def test_it_comes_in_float32_and_ready_to_use(name):
    model = pretrained.load(name)
    assert type(model) is KINDS[name]
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@shipped
def test_its_file_is_in_float16(name):
    found = pretrained.load(OWN / name)
    assert {p.dtype for p in found.parameters()} == {torch.float16}
    assert (OWN / name / "model.safetensors").stat().st_size < 6_000_000


@shipped
def test_its_tokenizer_is_the_one_it_was_trained_with(name):
    bpe, trained = pretrained.tokenizer(name), pretraining.tokenizer()
    assert bpe.merges == trained.merges
    assert bpe.special == trained.special


@shipped
def test_it_has_the_loss_that_the_recorded_run_ended_with(name):
    """On the sample of validation that the curve is read off; float16 moves it a little."""
    (run,) = recorded(RECORDED[name]).runs
    ((_, recipe),) = PLANS[RECORDED[name]].runs()
    model = pretrained.load(name)
    with evaluating(model), torch.no_grad():
        found = [float(pretraining.loss(model, batch)) for batch in recipe.validation()]
    assert sum(found) / len(found) == pytest.approx(run.final, abs=0.01)


@shipped
def test_its_card_says_what_it_is(name):
    card = (OWN / name / "README.md").read_text("utf-8")
    model = pretrained.load(name)
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in card
    assert f"python -m underglass.experiments {RECORDED[name]}`" in card
    assert f'pretrained.load("{name}")' in card
    for size in (f"{model.config.num_layers} layers", f"{model.config.d_model} wide"):
        assert size in card


def test_the_masked_models_card_says_how_many_it_finds():
    (run,) = recorded("pretraining_bert").runs
    card = (OWN / "speeches_bert" / "README.md").read_text("utf-8")
    validation, test = (run.outcome["masked"][part]["accuracy"] for part in ("validation", "test"))
    assert (
        f"{validation:.0%}".replace("%", " %") + " of the hidden tokens of the validation" in card
    )
    assert f"and {test:.0%}".replace("%", " %") + " of the test years" in card
