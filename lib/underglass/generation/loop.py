"""Greedy and random generation, token by token.

Reference: Holtzman et al. (2020), "The Curious Case of Neural Text Degeneration", section 2.
Chapter: chapters/10_generation.ipynb
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Integer
from torch import Tensor, nn

from underglass.generation import prompts
from underglass.generation.prompts import Prompts
from underglass.generation.sampling import (
    check_penalty,
    check_sampling,
    draw,
    next_token_logits,
    penalize_repetition,
)
from underglass.generation.steps import Steps
from underglass.models.parts import evaluating


def generate(
    model: nn.Module,
    prompt_ids: Prompts,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: int | Collection[int] = (),
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    source_ids: Integer[Tensor, "batch source"] | None = None,
    source_mask: Bool[Tensor, "batch 1 source"] | None = None,
) -> list[Any]:  # of int, or of such lists
    """The tokens that the model writes after a prompt, or after each prompt of a batch.

    Args:
        model: a GPT, a Llama, a Seq2Seq, or what is called like one of them. While it generates it
            is in eval mode.
        prompt_ids: tokens to go on from, or a batch of such prompts, which may be of unequal
            length. A Seq2Seq goes on from them in its target text.
        max_new_tokens: how many to write, at most.
        temperature: 0 takes the likeliest token each time (greedy); see `next_token_logits`.
        top_k, top_p, min_p: see `keep_top_k`, `keep_top_p` and `keep_min_p`.
        repetition_penalty: see `penalize_repetition`.
        stop: tokens that end a text; they are not given out.
        generator: of the random numbers, on the CPU.
        use_cache: remember keys and values; the tokens are the same without, and come later.
        source_ids, source_mask: what a Seq2Seq translates; mask as from `padding_mask`.

    Returns:
        The new tokens, without the prompt: of one prompt a list, of a batch a list of lists.

    Raises:
        ValueError: if a prompt is empty, does not fit into the model together with the new tokens,
            or holds an unknown token; or an argument is out of its range.
        TypeError: if the prompts are not token ids, or the model is not one that generates.
        FloatingPointError: if the model gives NaN.
    """
    rows, alone = prompts.read_prompts(prompt_ids)
    written: list[list[int]] = [[] for _ in rows]
    options: dict[str, Any] = dict(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=stop,
        generator=generator,
        use_cache=use_cache,
        source_ids=source_ids,
        source_mask=source_mask,
    )
    for tokens in _rows(model, rows, max_new_tokens, **options):
        for text, token in zip(written, tokens, strict=True):
            if token is not None:
                text.append(token)
    return written[0] if alone else written


def stream(
    model: nn.Module, prompt_ids: Prompts, max_new_tokens: int, **options: Any
) -> Iterator[Any]:  # of int, or of lists
    """The tokens of `generate`, each as soon as it is there.

    Args:
        options: those of `generate`.

    Yields:
        Of one prompt the next token; of a batch a list of them, None where a text has ended.

    Raises:
        ValueError, TypeError, FloatingPointError: as `generate`; bad input at once, not at the
            first token.
    """
    rows, alone = prompts.read_prompts(prompt_ids)
    steps = _rows(model, rows, max_new_tokens, **options)
    return _firsts(steps) if alone else steps


def _firsts(steps: Iterator[list[int | None]]) -> Iterator[int]:
    for (token,) in steps:
        if token is not None:
            yield token


def _rows(
    model: nn.Module,
    rows: list[list[int]],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: int | Collection[int] = (),
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    source_ids: Tensor | None = None,
    source_mask: Tensor | None = None,
) -> Iterator[list[int | None]]:
    """Check everything now, and give an iterator that does the work."""
    prompts.check_room(model, rows, max_new_tokens)
    check_sampling(temperature, top_k, top_p, min_p)
    check_penalty(repetition_penalty)
    ends = prompts.read_stop(stop, prompts.size_of(model, "vocab_size"))
    with generating(model):
        steps = Steps(
            model,
            rows,
            max_new_tokens,
            use_cache=use_cache,
            source_ids=source_ids,
            source_mask=source_mask,
        )

    def choose() -> Tensor:
        logits = steps.logits()
        if repetition_penalty != 1:
            logits = penalize_repetition(logits, steps.ids, repetition_penalty, mask=steps.mask)
        logits = next_token_logits(
            logits, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
        )
        return logits.argmax(dim=-1) if temperature == 0 else draw(logits, generator)

    def run() -> Iterator[list[int | None]]:
        going_on = [True] * len(rows)
        for _ in range(max_new_tokens):
            with generating(model):
                tokens = choose()
                steps.append(tokens)
            written = tokens.tolist()
            for row, token in enumerate(written):
                going_on[row] &= token not in ends
            if not any(going_on):
                return
            yield [token if on else None for on, token in zip(going_on, written, strict=True)]

    return run()


@contextmanager
def generating(model: nn.Module) -> Iterator[None]:
    """No dropout and no gradients for a while; the model is then as it was."""
    with evaluating(model), torch.no_grad():
        yield
