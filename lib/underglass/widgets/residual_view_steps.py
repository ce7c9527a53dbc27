"""A trace as ResidualView's data: each step of each token in numbers, checked and packed."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from underglass.models.residual import Trace
from underglass.tokenizers import BPE

CANDIDATES = 4  # of the lens at each step: so many a row of the table has room for
MOVED = 3  # tokens that a step raises most, and as many that it lowers
MOST = 180_000  # bytes of numbers: with the words, and written as text, 300 kB of a page


def read(trace: Any) -> Trace:
    """The trace of one text, of finite numbers, small enough for a page."""
    if not isinstance(trace, Trace):
        raise TypeError(f"trace is a {type(trace).__name__}, expected what residual.trace gives")
    if len(trace.ids) != 1:
        raise ValueError(f"trace is of {len(trace.ids)} texts, expected one: trace(model, ids[:1])")
    if trace.stream.is_meta:
        raise ValueError("trace is on the meta device, expected one with numbers")
    for name in ("stream", "attention", "feed_forward"):
        bad = (~getattr(trace, name).isfinite()).nonzero()
        if len(bad):
            layer, _, position, _ = bad[0].tolist()
            raise ValueError(
                f"trace.{name} is not finite at layer {layer}, position {position}, "
                "expected finite numbers"
            )
    _check_room(trace)
    return trace


def _check_room(trace: Trace) -> None:
    steps = 2 * len(trace.attention) + 1
    room = MOST // (4 * steps * (5 + 2 * CANDIDATES + 3 * 2 * MOVED))
    if trace.ids.shape[1] > room:
        raise ValueError(
            f"trace has {trace.ids.shape[1]} tokens, expected at most {room}: "
            f"each has {steps} steps, and a page shall stay small"
        )


def names_of(tokens: Any, vocab_size: int) -> Sequence[str]:
    """How each token is written; bytes that are no whole character as \\xe2."""
    if isinstance(tokens, BPE):
        ids = range(tokens.vocab_size)
        tokens = [tokens.token(i).decode(errors="backslashreplace") for i in ids]
    if isinstance(tokens, str) or not isinstance(tokens, Sequence):
        kind = type(tokens).__name__
        raise TypeError(f"tokens is a {kind}, expected a BPE or a list of strings, one for each id")
    for i, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"tokens[{i}]={token!r} is not a string")
    if len(tokens) != vocab_size:
        raise ValueError(f"tokens has length {len(tokens)}, expected vocab_size={vocab_size}")
    return tokens


def counts(vocab_size: int) -> tuple[int, int]:
    """How many candidates there are room for, and how many tokens that rise or that fall."""
    return min(CANDIDATES, vocab_size), min(MOVED, vocab_size // 2)


def numbers(
    trace: Trace,
) -> tuple[Integer[Tensor, "step seq _"], Float[Tensor, "step seq _"]]:
    """For each step, the first of which is the embedding, and each token:

    ids: the candidates, the tokens that rise most, those that fall most;
    numbers: `_geometry`, `_of_next`, the candidates' probabilities, then those of what rises
        before the step, and after it, and of what falls.
    """
    candidates, moved = counts(trace.model.config.vocab_size)
    following = torch.cat([trace.ids[0, 1:], trace.ids.new_full((1,), -1)]).cpu().long()
    ids, found, before = [], [], None
    for x, added in _steps(trace):
        logits = trace.lens(x).double().cpu()
        after = logits.softmax(dim=-1)
        before = after if before is None else before
        top = after.topk(candidates, dim=-1)
        ways = [((after - before) * sign).topk(moved, dim=-1).indices for sign in (1, -1)]
        ids.append(torch.cat([top.indices, *ways], dim=-1))
        both = [p.gather(1, way) for way in ways for p in (before, after)]
        shape, scores = _geometry(x.double().cpu(), added.double().cpu()), (logits, after)
        found.append(torch.cat([shape, _of_next(*scores, following), top.values, *both], dim=-1))
        before = after
    return torch.stack(ids), torch.stack(found)


def _steps(trace: Trace) -> Iterator[tuple[Tensor, Tensor]]:
    """The stream after each step, and what the step added: at first the embedding, to nothing."""
    yield trace.stream[0, 0], trace.stream[0, 0]
    for layer, between in enumerate(trace.between):
        yield between[0], trace.attention[layer, 0]
        yield trace.stream[layer + 1, 0], trace.feed_forward[layer, 0]


def _geometry(x: Tensor, added: Tensor) -> Tensor:
    """How long the stream is, how long what was added, and the cosine of it and the stream before
    (0 where one of them has no direction)."""
    before = x - added
    both = before.norm(dim=-1) * added.norm(dim=-1)
    cosine = (before * added).sum(dim=-1) / both.where(both > 0, torch.inf)
    return torch.stack([x.norm(dim=-1), added.norm(dim=-1), cosine], dim=-1)


def _of_next(logits: Tensor, probabilities: Tensor, following: Tensor) -> Tensor:
    """Probability and rank of the token that comes next; NaN where the text ends."""
    column = following.clamp(min=0)[:, None]
    rank = 1 + (logits > logits.gather(1, column)).sum(dim=-1, keepdim=True)
    both = torch.cat([probabilities.gather(1, column), rank], dim=-1)
    return both.masked_fill(following[:, None] < 0, torch.nan)
