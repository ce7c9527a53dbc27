"""What GPT and Llama are both held to."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.testing import assert_close
from underglass.attention import padding_mask

Model = TypeVar("Model", bound=nn.Module)
F64 = torch.float64
VOCAB = 31
IDS = torch.tensor([[2, 7, 30, 3, 0], [4, 9, 0, 0, 0], [2, 5, 6, 7, 3]])
PAD = 0


def scattered(model: Model) -> Model:
    """Every weight, those of the norms too, is its own random number; no dropout."""
    model.to(F64).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


def left_padded(ids: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows with their padding in front, and the place of each token."""
    real = ids != PAD
    order = real.int().argsort(dim=1, stable=True)
    turned = ids.gather(1, order)
    return turned, ((turned != PAD).cumsum(dim=1) - 1).clamp(min=0)


def check_cache_gives_the_same(model: nn.Module, ids: Tensor, chunks: list[int]) -> None:
    """In pieces with a cache, and at once without: the same logits and the same weights."""
    expected, expected_weights = model(ids, return_weights=True)
    cache, seen = model.new_cache(), 0  # pyright: ignore[reportCallIssue]
    for size in chunks:
        logits, weights = model(ids[:, seen : seen + size], cache=cache, return_weights=True)
        assert_close(logits, expected[:, seen : seen + size])
        for layer, whole in zip(weights, expected_weights, strict=True):
            assert_close(layer, whole[:, :, seen : seen + size, : seen + size])
        seen += size
    assert seen == ids.shape[1]


def check_left_padding_changes_nothing(model: nn.Module) -> None:
    """With a cache as well, whose mask then covers what came before."""
    ids, places = left_padded(IDS)
    mask = padding_mask(ids, PAD)
    expected = model(IDS, mask=padding_mask(IDS, PAD))
    logits = model(ids, mask=mask, positions=places)
    cache = model.new_cache(max_len=5)  # pyright: ignore[reportCallIssue]
    first = model(ids[:, :4], mask=mask[..., :4], positions=places[:, :4], cache=cache)
    last = model(ids[:, 4:], mask=mask, positions=places[:, 4:], cache=cache)
    assert_close(logits[ids != PAD], expected[IDS != PAD])
    together = torch.cat([first, last], dim=1)
    assert_close(together[ids != PAD], expected[IDS != PAD])


def check_no_gradient_from_the_future(model: nn.Module) -> None:
    """What stands at position 3 and later has no part in the logits at 2."""
    inputs = []

    def keep(_, __, output):
        output.retain_grad()
        inputs.append(output)

    handle = model.get_submodule("tokens").register_forward_hook(keep)
    model(IDS)[:, 2].square().sum().backward()
    handle.remove()
    (embedded,) = inputs
    assert embedded.grad[:, :3].abs().amin(dim=(0, 2)).min() > 0
    assert embedded.grad[:, 3:].abs().max() == 0
