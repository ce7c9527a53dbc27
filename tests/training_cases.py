"""A tiny model, batches and losses for the tests of training; processes of their own import it."""

import torch
from torch import Tensor, nn
from underglass.models.gpt import GPT, GPTConfig

VOCAB_SIZE = 31


def tiny_gpt(
    seed: int = 0, dropout: float = 0.0, dtype: torch.dtype = torch.float64, d_model: int = 12
) -> GPT:
    config = GPTConfig(VOCAB_SIZE, 13, d_model, 2, 3, 17, dropout)
    return GPT(config, generator=torch.Generator().manual_seed(seed)).to(dtype)


class Shuffled:
    """`num_batches` batches of ids, in another order in each epoch."""

    def __init__(self, num_batches: int = 7, rows: int = 5, seq: int = 11, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.ids = torch.randint(0, VOCAB_SIZE, (num_batches, rows, seq), generator=generator)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self):
        order = torch.randperm(len(self.ids), generator=torch.Generator().manual_seed(self.epoch))
        return iter(self.ids[order])


def padded(num_batches: int = 6, rows: int = 5, seq: int = 11) -> list[Tensor]:
    """Rows of very different lengths, -1 behind each: what counts differs from batch to batch."""
    batches = []
    for index, ids in enumerate(Shuffled(num_batches, rows, seq).ids):
        lengths = torch.tensor([2 + (3 * row + 4 * index) % (seq - 1) for row in range(rows)])
        batches.append(ids.where(torch.arange(seq) < lengths[:, None], -1))
    return batches


def mean_loss(model: nn.Module, ids: Tensor) -> Tensor:
    """The mean over all next tokens; every row has as many."""
    logits = model(ids)[:, :-1]
    return nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def summed_loss(model: nn.Module, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over the next tokens that are no padding, and how many there are."""
    logits = model(ids.clamp(min=0))[:, :-1]
    losses = nn.functional.cross_entropy(
        logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=-1, reduction="sum"
    )
    return losses, (ids[:, 1:] != -1).sum()


def weights(model: nn.Module) -> Tensor:
    return torch.cat([param.detach().flatten() for param in model.parameters()])
