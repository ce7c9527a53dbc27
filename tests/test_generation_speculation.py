"""Speculative decoding writes faster, and each text exactly as likely as the large model does."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import test_gpt
import test_llama
import torch
from decoder_cases import F64, scattered
from refusals import refused
from test_generation import seq2seq
from test_generation_sampling import chi_squared
from torch import nn
from torch.testing import assert_close
from underglass.generation import (
    acceptance,
    generate,
    leftover,
    next_token_logits,
    speculation,
    speculative,
)
from underglass.models.baselines import NGram, NGramConfig
from underglass.models.gpt import GPT
from underglass.models.llama import Llama

VOCAB, LENGTH = 3, 3
PROMPT = [1, 2, 0]


def gpt(seed: int, vocab_size: int = VOCAB, **sizes: int) -> GPT:
    torch.manual_seed(seed)
    return scattered(GPT(replace(test_gpt.TINY, vocab_size=vocab_size, **sizes)))


def llama(seed: int, vocab_size: int = VOCAB) -> Llama:
    torch.manual_seed(seed)
    return scattered(Llama(replace(test_llama.TINY, vocab_size=vocab_size)))


def counted(vocab_size: int = VOCAB) -> NGram:
    texts = [[0, 1, 0, 1, 2, 0, 1], [1, 1, 2, 0, 0, 1], [0, 1, 2]]
    return NGram(NGramConfig(vocab_size, order=2)).fit(texts)


def probabilities(model: nn.Module, length: int, **cuts: Any) -> dict[tuple[int, ...], float]:
    """How likely the model alone writes each text: token by token, without a cache."""
    found = {}
    for text in itertools.product(range(VOCAB), repeat=length):
        logits = model(torch.tensor([[*PROMPT, *text]]))[0].detach()
        rows = next_token_logits(logits, **cuts).softmax(dim=-1)[len(PROMPT) - 1 :]
        found[text] = math.prod(float(row[token]) for row, token in zip(rows, text, strict=False))
    return found


# ----------------------------------------------------------------------- the rule


def test_guess_accept_or_draw_again_gives_the_target():
    """In exact numbers: for each token, guessed and accepted, or drawn after a refusal."""
    p, q = torch.rand(2, 5, 7, dtype=F64).pow(3).unbind()
    p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
    accepted = q * acceptance(p, q)
    refused_at_all = 1 - accepted.sum(-1, keepdim=True)
    assert_close(accepted + refused_at_all * leftover(p, q), p)
    assert_close(accepted.sum(-1), torch.minimum(p, q).sum(-1))
    assert (refused_at_all > 0.1).all()  # the two are not much the same


def test_what_only_one_of_both_knows():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.2, 0.8])
    assert acceptance(p, q).tolist() == [1, 1, 0]
    assert_close(leftover(p, q), torch.tensor([0.5, 0.3, 0.0]) / 0.8)


# ----------------------------------------------------------------------- the whole, exactly


class Branches:
    """Chance, replaced by all that it may decide: runs a function once for each way through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(speculation, "_draw", lambda p, _: self._choose(p.tolist()))
        monkeypatch.setattr(speculation, "_happens", lambda p, _: self._choose([1 - p, p]) == 1)

    def _choose(self, chances: list[float]) -> int:
        possible = [i for i, chance in enumerate(chances) if chance > 1e-15]
        if len(self.path) == self.depth:  # new ground: take the first, note the others
            self.open += [[*self.path, i] for i in possible[1:]]
            self.path.append(possible[0])
        chosen = self.path[self.depth]
        self.depth += 1
        self.chance *= chances[chosen]
        return chosen

    def follow(self, run: Callable[[], Any]) -> list[tuple[Any, float]]:
        """What each way gives, and how likely it is."""
        self.open, found = [[]], []
        while self.open:
            self.path, self.depth, self.chance = self.open.pop(), 0, 1.0
            found.append((run(), self.chance))
        return found


