"""The speeches of all years, and what is trained on them: split without a leak, judged in full."""

import math
from functools import cache
from typing import Any

import pytest
import torch
from refusals import refused
from underglass import data, losses
from underglass.experiments import pretraining
from underglass.experiments.pretraining import models, reading, scoring
from underglass.experiments.pretraining.recipe import PretrainingRecipe
from underglass.losses.language import IGNORE
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.models.gpt import GPT

TABLES = {
    "gpt": "tokens.weight",
    "bert": "bert.tokens.weight",
    "plain bert": "bert.tokens.weight",
    "lstm": "tokens.weight",
}
PARTS = ("training", "validation", "test")
SMALL: dict[str, Any] = {"d_model": 8, "num_layers": 1, "num_heads": 2}


@cache
def small(kind: str) -> Any:
    return pretraining.model(kind, seed=0, **SMALL).eval()


def rows_of(batch: Any) -> torch.Tensor:
    """The ids that a model would get."""
    return batch[0] if isinstance(batch, tuple) else batch


# The texts ----------------------------------------------------------------------------------------


def test_cleaning_leaves_the_speakers_words():
    text = "The President. My friends, [Laughter] it\u2019s \u201cgood.\u201d [Applause]\n\n\n\n"
    text += "Audience members. Boo!\n\n  The President. Thank you [in 1990].\n\nThe President asks."
    wanted = 'My friends, it\'s "good."\n\nThank you [in 1990].\n\nThe President asks.'
    assert pretraining.clean(text.replace("  The", "The")) == wanted


def test_a_repeated_paragraph_stands_once_and_a_short_one_as_often_as_it_did():
    long = "So much is said in this paragraph that nobody would write it a second time by chance."
    texts = [f"{long}\n\nTHE NAVY\n\nOne.", f"Two.\n\n{long}\n\nTHE NAVY", long]
    kept = ["\n\n".join(own) for own in ([long, "THE NAVY", "One."], ["Two.", "THE NAVY"], [])]
    assert [*pretraining.without_repeats(texts)] == kept
    assert [*pretraining.without_repeats([f"{long}\n\n{long}"])] == [long]


def test_every_speech_is_in_one_part_and_every_year_too():
    split = pretraining.split()
    years = [{document.year for document in part} for part in split]
    assert sum(map(len, split)) == len(data.load("speeches"))
    assert not years[0] & years[1]
    assert not years[0] & years[2]
    assert not years[1] & years[2]
    in_order = sorted(set.union(*years))
    assert sorted(years[1]) == in_order[4::10]
    assert sorted(years[2]) == in_order[9::10]


def test_no_long_paragraph_is_in_two_parts():
    paragraphs = [
        {p for document in part for p in document.text.split("\n\n") if len(p) >= reading.SHORT}
        for part in pretraining.split()
    ]
    assert not paragraphs[0] & paragraphs[1]
    assert not paragraphs[0] & paragraphs[2]
    assert not paragraphs[1] & paragraphs[2]


def test_the_tokenizer_knows_the_training_part_only():
    bpe = pretraining.tokenizer()
    texts = [document.text for document in pretraining.split().training]
    again = reading.BPE.train(texts, 3072, special=[reading.END, reading.MASK], fast=True)
    assert again.merges == bpe.merges
    assert bpe.vocab_size == 3072
    assert bpe.special == {"<|endoftext|>": 3070, "<|mask|>": 3071}


@pytest.mark.parametrize("part", PARTS)
def test_ids_are_the_texts_each_with_its_end(part):
    bpe, documents = pretraining.tokenizer(), getattr(pretraining.split(), part)
    found = pretraining.ids(part)
    assert len(found) == len(documents)
    for own, document in zip(found[:3], documents, strict=False):
        assert own[-1] == 3070
        assert bpe.decode(own[:-1].tolist()) == document.text
    assert pretraining.num_bytes(part) == sum(len(d.text.encode()) for d in documents)


