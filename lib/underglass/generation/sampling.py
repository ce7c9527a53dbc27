"""From logits to one token: what is cut off the distribution, and how the rest is drawn from.

What is cut off gets the logit -inf, which the softmax turns into the probability 0.

References: Fan, Lewis and Dauphin (2018), "Hierarchical Neural Story Generation", section 5.1
(top-k); Holtzman et al. (2020), "The Curious Case of Neural Text Degeneration", section 3.1
(top-p); Nguyen et al. (2024), "Turning Up the Heat: Min-p Sampling", section 3 (min-p);
Keskar et al. (2019), "CTRL", section 4.1 (repetition penalty).
Chapter: chapters/10_generation.ipynb
"""

import math

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor


def keep_top_k(
    logits: Float[Tensor, "*batch vocab_size"], k: int
) -> Float[Tensor, "*batch vocab_size"]:
    """The k likeliest tokens, and those as likely as the k-th.

    Raises:
        ValueError: if k is below 1. A k beyond the vocabulary keeps everything.
    """
    _check_top_k(k)
    kth = logits.topk(min(k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < kth, -math.inf)


def keep_top_p(
    logits: Float[Tensor, "*batch vocab_size"], p: float
) -> Float[Tensor, "*batch vocab_size"]:
    """The fewest likeliest tokens whose probabilities add up to p at least ("nucleus").

    Args:
        p: from 0, which keeps the likeliest token alone, to 1, which keeps everything.

    Raises:
        ValueError: if p is not from 0 to 1.
    """
    _check_share("top_p", p)
    ordered, places = logits.sort(descending=True, stable=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # what the likelier ones add up to
    beyond = before >= p if p < 1 else torch.zeros_like(ordered, dtype=torch.bool)
    beyond[..., 0] = False  # the likeliest always stays
    return logits.masked_fill(beyond.gather(-1, places.argsort(dim=-1)), -math.inf)


def keep_min_p(
    logits: Float[Tensor, "*batch vocab_size"], p: float
) -> Float[Tensor, "*batch vocab_size"]:
    """The tokens that are at least p times as likely as the likeliest.

    Raises:
        ValueError: if p is not from 0 to 1.
    """
    _check_share("min_p", p)
    floor = logits.amax(dim=-1, keepdim=True) + (math.log(p) if p else -math.inf)
    return logits.masked_fill(logits < floor, -math.inf)


def penalize_repetition(
    logits: Float[Tensor, "batch vocab_size"],
    ids: Integer[Tensor, "batch seq"],
    penalty: float,
    *,
    mask: Bool[Tensor, "batch seq"] | None = None,
) -> Float[Tensor, "batch vocab_size"]:
    """Logits of tokens that occurred already, divided by the penalty (multiplied, if negative).

    Args:
        ids: what was there before: the prompt, and what has been generated.
        penalty: above 1 discourages repetition, 1 does nothing, below 1 encourages it.
        mask: True where `ids` counts, False at padding.

    Raises:
        ValueError: if the penalty is not above 0.
    """
    check_penalty(penalty)
    seen = torch.zeros_like(logits, dtype=torch.int64)
    counted = torch.ones_like(ids) if mask is None else mask.to(ids.dtype)
    seen = seen.scatter_add(-1, ids.long(), counted.long()) > 0
    penalized = torch.where(logits > 0, logits / penalty, logits * penalty)
    return penalized.where(seen, logits)


def next_token_logits(
    logits: Float[Tensor, "*batch vocab_size"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Float[Tensor, "*batch vocab_size"]:
    """(logits - max) / temperature, then what top-k, top-p and min-p leave, one after the other.

    Taking the largest logit off changes no probability, and keeps the quotients from overflowing.

    Args:
        temperature: above 1 evens the distribution out, below 1 sharpens it; 0 leaves the likeliest
            token alone (greedy).

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_sampling(temperature, top_k, top_p, min_p)
    if temperature < torch.finfo(logits.dtype).tiny:  # 0, or as good as 0 in this precision
        best = logits.argmax(dim=-1, keepdim=True)  # one, even where two are as likely
        return torch.full_like(logits, -math.inf).scatter(-1, best, 0.0)
    logits = (logits - logits.amax(dim=-1, keepdim=True)) / temperature
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return logits if min_p is None else keep_min_p(logits, min_p)


def draw(
    logits: Float[Tensor, "batch vocab_size"], generator: torch.Generator | None = None
) -> Integer[Tensor, " batch"]:
    """One token for each row, drawn with the probabilities softmax(logits).

    Each row takes one number u from 0 to 1, drawn on the CPU, so that a seed gives the same tokens
    on every device: the token is the first whose probability, added to those before it, exceeds u.
    """
    chances = torch.rand(len(logits), 1, generator=generator, dtype=torch.float64)
    sums = logits.double().softmax(dim=-1).cumsum(dim=-1)
    # times the last sum, which rounding may leave below 1: so there is always such a token
    return torch.searchsorted(sums, chances.to(sums.device) * sums[:, -1:], right=True).squeeze(-1)


def check_sampling(
    temperature: float, top_k: int | None, top_p: float | None, min_p: float | None
) -> None:
    """Raises ValueError if an argument is out of its range."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature={temperature}: expected a finite number of at least 0")
    if top_k is not None:
        _check_top_k(top_k)
    for name, share in (("top_p", top_p), ("min_p", min_p)):
        if share is not None:
            _check_share(name, share)


def _check_top_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"top_k={k}: expected a whole number of at least 1")


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name}={share}: expected a share from 0 to 1")


def check_penalty(penalty: float) -> None:
    """Raises ValueError if it is out of its range."""
    if not 0 < penalty < math.inf:
        raise ValueError(f"repetition_penalty={penalty}: expected a finite number above 0")