PAIRS: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "counted": lambda: (gpt(1), counted()),
    "GPT": lambda: (gpt(2), gpt(3, num_layers=1)),
    "Llama": lambda: (llama(4), counted()),
}


@pytest.mark.parametrize(
    ("make", "num_drafted", "cuts"),
    [
        (PAIRS["counted"], 2, {}),
        (PAIRS["counted"], 1, {"temperature": 0.5, "top_k": 2}),
        (PAIRS["GPT"], 2, {"top_p": 0.8}),
        (PAIRS["Llama"], 5, {"min_p": 0.1}),
    ],
    ids=["two ahead", "one ahead, top-k", "GPT for GPT, top-p", "more than fit, Llama"],
)
def test_every_text_is_as_likely_as_before(monkeypatch, make, num_drafted, cuts):
    """Exactly: all that chance may decide is enumerated, and the chances of a text added up."""
    model, draft = make()
    ways = Branches(monkeypatch).follow(
        lambda: speculative(model, draft, PROMPT, LENGTH, num_drafted=num_drafted, **cuts)
    )
    assert sum(chance for _, chance in ways) == pytest.approx(1)
    chances: dict[tuple[int, ...], float] = defaultdict(float)
    for speculated, chance in ways:
        chances[tuple(speculated.tokens)] += chance
    expected = probabilities(model, LENGTH, **cuts)
    assert {text: chances[text] for text in expected} == pytest.approx(expected, abs=1e-12)
    assert {s.accepted for s, _ in ways} >= {0, 1}  # some guesses failed and some passed


# ----------------------------------------------------------------------- the whole, by chance


def test_texts_are_as_frequent_as_the_model_says():
    """A chi-squared test; 99.9 % quantile for 8 degrees of freedom: 26.1."""
    model, draft, number = gpt(1, num_layers=1), counted(), 1200
    expected = torch.tensor([*probabilities(model, 2, temperature=2.0).values()])
    counts = torch.zeros(VOCAB**2, dtype=F64)
    generator = torch.Generator().manual_seed(1)
    for _ in range(number):
        found = speculative(model, draft, PROMPT, 2, temperature=2.0, generator=generator)
        counts[VOCAB * found.tokens[0] + found.tokens[1]] += 1
    assert (expected * number).min() > 5
    assert chi_squared(counts, expected) < 26.1
    guesses = torch.tensor([*probabilities(Says(draft), 2, temperature=2.0).values()])
    assert chi_squared(number * guesses, expected) > 100  # the draft's texts would not pass


def test_guesses_are_accepted_as_often_as_they_should_be():
    """Of 20,000 with a chance of 0.3, 6,000: within four standard deviations of 65."""
    generator = torch.Generator().manual_seed(1)
    happened = sum(speculation._happens(0.3, generator) for _ in range(20_000))  # pyright: ignore[reportPrivateUsage]
    assert abs(happened - 6000) < 4 * 65
    assert all(speculation._happens(1.0, generator) for _ in range(100))  # pyright: ignore[reportPrivateUsage]
    assert not any(speculation._happens(0.0, generator) for _ in range(100))  # pyright: ignore[reportPrivateUsage]


class Says(nn.Module):
    """An n-gram model, called like a GPT."""

    def __init__(self, counted: NGram) -> None:
        super().__init__()
        self.counted = counted

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        row = ids[0].tolist()
        return torch.stack(
            [self.counted.probabilities(row[: end + 1]).log() for end in range(len(row))]
        )[None]


# ----------------------------------------------------------------------- passes, greedy, stop


def test_a_draft_that_knows_the_model_is_never_refused():
    model = gpt(5, 31)
    found = speculative(model, model, [1, 2], 7, num_drafted=3, generator=seeded(1))
    assert (found.passes, found.drafted, found.accepted) == (2, 5, 5)
    assert len(found.tokens) == 7


