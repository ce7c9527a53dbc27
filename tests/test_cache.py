import pytest
import torch
from refusals import refused
from torch.testing import assert_close
from underglass.attention import KeyValueCache, MultiHeadAttention, causal_mask, padding_mask
from underglass.positions import RotaryPositions

BATCH, HEAD, SEQ, D_HEAD = 2, 6, 7, 22
F64 = torch.float64


def attention(**options):
    return MultiHeadAttention(HEAD * D_HEAD, HEAD, **options).to(F64).eval()


def in_chunks(module, x, sizes, *, mask=None, return_weights=False):
    cache, outputs, end = KeyValueCache(len(x[0])), [], 0
    for chunk in x.split(sizes, dim=1):
        end += chunk.shape[1]
        seen = None if mask is None else mask[..., :end]
        outputs.append(module(chunk, mask=seen, cache=cache, return_weights=return_weights))
    assert cache.length == end
    return outputs


@pytest.mark.parametrize("sizes", [[1] * 7, [3, 1, 3], [7], [5, 2]], ids=str)
@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
@pytest.mark.parametrize("turned", [False, True], ids=["plain", "rotary"])
@torch.no_grad()
def test_cached_equals_whole(sizes, num_kv_heads, turned):
    rotary = RotaryPositions(D_HEAD) if turned else None
    module = attention(num_kv_heads=num_kv_heads, rotary=rotary)
    x = torch.randn(BATCH, SEQ, HEAD * D_HEAD, dtype=F64)
    whole, weights = module(x, mask=causal_mask(SEQ), return_weights=True)
    assert_close(torch.cat(in_chunks(module, x, sizes), dim=1), whole)
    start = 0
    for output, part in in_chunks(module, x, sizes, return_weights=True):
        end = start + output.shape[1]
        assert_close(output, whole[:, start:end])
        assert_close(part, weights[:, :, start:end, :end])
        start = end


@torch.no_grad()
def test_cached_with_padding_equals_whole():
    module = attention(rotary=RotaryPositions(D_HEAD))
    x = torch.randn(BATCH, SEQ, HEAD * D_HEAD, dtype=F64)
    mask = padding_mask(torch.tensor([[0, 0, 1, 1, 1, 1, 1], [1] * 7]), pad_id=0)
    whole = module(x, mask=causal_mask(SEQ) & mask)
    for sizes in ([1] * 7, [3, 4]):
        assert_close(torch.cat(in_chunks(module, x, sizes, mask=mask), dim=1), whole)


@torch.no_grad()
def test_room_is_taken_once_and_holds_key_heads_only():
    cache, module = KeyValueCache(SEQ), attention(num_kv_heads=2)
    x = torch.randn(BATCH, SEQ, HEAD * D_HEAD, dtype=F64)
    module(x[:, :3], cache=cache)
    assert cache.keys is not None
    assert cache.keys.shape == (BATCH, 2, SEQ, D_HEAD)
    assert cache.keys.dtype == F64
    place = cache.keys.data_ptr()
    module(x[:, 3:], cache=cache)
    assert cache.keys.data_ptr() == place
    assert cache.length == SEQ


@torch.no_grad()
def test_cache_on_the_meta_device():
    module, cache = attention().to("meta"), KeyValueCache(SEQ)
    x = torch.randn(BATCH, SEQ, HEAD * D_HEAD, dtype=F64, device="meta")
    assert module(x, cache=cache).is_meta


@torch.no_grad()
def test_what_does_not_fit_is_refused_and_leaves_the_cache_as_it_was():
    cache, module = KeyValueCache(SEQ), attention()
    x = torch.randn(BATCH, SEQ, HEAD * D_HEAD, dtype=F64)
    module(x[:, :5], cache=cache)
    with refused(ValueError, "room for max_len=7 positions: 5 are taken, 3 more do not fit"):
        module(x[:, :3], cache=cache)
    with refused(ValueError, "in a batch of 1: .* begun with 6 heads of 22 in a batch of 2"):
        module(x[:1, :1], cache=cache)
    with refused(ValueError, "keys are 1 heads of 22 in a batch of 2: .* begun with 6 heads of 22"):
        attention(num_kv_heads=1)(x[:, :1], cache=cache)
    with refused(ValueError, "context is given: a cache and rotary positions need self-attention"):
        module(x, x, cache=cache)
    with refused(ValueError, r"mask has shape \(3, 3\): .* \[batch q k\] = \(2, 1, 6\)"):
        module(x[:, :1], mask=causal_mask(3), cache=cache)
    assert cache.length == 5


def test_no_room_is_refused():
    with refused(ValueError, "max_len=0: expected room for at least one position"):
        KeyValueCache(0)


def test_sequences_are_selected_left_out_and_doubled():
    """As beam search does: what is selected goes on as if it had been alone."""
    cache = KeyValueCache(5)
    cache.select(torch.tensor([1, 0]))  # nothing there yet: nothing to do
    key, value = torch.randn(2, 3, 2, 2, 4)
    cache.append(key, value)
    cache.select(torch.tensor([2, 0, 0, 2]))
    found = cache.append(torch.ones(4, 2, 1, 4), torch.zeros(4, 2, 1, 4))
    assert torch.equal(found[0][:, :, :2], key[[2, 0, 0, 2]])
    assert torch.equal(found[1][:, :, :2], value[[2, 0, 0, 2]])
    assert torch.equal(found[0][:, :, 2:], torch.ones(4, 2, 1, 4))
