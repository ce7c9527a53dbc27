"""What the tests of ResidualView share: small models with random weights, and PyTorch's numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor
from underglass.models.gpt import GPT, GPTConfig
from underglass.models.residual import Trace, trace

LAYERS, VOCAB = 3, 31
# At the second token the third one is the lens's second guess, then its first.
IDS = torch.tensor([[2, 7, 25, 3, 7, 11, 5]])
WORDS = [f" w{i}" for i in range(VOCAB)]


def model(layers: int = LAYERS, vocab_size: int = VOCAB, max_len: int = 11) -> GPT:
    """Weights large enough that every step changes what the lens says."""
    draw = torch.Generator().manual_seed(0)
    gpt = GPT(GPTConfig(vocab_size, max_len, 12, layers, 3, 17), generator=draw)
    with torch.no_grad():
        for weight in gpt.parameters():
            weight.copy_(0.4 * torch.randn(weight.shape, generator=draw))
    return gpt.eval()


def traced(ids: Tensor = IDS, layers: int = LAYERS) -> Trace:
    return trace(model(layers), ids)


@dataclass(frozen=True)
class Step:
    """One step at one token, as PyTorch has it."""

    before: Tensor
    added: Tensor
    x: Tensor
    p_before: Tensor
    p: Tensor


def walk(found: Trace, position: int) -> list[Step]:
    """All steps of one token: the stream, added up anew from the trace's parts, and its lens."""
    added = [found.stream[0, 0, position]]
    for attended, fed in zip(found.attention, found.feed_forward, strict=True):
        added += [attended[0, position], fed[0, position]]
    sums = torch.stack(added).double().cumsum(0)
    p = found.lens(sums.float()).double().softmax(-1)
    zero = torch.zeros_like(sums[:1])
    befores, p_befores = torch.cat([zero, sums[:-1]]), torch.cat([p[:1], p[:-1]])
    parts = zip(befores, added, sums, p_befores, p, strict=True)
    return [Step(b, a.double(), x, q, p) for b, a, x, q, p in parts]
