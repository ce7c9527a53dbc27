"""Checks of chapter 06's exercises."""

import math

import torch
from torch import Tensor

from underglass import losses
from underglass.checks.core import Attempt, compare, exercise, require


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@exercise
def perplexity(attempt: Attempt) -> str:
    """(sum of -log p of each batch, number of tokens of each batch) -> perplexity of them all."""
    sums, counts = [12.0, 3.0, 40.0], [4, 3, 10]
    means = [s / n for s, n in zip(sums, counts, strict=True)]
    compare(
        attempt(sums, counts),
        math.exp(55 / 17),
        mistakes={
            "this is the mean of the batches' perplexities: add up losses and tokens first": (
                sum(math.exp(mean) for mean in means) / 3
            ),
            "this is exp of the mean of the batches' means: a token in a small batch would count "
            "more than one in a large batch": math.exp(sum(means) / 3),
            "this is the mean loss: perplexity is exp of it": 55 / 17,
            "the losses are in nats, powers of e: 2 to their mean is too small": 2 ** (55 / 17),
            "the sum is not divided by the number of tokens": math.exp(55.0),
        },
        what="perplexity",
    )
    return "each token counts once, whatever batch it was in."


@exercise
def cross_entropy(attempt: Attempt) -> str:
    """(logits [batch vocab_size], targets [batch]) -> mean of -log softmax(logits)[target]."""
    logits, targets = 2 * _random(4, 5), torch.tensor([3, 0, 1, 3])
    log_p = logits.log_softmax(-1)
    picked = log_p.gather(1, targets[:, None])[:, 0]
    compare(
        attempt(logits, targets),
        -picked.mean(),
        mistakes={
            "the target is a factor: it is a place in the row, to be picked out": (
                -(log_p.sum(-1) * targets).mean()
            ),
            "each log p is multiplied by its target's number: pick by it, do not count with it": (
                -(picked * targets).mean()
            ),
            "this is the mean of log p, which is below 0: a loss has a minus": picked.mean(),
            "this is one loss for each row: their mean is wanted": -picked,
            "this is the sum of the losses: their mean is wanted": -picked.sum(),
            "the mean runs over all classes: divide by the number of targets": -picked.sum() / 20,
            "the logarithm is missing: this is the mean of 1 - p": (1 - picked.exp()).mean(),
            "these logits have not been through a softmax": -logits.gather(
                1, targets[:, None]
            ).mean(),
        },
        what="loss",
    )
    large = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]])
    got = attempt(large, torch.tensor([0, 0]))
    require(
        got.isfinite(),
        "logits of 1000 overflow: subtract the largest one before exp, and keep log and exp "
        "together",
    )
    compare(got, torch.tensor(500.0), what="loss with logits of 1000")
    return "it agrees with the definition, and large logits do not overflow."


@exercise
def gradient(attempt: Attempt) -> str:
    """(logits [batch vocab_size], targets [batch]) -> the gradient of the mean cross-entropy."""
    logits, targets = _random(3, 4), torch.tensor([2, 0, 2])
    p, y = logits.softmax(-1), torch.eye(4)[targets]
    compare(
        attempt(logits, targets),
        (p - y) / 3,
        mistakes={
            "the loss is a mean over the rows: divide by how many there are": p - y,
            "the sign is turned: the gradient points uphill, where the loss grows": (y - p) / 3,
            "this is p alone: 1 is taken off at the target, or nothing would pull it up": p / 3,
            "the mean runs over the rows, not over all entries": (p - y) / 12,
            "this is the derivative of p by its own logit: the loss is the log of p, and of the "
            "target's p only": p * (1 - p) / 3,
            "this is p (1 - p), the derivative of p by its own logit, not that of the loss": (
                p * (1 - p)
            ),
            "this is the derivative by p, -1/p at the target: go on to the logits": (-y / p / 3),
            "p needs a softmax: these are the logits less y": (logits - y) / 3,
        },
        what="gradient",
    )
    return "the probabilities, less 1 at the target, over the number of rows."


