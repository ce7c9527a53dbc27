"""Batches: tensors, or tuples, lists and dicts of them, in an order that can be found again.

A run that was killed goes on at the batch where it stopped. So the batches must come in the same
order whenever they are asked for: the order may depend on a seed and on the number of the epoch,
and on nothing else.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

# A tensor, or tuples, lists and dicts of them; the first axis of each is the batch.
Batch = Any
Loss = Callable[[nn.Module, Batch], Tensor | tuple[Tensor, Tensor | float | int]]


class Stream:
    """The batches, epoch after epoch without end, from the place (epoch, taken) on.

    Batches with a method `set_epoch(epoch)` are told which epoch begins, and may give each an order
    of its own.
    """

    def __init__(self, batches: Iterable[Batch], epoch: int = 0, taken: int = 0) -> None:
        self.batches, self.epoch, self.taken = batches, epoch, 0
        self._iterator = begin(batches, epoch)
        for _ in range(taken):
            next(self)

    def __next__(self) -> Batch:
        for batch in self._iterator:
            self.taken += 1
            return batch
        self.epoch, self.taken = self.epoch + 1, 0
        self._iterator = begin(self.batches, self.epoch)
        return next(self)


def begin(batches: Iterable[Batch], epoch: int) -> Iterator[Batch]:
    set_epoch = getattr(batches, "set_epoch", None)
    if set_epoch is not None:
        set_epoch(epoch)
    return iter(batches)


def check_batches(name: str, batches: Iterable[Batch]) -> int:
    """A checksum of the first batch; refuse what is empty, can be read once only, or has no order.

    Raises:
        TypeError: if these are not batches that can be read again and again.
        ValueError: if there are none, or the first is another one when asked for again.
    """
    if not isinstance(batches, Iterable):
        raise TypeError(f"{name} is a {type(batches).__name__}: expected batches to iterate over")
    if isinstance(batches, Iterator):
        raise TypeError(
            f"{name} is a {type(batches).__name__}, which can be read once only: expected "
            "something that begins anew for each epoch, such as a list or a DataLoader"
        )
    with torch.random.fork_rng([]):  # a DataLoader draws from torch's generator when it begins
        first, again = _first(name, batches), _first(name, batches)
    if first != again:
        raise ValueError(
            f"{name} began with another batch when it was asked for again: expected an order that "
            "depends on a seed alone (and on the epoch, where there is a method set_epoch)"
        )
    return first


def _first(name: str, batches: Iterable[Batch]) -> int:
    for batch in begin(batches, 0):
        if not tensors(batch):
            raise TypeError(
                f"{name} holds a {type(batch).__name__} without tensors: expected tensors, or "
                "tuples, lists or dicts of them"
            )
        return checksum(batch)
    raise ValueError(f"{name} is empty: expected at least one batch")


def transform(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The same batch with each of its tensors changed."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, dict):
        return {key: transform(value, change) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        parts = [transform(part, change) for part in batch]
        is_named = hasattr(batch, "_fields")  # a named tuple takes its parts one by one
        return type(batch)(*parts) if is_named else type(batch)(parts)
    return batch


def tensors(batch: Batch) -> list[Tensor]:
    """The tensors of a batch in their order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    transform(batch, note)
    return found


def num_rows(batch: Batch) -> int:
    """How many examples a batch has: the length of its first tensor."""
    first = tensors(batch)[0]
    return len(first) if first.ndim else 1


def num_elements(batch: Batch) -> int:
    """How many tokens a batch has, as far as one can tell: the size of its first tensor."""
    return tensors(batch)[0].numel()


def checksum(batch: Batch) -> int:
    """A number that is another one, almost certainly, for any other batch."""
    found = 0
    for tensor in tensors(batch):
        found = zlib.crc32(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), found)
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        found = zlib.crc32(content.numpy().tobytes(), found)
    return found