def test_greedy_is_what_generate_writes():
    """At temperature 0 nothing is left to chance, whatever the draft guesses."""
    for model, draft in ((gpt(6, 31), gpt(7, 31)), (llama(6, 31), counted(31)), (gpt(6, 31),) * 2):
        expected = generate(model, PROMPT, 8, temperature=0.0)
        for num_drafted in (1, 2, 3, 9):
            found = speculative(model, draft, PROMPT, 8, num_drafted=num_drafted, temperature=0.0)
            assert found.tokens == expected
            assert found.passes + found.accepted == 8
            assert found.drafted >= found.accepted


def test_it_ends_at_a_stop_token_guessed_or_not():
    model = gpt(6, 31)
    free = generate(model, PROMPT, 8, temperature=0.0)
    for place in (0, 1, 3, 7):
        stop = free[place]
        expected = free[: free.index(stop)]
        for draft in (model, gpt(7, 31)):
            found = speculative(model, draft, PROMPT, 8, temperature=0.0, stop=stop)
            assert found.tokens == expected


def test_a_generator_decides_the_text_and_the_models_are_left_as_they_were():
    model, draft = gpt(8, 31).train(), gpt(9, 31).train()
    texts = [speculative(model, draft, [1], 9, generator=seeded(s)).tokens for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert model.training
    assert draft.training


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(num_drafted=0), "num_drafted=0: expected at least 1"),
        (dict(num_drafted=True), "num_drafted=True: expected at least 1"),
        (dict(temperature=-1.0), "temperature=-1.0: expected a finite number"),
        (dict(top_k=0), "top_k=0: expected a whole number of at least 1"),
        (dict(top_p=1.5), "top_p=1.5: expected a share from 0 to 1"),
        (dict(min_p=-0.1), "min_p=-0.1: expected a share from 0 to 1"),
        (dict(stop=31), "stop holds 31: expected numbers from 0 to 30"),
        (dict(max_new_tokens=12), "max_new_tokens=12 do not fit into the model's max_len=11"),
        (dict(max_new_tokens=0), "max_new_tokens=0: expected at least 1"),
        (dict(prompt_ids=[31]), r"prompt_ids\[0\] holds 31"),
        (dict(prompt_ids=[]), "prompt_ids is empty"),
        (dict(prompt_ids=[[1], [2]]), "prompt_ids is a batch: expected one prompt"),
        (dict(draft=gpt(1, 29)), "draft has config.vocab_size=29: expected 31, the tokens"),
        (dict(draft=counted(29)), "draft has config.vocab_size=29: expected 31"),
        (dict(draft=gpt(1, 31, max_len=7)), "draft: a prompt of 1 tokens and max_new_tokens=8"),
    ],
)
def test_values_out_of_range(options, message):
    given: dict[str, Any] = dict(model=gpt(1, 31), draft=gpt(2, 31), prompt_ids=[1])
    with refused(ValueError, message):
        speculative(**{**given, "max_new_tokens": 8, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(draft=7), "draft=7: expected a GPT, a Llama, or a model with probabilities"),
        (dict(draft=seq2seq()), "draft is a Seq2Seq: expected a model without an encoder"),
        (dict(model=seq2seq()), "model is a Seq2Seq: expected a model without an encoder"),
        (dict(model=nn.Linear(2, 3)), "model is a Linear: expected a GPT"),
        (dict(prompt_ids="text"), "prompt_ids='text': expected token ids"),
    ],
)
def test_types_that_cannot_be(options, message):
    given: dict[str, Any] = dict(model=gpt(1, 31), draft=gpt(2, 31), prompt_ids=[1])
    with refused(TypeError, message):
        speculative(**{**given, "max_new_tokens": 8, **options})


@pytest.mark.parametrize("name", ["model", "draft"])
def test_a_model_that_gives_nan(name):
    given: dict[str, Any] = dict(model=gpt(1, 31), draft=gpt(2, 31))
    given[name].norm.weight.data.fill_(float("nan"))
    with refused(FloatingPointError, "the GPT gives NaN as logits after 1 tokens"):
        speculative(**given, prompt_ids=[1], max_new_tokens=1 if name == "model" else 4)
