"""Beam search: follow the likeliest few texts at once, instead of the likeliest token each time.

References: Graves (2012), "Sequence Transduction with Recurrent Neural Networks", section 3.1;
Wu et al. (2016), "Google's Neural Machine Translation System", section 7 (length).
Chapter: chapters/10_generation.ipynb
"""

import math
from collections.abc import Collection
from typing import NamedTuple

import torch
from jaxtyping import Bool, Integer
from torch import Tensor, nn

from underglass.generation import prompts
from underglass.generation.loop import generating
from underglass.generation.prompts import Prompt
from underglass.generation.steps import Steps


class Beam(NamedTuple):
    """A text that beam search found.

    Attributes:
        score: log-probability of the new tokens, the stop token included, divided by their number
            to the power of `length_penalty`.
        tokens: the new tokens, without the prompt and without a stop token.
    """

    score: float
    tokens: list[int]


def beam_search(
    model: nn.Module,
    prompt_ids: Prompt,
    max_new_tokens: int,
    *,
    num_beams: int,
    length_penalty: float = 1.0,
    stop: int | Collection[int] = (),
    use_cache: bool = True,
    source_ids: Integer[Tensor, "1 source"] | None = None,
    source_mask: Bool[Tensor, "1 1 source"] | None = None,
) -> list[Beam]:
    """The texts of highest score that come after a prompt, the best first.

    At each step all beams are extended by all tokens, and the `num_beams` likeliest of these go on.
    It ends when no beam can still beat a finished text, taken as long as it is now.

    Args:
        prompt_ids: the tokens of one prompt.
        max_new_tokens: how many to write, at most.
        num_beams: how many texts are followed; 1 is greedy generation.
        length_penalty: 0 compares log-probabilities, which favours short texts; 1 compares their
            mean over the tokens; more favours long texts.
        stop: tokens that end a text.
        use_cache, source_ids, source_mask: as in `generate`.

    Raises:
        ValueError, TypeError, FloatingPointError: as `generate`; or if `num_beams` is not from 1 to
            the size of the vocabulary, or `length_penalty` is not a number.
    """
    rows, alone = prompts.read_prompts(prompt_ids)
    if not alone:
        raise ValueError("prompt_ids is a batch: expected one prompt, for each is searched alone")
    prompts.check_room(model, rows, max_new_tokens)
    vocab_size = prompts.size_of(model, "vocab_size")
    if not 1 <= num_beams <= vocab_size:
        raise ValueError(f"num_beams={num_beams}: expected from 1 to vocab_size={vocab_size}")
    if not math.isfinite(length_penalty):
        raise ValueError(f"length_penalty={length_penalty}: expected a finite number")
    ends = prompts.read_stop(stop, vocab_size)
    with generating(model):
        steps = Steps(
            model,
            rows,
            max_new_tokens,
            use_cache=use_cache,
            source_ids=source_ids,
            source_mask=source_mask,
        )
        return _Search(steps, num_beams, length_penalty, ends).run(len(rows[0]), max_new_tokens)


class _Search:
    """The beams that go on (rows of `steps`, with their log-probabilities) and those that ended."""

    def __init__(
        self, steps: Steps, num_beams: int, length_penalty: float, ends: frozenset[int]
    ) -> None:
        self.steps, self.num_beams, self.ends = steps, num_beams, ends
        self.length_penalty = length_penalty
        self.sums: Tensor = torch.zeros(1)  # the prompt, before the first token
        self.finished: list[Beam] = []

    def run(self, prompt_len: int, max_new_tokens: int) -> list[Beam]:
        for length in range(1, max_new_tokens + 1):
            self._extend(prompt_len, length, last=length == max_new_tokens)
            if self._cannot_improve(length):
                break
        return self.finished

    def _extend(self, prompt_len: int, length: int, *, last: bool) -> None:
        """Each beam by each token: what ends is finished, the best of the others go on."""
        logits = self.steps.logits()
        sums = self.sums.to(logits.device)[:, None] + logits.log_softmax(dim=-1)
        # so many that `num_beams` remain if all stop tokens are among them
        count = min((1 + max(1, len(self.ends))) * self.num_beams, sums.numel())
        best, places = sums.flatten().topk(count)
        rows, tokens = places // sums.shape[1], places % sums.shape[1]
        going_on = []
        for rank, (row, token) in enumerate(zip(rows.tolist(), tokens.tolist(), strict=True)):
            ended = token in self.ends
            if (ended or last) and rank < self.num_beams:
                text = self.steps.ids[row, prompt_len:].tolist() + [token] * (not ended)
                self._finish(float(best[rank]), length, text)
            if not ended:
                going_on.append(rank)
        if not last:
            chosen = torch.tensor(going_on[: self.num_beams], device=best.device)
            self.sums = best[chosen]
            self.steps.select(rows[chosen])
            self.steps.append(tokens[chosen])

    def _finish(self, log_probability: float, length: int, text: list[int]) -> None:
        """Keep it if it is among the best."""
        self.finished.append(Beam(log_probability / length**self.length_penalty, text))
        self.finished.sort(key=lambda beam: -beam.score)
        del self.finished[self.num_beams :]

    def _cannot_improve(self, length: int) -> bool:
        """Whether the best beam, if it ended now, would be worse than every finished text."""
        if len(self.finished) < self.num_beams:
            return False
        return float(self.sums.max()) / length**self.length_penalty <= self.finished[-1].score
