"""The small GPT on the speeches: the same everywhere, and never shown what it is judged by."""

from functools import cache

import pytest
import torch
from refusals import refused
from underglass import data
from underglass.experiments import speeches_gpt
from underglass.experiments.speeches_gpt.reading import BPE, END
from underglass.experiments.speeches_gpt.training import CONFIG, OPTIMIZERS
from underglass.training import fit


@cache
def words(part: str) -> str:
    """The text of a part, out of its ids."""
    texts = speeches_gpt.texts()
    return texts.tokenizer.decode(getattr(texts, part))


def test_every_speech_is_in_one_part_whole():
    speeches = [s for s in data.load("speeches") if s.year >= 1961 and s.spoken and s.annual]
    held_back = {s.text for s in speeches[9::10]}
    training, validation = words("training"), words("validation")
    for speech in speeches:
        assert (speech.text in validation) == (speech.text in held_back)
        assert (speech.text in training) == (speech.text not in held_back)
    assert len(held_back) == 5


def test_the_tokenizer_knows_the_training_part_only():
    speeches, tokenizer = words("training").split(END)[:-1], speeches_gpt.texts().tokenizer
    again = BPE.train(speeches, 512, special=[END], fast=True)
    assert again.merges == tokenizer.merges
    assert tokenizer.vocab_size == CONFIG.vocab_size == 512


def test_seed_alone_decides_weights_and_order():
    first, again, other = (next(iter(speeches_gpt.batches(seed))) for seed in (0, 0, 1))
    assert first.shape == (8, 65)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    states = [speeches_gpt.model(seed).tokens.weight for seed in (0, 0, 1)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_an_epoch_has_every_window_once_and_an_order_of_its_own():
    batches = speeches_gpt.batches(3, rows=61)
    epochs = []
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        epochs.append(torch.cat([*batches]))
    assert len(batches) == len([*batches])
    assert not torch.equal(*epochs)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == sorted(batches.windows.tolist())


def test_validation_is_always_the_same_and_from_all_its_speeches():
    batches = torch.cat([*speeches_gpt.validation()])
    assert torch.equal(batches, torch.cat([*speeches_gpt.validation()]))
    assert batches[:, 1:].numel() == 8192
    text = speeches_gpt.texts().validation
    ends = (text == CONFIG.vocab_size - 1).nonzero().flatten().tolist()
    starts = [0, *ends[:-1]]
    windows = {tuple(row) for row in batches.tolist()}
    for start, end in zip(starts, ends, strict=True):
        inside = text[start:end].unfold(0, 65, 1).tolist()
        assert any(tuple(row) in windows for row in inside)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_trains_every_parameter(name):
    model = speeches_gpt.model(0)
    before = [param.clone() for param in model.parameters()]
    fit(
        model,
        speeches_gpt.batches(0, rows=3),
        speeches_gpt.optimizer(name, model, 0.001),
        loss=speeches_gpt.loss,
        steps=1,
    )
    assert all(not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest():
    model = speeches_gpt.model(0)
    both = speeches_gpt.optimizer("Muon", model, 0.01, weight_decay=0.3)
    assert isinstance(both, list)
    muon, adamw = both
    matrices = {p for block in model.blocks for p in block.parameters() if p.ndim == 2}
    assert {*muon.param_groups[0]["params"]} == matrices
    assert {*adamw.param_groups[0]["params"]} == {*model.parameters()} - matrices
    assert type(adamw).__name__ == "AdamW"
    for group in (*muon.param_groups, *adamw.param_groups):
        assert (group["lr"], group["weight_decay"]) == (0.01, 0.3)


def test_loss_is_that_of_the_next_token():
    model, windows = speeches_gpt.model(0), next(iter(speeches_gpt.validation()))
    logits = model(windows[:, :-1])
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    torch.testing.assert_close(speeches_gpt.loss(model, windows), expected)


def test_what_is_refused():
    model = speeches_gpt.model(0)
    with refused(ValueError, "name='adam': expected one of SGD, momentum, Nesterov, RMSProp"):
        speeches_gpt.optimizer("adam", model, 0.1)
    with refused(ValueError, "lr=-0.1: expected a finite number of at least 0"):
        speeches_gpt.optimizer("Lion", model, -0.1)
    with refused(TypeError, "momentum"):
        speeches_gpt.optimizer("Adam", model, 0.1, momentum=0.9)
    with refused(ValueError, "rows=0: expected at least 1 window in a batch"):
        speeches_gpt.batches(0, rows=0)
