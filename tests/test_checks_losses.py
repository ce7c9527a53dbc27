"""Each exercise of chapter 06: the stub, a solution, and typical mistakes by name."""

import math

import torch
from exercise_kit import assert_exercise
from torch.nn import functional as F
from underglass import checks, losses


def test_perplexity():
    def ratios(sums, counts):
        return [s / n for s, n in zip(sums, counts, strict=True)]

    assert_exercise(
        checks.losses.perplexity,
        stub=lambda sums, counts: ...,
        solution=lambda sums, counts: math.exp(sum(sums) / sum(counts)),
        mistakes={
            "mean of perplexities": (
                lambda s, n: sum(map(math.exp, ratios(s, n))) / len(s),
                "mean of the batches' perplexities",
            ),
            "mean of means": (
                lambda s, n: math.exp(sum(ratios(s, n)) / len(s)),
                "small batch would count",
            ),
            "no exp": (lambda s, n: sum(s) / sum(n), "perplexity is exp of it"),
            "base 2": (lambda s, n: 2 ** (sum(s) / sum(n)), "nats"),
            "sum": (lambda s, n: math.exp(sum(s)), "not divided"),
        },
    )


def _plain(logits, targets):
    p = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return -p.log().gather(1, targets[:, None]).mean()


def test_cross_entropy():
    def log_p(logits):
        return logits.log_softmax(-1)

    def picked(logits, targets):
        return log_p(logits).gather(1, targets[:, None])[:, 0]

    assert_exercise(
        checks.losses.cross_entropy,
        stub=lambda logits, targets: ...,
        solution=F.cross_entropy,
        mistakes={
            "factor": (lambda z, t: -(log_p(z).sum(-1) * t).mean(), "place in the row"),
            "times its number": (lambda z, t: -(picked(z, t) * t).mean(), "do not count with it"),
            "no minus": (lambda z, t: picked(z, t).mean(), "minus"),
            "each row": (lambda z, t: -picked(z, t), "their mean is wanted"),
            "sum": (lambda z, t: -picked(z, t).sum(), "sum of the losses"),
            "over classes": (lambda z, t: -picked(z, t).sum() / z.numel(), "all classes"),
            "no log": (lambda z, t: (1 - picked(z, t).exp()).mean(), "logarithm is missing"),
            "no softmax": (lambda z, t: -z.gather(1, t[:, None]).mean(), "through a softmax"),
            "overflow": (_plain, "overflow"),
        },
    )


def test_gradient():
    def p(logits):
        return logits.softmax(-1)

    def y(logits, targets):
        return torch.eye(logits.shape[1])[targets]

    assert_exercise(
        checks.losses.gradient,
        stub=lambda logits, targets: ...,
        solution=lambda z, t: (p(z) - y(z, t)) / len(z),
        mistakes={
            "sum": (lambda z, t: p(z) - y(z, t), "divide by how many"),
            "sign": (lambda z, t: (y(z, t) - p(z)) / len(z), "sign is turned"),
            "p alone": (lambda z, t: p(z) / len(z), "p alone"),
            "all entries": (lambda z, t: (p(z) - y(z, t)) / z.numel(), "not over all entries"),
            "of p": (lambda z, t: p(z) * (1 - p(z)) / len(z), "target's p only"),
            "of p, a sum": (lambda z, t: p(z) * (1 - p(z)), "not that of the loss"),
            "by p": (lambda z, t: -y(z, t) / p(z) / len(z), "go on to the logits"),
            "no softmax": (lambda z, t: (z - y(z, t)) / len(z), "needs a softmax"),
        },
    )


def test_token_mean():
    def kept(losses_, mask):
        return losses_.where(mask, 0.0)

    assert_exercise(
        checks.losses.token_mean,
        stub=lambda losses_, mask: ...,
        solution=lambda x, m: x[m].mean(),
        mistakes={
            "all places": (lambda x, m: kept(x, m).mean(), "below the line"),
            "no mask": (lambda x, m: x.mean(), "above the line and below"),
            "above": (lambda x, m: x.sum() / m.sum(), "counts above the line"),
            "mean of means": (
                lambda x, m: (kept(x, m).sum(-1) / m.sum(-1)).mean(),
                "mean of the rows' means",
            ),
            "a mean a row": (lambda x, m: kept(x, m).sum(-1) / m.sum(-1), "one mean for each row"),
            "sum": (lambda x, m: kept(x, m).sum(), "this is a sum"),
            "rows": (lambda x, m: kept(x, m).sum() / len(x), "number of rows"),
            "times the mask": (lambda x, m: (x * m).sum() / m.sum(), "NaN"),
        },
    )


def test_info_nce():
    def scores(a, b, t):
        return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).mT / t

    def both(s):
        pairs = torch.arange(len(s))
        return (F.cross_entropy(s, pairs) + F.cross_entropy(s.mT, pairs)) / 2

    def without(a, b, t):
        s = scores(a, b, t)
        others = s.masked_fill(torch.eye(len(s), dtype=torch.bool), -torch.inf)
        return (
            (others.logsumexp(1) - s.diagonal()).mean()
            + (others.logsumexp(0) - s.diagonal()).mean()
        ) / 2

    def rows(s):
        return F.cross_entropy(s, torch.arange(len(s)))

    assert_exercise(
        checks.losses.info_nce,
        stub=lambda a, b, temperature: ...,
        solution=lambda a, b, t: losses.info_nce(a, b, temperature=t),
        mistakes={
            "no positive": (without, "left out of the denominator"),
            "no temperature": (lambda a, b, t: both(scores(a, b, 1)), "no temperature"),
            "times": (lambda a, b, t: both(scores(a, b, 1) * t), "divide by it"),
            "not unit": (lambda a, b, t: both(a @ b.mT / t), "unit length"),
            "rows": (lambda a, b, t: rows(scores(a, b, t)), "rows of a"),
            "columns": (lambda a, b, t: rows(scores(a, b, t).mT), "rows of b"),
            "sum": (lambda a, b, t: 2 * both(scores(a, b, t)), "take their mean"),
        },
    )


def test_price():
    assert_exercise(
        checks.losses.price,
        stub=lambda p, target: ...,
        solution=lambda p, target: -p[target] / p.norm(),
        mistakes={
            "a row": (lambda p, target: -p.log(), "one number"),
            "the wrong way": (lambda p, target: p[target], "costs more"),
            "blind": (lambda p, target: p.square().sum(), "what came"),
            "infinite": (lambda p, target: p[target] / 0, "not finite"),
            "by the number": (lambda p, target: p.sum() * target, "probability of what came"),
        },
    )