@exercise
def token_mean(attempt: Attempt) -> str:
    """(losses [batch seq], counts [batch seq], True where a token counts) -> mean over tokens."""
    values = _random(3, 5).abs()
    mask = torch.arange(5) < torch.tensor([5, 1, 3])[:, None]
    kept = values.where(mask, 0.0)
    total = kept.sum()
    compare(
        attempt(values, mask),
        total / 9,
        mistakes={
            "padding counts below the line: divide by the number of tokens, not of places": (
                total / 15
            ),
            "padding counts, above the line and below it": values.mean(),
            "padding counts above the line": values.sum() / 9,
            "this is the mean of the rows' means: a token of a short row counts more": (
                kept.sum(-1) / mask.sum(-1)
            ).mean(),
            "this is one mean for each row: one number for the batch is wanted": (
                kept.sum(-1) / mask.sum(-1)
            ),
            "this is a sum: divide by how many tokens count": total,
            "this is divided by the number of rows": total / 3,
        },
        what="mean",
    )
    spoiled = values.masked_fill(~mask, math.nan)
    require(
        attempt(spoiled, mask).isfinite(),
        "a number that is not finite in the padding spoils the mean: 0 times NaN is NaN, so "
        "pick with the mask instead of multiplying by it",
    )
    return "every token counts once, and what stands in the padding makes no difference."


@exercise
def info_nce(attempt: Attempt) -> str:
    """(a, b, temperature) -> InfoNCE in both directions; row i of a belongs to row i of b."""
    a, b, t = _random(5, 7), _random(5, 7, seed=1), 0.2
    unit_a, unit_b = (x / x.norm(dim=-1, keepdim=True) for x in (a, b))
    cosines = unit_a @ unit_b.mT

    def both(scores: Tensor) -> Tensor:
        pairs = torch.arange(5)
        return (losses.cross_entropy(scores, pairs) + losses.cross_entropy(scores.mT, pairs)) / 2

    scores = cosines / t
    others = scores.masked_fill(torch.eye(5, dtype=torch.bool), -math.inf)
    without = (others.logsumexp(0) + others.logsumexp(1)).mean() / 2 - scores.diagonal().mean()
    one, other = (losses.cross_entropy(s, torch.arange(5)) for s in (scores, scores.mT))
    compare(
        attempt(a, b, t),
        both(scores),
        mistakes={
            "the positive is left out of the denominator: the sum runs over all columns": without,
            "there is no temperature: cosines lie between -1 and 1, too close to each other": both(
                cosines
            ),
            "the scores are multiplied by the temperature: divide by it": both(cosines * t),
            "the vectors are not made unit length: long ones would win": both(a @ b.mT / t),
            "only the rows of a search: add the other direction, and halve": one,
            "only the rows of b search: add the other direction, and halve": other,
            "the two directions are added: take their mean": one + other,
        },
        what="loss",
    )
    return "every text finds its own among all of the batch, in both directions."


@exercise
def price(attempt: Attempt) -> str:
    """(p [vocab_size], target) -> what the bet p costs when `target` comes: a rule of one's own."""
    p = torch.tensor([0.1, 0.6, 0.3])
    got = attempt(p, 1)
    require(
        isinstance(got, Tensor) and got.shape == (),
        "expected one number, a tensor without axes, so that it can be differentiated",
    )
    require(got.isfinite(), "this price is not finite where every probability is above 0")
    costs = torch.stack([attempt(p, target) for target in range(3)])
    require(not torch.equal(costs[0], costs[1]), "the price does not depend on what came")
    better, worse = attempt(torch.tensor([0.1, 0.8, 0.1]), 1), attempt(p, 1)
    require(better != worse, "the price does not depend on the probability of what came")
    require(
        better < worse,
        "more probability on what came costs more: a price rewards good bets by being low",
    )
    return "a price. Does it make honesty the best policy? Ask `cheapest_bet` to find out."