def test_windows_are_the_texts_one_after_the_other():
    rows = pretraining.windows("validation", seq=50)
    text = torch.cat(pretraining.ids("validation"))
    assert rows.shape == (len(text) // 51, 51)
    assert torch.equal(rows.flatten(), text[: rows.numel()])


def test_seed_and_epoch_alone_decide_order_and_hiding():
    rows = pretraining.windows("validation", seq=20)[:40]
    for hidden in (None, 0.3):
        same = [reading.Batches(rows, 8, 3, hidden) for _ in range(2)]
        other = reading.Batches(rows, 8, 4, hidden)
        first, again, unlike = (rows_of([*batches][1]) for batches in (*same, other))
        assert torch.equal(first, again)
        assert not torch.equal(first, unlike)
        same[0].set_epoch(1)
        assert not torch.equal(first, rows_of([*same[0]][1]))
    drawn = torch.cat([rows_of(batch) for batch in reading.Batches(rows, 8, 3)])
    assert sorted(drawn.tolist()) == sorted(rows.tolist())


def test_a_masked_batch_hides_what_it_asks_for():
    rows = pretraining.windows("validation", seq=100)[:40]
    ((corrupted, targets),) = reading.Batches(rows, 40, None, 0.3)
    asked = targets != IGNORE
    assert torch.equal(targets[asked], rows[:, :-1][asked])
    assert torch.equal(corrupted[~asked], rows[:, :-1][~asked])
    assert asked.float().mean() == pytest.approx(0.3, abs=0.03)
    assert (corrupted[asked] == 3071).float().mean() == pytest.approx(0.8, abs=0.05)


# The models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", models.KINDS)
def test_the_seed_decides_the_first_weights(kind):
    first, again, other = (
        dict(pretraining.model(kind, seed=seed, **SMALL).named_parameters())[TABLES[kind]]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_narrow_bert_begins_as_wide_as_the_published_one():
    bert: Any = pretraining.model("bert", d_model=48, num_layers=2, num_heads=4, seed=0)
    tokens, later = bert.bert.tokens.weight, bert.bert.blocks[1].named_parameters()
    matrices = {name: weight for name, weight in later if weight.ndim == 2}
    for name, weight in (matrices | {"tokens": tokens[:, 12:]}).items():
        assert weight.std().item() == pytest.approx(0.02 * 4, rel=0.1), name
    assert not tokens[:, :12].any()
    codes = torch.nn.functional.normalize(bert.bert.positions.weight, dim=-1)
    alike = codes @ codes.T
    assert alike.diagonal(1).min() > alike.diagonal(8).max()


def test_the_first_block_of_a_new_bert_looks_at_the_neighbors():
    """Each head at its own: the token before, the next, the one but last, the one after next."""
    bert: Any = pretraining.model("bert", d_model=192, num_layers=1, num_heads=4, seed=0)
    _, (weights,) = bert.bert(pretraining.windows("validation", 64)[:2], return_weights=True)
    for head, step in enumerate((-1, 1, -2, 2)):
        shares = {s: weights[:, head].diagonal(s, -2, -1).mean().item() for s in range(-4, 5)}
        assert max(shares, key=shares.__getitem__) == step
        assert shares[step] == pytest.approx(0.6, abs=0.05)
    plain: Any = pretraining.model("plain bert", d_model=192, num_layers=1, num_heads=4, seed=0)
    _, (weights,) = plain.bert(pretraining.windows("validation", 64)[:2], return_weights=True)
    assert weights.mean((0, 1)).max() < 0.1


def test_an_unknown_kind_or_optimizer_is_refused():
    with refused(ValueError, "kind='rnn': expected one of gpt, bert, plain bert, lstm"):
        pretraining.model("rnn", seed=0, **SMALL)
    with refused(ValueError, "name='SGD': expected 'Muon' or 'AdamW'"):
        pretraining.optimizer("SGD", small("gpt"), 0.1, 0.0)


@pytest.mark.parametrize("kind", ["gpt", "lstm"])
def test_the_causal_loss_is_that_of_the_library(kind):
    rows = pretraining.windows("validation", seq=30)[:4]
    wanted = losses.causal_lm_loss(small(kind)(rows), rows)
    assert pretraining.loss(small(kind), rows).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_the_masked_loss_is_that_of_the_library():
    rows = pretraining.windows("validation", seq=60)[:4]
    ((corrupted, targets),) = reading.Batches(rows, 4, None, 0.3)
    wanted = losses.masked_lm_loss(small("bert")(corrupted), targets)
    found = pretraining.loss(small("bert"), (corrupted, targets))
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_muon_gets_the_matrices_of_the_blocks_and_adamw_the_rest():
    for kind in ("gpt", "bert"):
        model = pretraining.model(kind, seed=0, **SMALL)
        muon, adamw = pretraining.optimizer("Muon", model, 0.01, 0.1)
        matrices = {p for n, p in model.named_parameters() if ".blocks." in f".{n}" and p.ndim == 2}
        assert {*muon.param_groups[0]["params"]} == matrices
        assert {*adamw.param_groups[0]["params"]} == {*model.parameters()} - matrices


@pytest.mark.parametrize("kind", ["bert", "lstm"])
def test_a_model_that_cannot_write_is_not_asked_for_samples(kind):
    """Before the training, not after it."""
    with refused(ValueError, r"samples_at=\(9,\) with kind='" + kind + "': expected 'gpt'"):
        PretrainingRecipe(kind, 8, 1, 2, 9, 0.01, samples_at=(9,))


# The judgement ------------------------------------------------------------------------------------


def test_every_token_is_judged_once_after_at_least_half_a_window():
    gpt, end = small("gpt"), torch.tensor([3070])
    ids = pretraining.ids("validation")[0][:700]
    found = pretraining.token_losses(gpt, ids)
    text = torch.cat([end, ids])
    for place in (0, 1, 127, 255, 256, 300, 511, 512, 699):
        start = max(0, (place - 128) // 128 * 128)
        with torch.no_grad():
            logits = gpt(text[None, start : place + 1])[0, -1]
        wanted = losses.token_losses(logits, ids[place])
        assert found[place].item() == pytest.approx(wanted.item(), rel=1e-4), place


@pytest.mark.parametrize("length", [1, 100, 128, 256, 257, 384, 385])
def test_a_text_of_any_length_is_judged(length):
    ids = pretraining.ids("validation")[0][:length]
    assert pretraining.token_losses(small("gpt"), ids).shape == (length,)
    assert pretraining.token_losses(small("gpt"), ids).min() > 0


def test_bits_per_byte_are_the_nats_of_all_texts(monkeypatch):
    texts = [pretraining.ids("validation")[0][:40], pretraining.ids("validation")[1][:300]]
    monkeypatch.setattr(reading, "ids", lambda part: texts)
    monkeypatch.setattr(reading, "num_bytes", lambda part: 1000)
    nats = sum(pretraining.token_losses(small("gpt"), ids).sum().item() for ids in texts)
    found = pretraining.bits_per_byte(small("gpt"), "validation")
    assert found == pytest.approx(nats / math.log(2) / 1000)


def test_a_model_that_knows_the_hidden_tokens_finds_them(monkeypatch):
    """A stand-in that is certain of one token finds it, and nothing else."""
    monkeypatch.setattr(reading, "windows", lambda part: torch.arange(40 * 11).view(40, 11) % 50)
    bert = small("bert")

    class Certain(BERTForMaskedLM):
        def forward(self, ids, *_, **__):
            return 30.0 * torch.nn.functional.one_hot(torch.full_like(ids, 7), 3072).float()

    found = pretraining.found_hidden(Certain(bert.bert), "validation")
    places = torch.rand(40, 10, generator=torch.Generator().manual_seed(0)) < 0.15
    sevens = reading.windows("")[:, :-1][places] == 7
    assert 0 < found["accuracy"] < 0.2
    assert found["accuracy"] == int(sevens.sum()) / len(sevens)
    assert found["loss"] == pytest.approx(30 * (1 - found["accuracy"]), rel=1e-3)


def test_a_sample_is_the_same_each_time_and_a_text():
    first, again = (pretraining.sample(small("gpt")) for _ in range(2))
    assert first == again
    assert len(first) > 10


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_a_short_run_tells_what_came_of_it(kind, monkeypatch, tmp_path):
    monkeypatch.setattr("underglass.experiments.pretraining.recipe.VALIDATION_WINDOWS", 2)
    monkeypatch.setattr(scoring, "judge", lambda model: {"judged": type(model).__name__})
    recipe = PretrainingRecipe(
        kind,
        **SMALL,
        steps=2,
        rate=0.01,
        rows=2,
        hidden=0.3 if kind == "bert" else None,
        validations=1,
        samples_at=(2,) if kind == "gpt" else (),
        in_full=True,
    )
    history, diverged, outcome = recipe.run(0, folder=tmp_path)
    assert len(history) == 2
    assert diverged is None
    assert outcome["parameters"] == sum(p.numel() for p in recipe.model(0).parameters())
    assert [*outcome["samples"]] == (["2"] if kind == "gpt" else [])
    assert outcome["judged"] == (GPT if kind == "gpt" else BERTForMaskedLM).__name__
    assert (tmp_path / kind / "model.safetensors").exists()
