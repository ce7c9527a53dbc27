import math

import pytest
import torch
from refusals import refused
from torch.testing import assert_close
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from underglass.positions import LearnedPositions, RotaryPositions, sinusoidal_positions

BATCH, HEAD, SEQ, D_HEAD = 2, 3, 7, 22
F64 = torch.float64


# ----------------------------------------------------------------------- sinusoidal


def test_sinusoidal_is_the_papers_formula():
    code = sinusoidal_positions(SEQ, 10, dtype=F64)
    for position in range(SEQ):
        for pair in range(5):
            angle = position / 10000 ** (2 * pair / 10)
            assert code[position, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-15)
            assert code[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-15)


def test_sinusoidal_products_depend_on_the_distance_alone():
    code = sinusoidal_positions(53, D_HEAD, dtype=F64)
    products = code @ code.T
    for distance in (0, 1, 5, 13):
        diagonal = products.diagonal(distance)
        assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert products[0].argmax() == 0


def test_sinusoidal_type_place_and_base():
    assert sinusoidal_positions(SEQ, 4).dtype == torch.float32
    assert sinusoidal_positions(SEQ, 4, dtype=torch.bfloat16).dtype == torch.bfloat16
    assert sinusoidal_positions(SEQ, 4, device=torch.device("meta")).is_meta
    last_pair = sinusoidal_positions(5, 4, base=100.0)[4, 2:]
    assert_close(last_pair, torch.tensor([math.sin(0.4), math.cos(0.4)]))


def test_odd_widths_are_refused():
    with refused(ValueError, "d_model=7: expected an even number"):
        sinusoidal_positions(5, 7)
    with refused(ValueError, "d_head=0: expected an even number"):
        RotaryPositions(0)


# ----------------------------------------------------------------------- learned


def test_learned_positions_are_added_from_the_offset_on():
    positions = LearnedPositions(SEQ, 5).to(F64)
    x = torch.randn(BATCH, 3, 5, dtype=F64)
    assert_close(positions(x), x + positions.weight[:3])
    assert_close(positions(x, offset=4), x + positions.weight[4:7])


def test_learned_positions_learn_only_where_they_were_used():
    positions = LearnedPositions(SEQ, 5).to(F64)
    positions(torch.zeros(BATCH, 2, 5, dtype=F64), offset=3).sum().backward()
    assert positions.weight.grad is not None
    used = positions.weight.grad.ne(0).any(dim=1)
    assert used.tolist() == [False, False, False, True, True, False, False]


def test_too_many_positions_are_refused():
    positions = LearnedPositions(SEQ, 5)
    with refused(ValueError, "x reaches position 8: expected at most max_len=7"):
        positions(torch.zeros(1, 8, 5))
    with refused(ValueError, "x reaches position 8: expected at most max_len=7"):
        positions(torch.zeros(1, 2, 5), offset=6)


# ----------------------------------------------------------------------- rotary


@pytest.mark.parametrize("offset", [0, 5])
@pytest.mark.parametrize("base", [10000.0, 500000.0])
def test_rotary_equals_transformers(offset, base):
    config = LlamaConfig(
        hidden_size=D_HEAD * HEAD,
        num_attention_heads=HEAD,
        rope_parameters={"rope_type": "default", "rope_theta": base},
    )
    query, key = torch.randn(2, BATCH, HEAD, SEQ, D_HEAD)
    places = torch.arange(offset, offset + SEQ)[None]
    cos, sin = LlamaRotaryEmbedding(config)(query, places)
    expected_query, expected_key = apply_rotary_pos_emb(query, key, cos, sin)
    rotary = RotaryPositions(D_HEAD, base=base)
    assert_close(rotary(query, offset), expected_query)
    assert_close(rotary(key, offset), expected_key)


def test_rotary_products_depend_on_the_distance_alone():
    rotary = RotaryPositions(D_HEAD)
    query, key = torch.randn(2, 1, D_HEAD, dtype=F64)

    def product(q_place, k_place):
        return (rotary(query, q_place) * rotary(key, k_place)).sum()

    assert_close(product(3, 1), product(103, 101))
    assert_close(product(3, 1), product(5003, 5001))
    assert not torch.isclose(product(3, 1), product(3, 2))


def test_rotary_keeps_lengths_and_leaves_position_0_alone():
    rotary, x = RotaryPositions(D_HEAD), torch.randn(BATCH, SEQ, D_HEAD, dtype=F64)
    assert_close(rotary(x).norm(dim=-1), x.norm(dim=-1))
    assert_close(rotary(x)[:, 0], x[:, 0])
    assert not torch.isclose(rotary(x)[:, 1:], x[:, 1:]).all()


def test_rotary_turns_a_pair_by_the_angle_of_its_position():
    """Coordinate 0 goes with d_head / 2, and the first pair turns by one radian a position."""
    x = torch.zeros(3, 4, dtype=F64)
    x[:, 0] = 1
    turned = RotaryPositions(4)(x)
    angles = torch.arange(3, dtype=F64)
    assert_close(turned[:, 0], angles.cos())
    assert_close(turned[:, 2], angles.sin())


def test_rotary_gradients():
    x = torch.randn(2, 3, 4, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(RotaryPositions(4), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rotary_keeps_the_dtype_and_is_precise_far_away(dtype):
    rotary, x = RotaryPositions(4).to(dtype), torch.ones(1, 4, dtype=dtype)
    far = rotary(x, 4097)  # bfloat16 would take 4097 for 4096, and float32 angles are good to 1e-4
    assert far.dtype == dtype
    exact = RotaryPositions(4)(torch.ones(1, 4, dtype=F64), 4097)
    tolerance = {torch.bfloat16: 0.02, torch.float32: 1e-3, F64: 1e-12}[dtype]
    assert_close(far.to(F64), exact, atol=tolerance, rtol=0)


def test_positions_on_the_meta_device():
    x = torch.randn(BATCH, SEQ, D_HEAD, device="meta")
    with torch.device("meta"):
        modules = LearnedPositions(SEQ, D_HEAD), RotaryPositions(D_HEAD)
    for module in modules:
        assert module(x).shape == x.shape


def test_wrong_width_is_refused():
    with refused(ValueError, "x is 6 wide: expected d_head=4"):
        RotaryPositions(4)(torch.zeros(1, 3, 6))


def test_places_say_where_each_row_stands():
    """In a row they do what an offset does; scattered, what each row alone would get."""
    learned, rotary = LearnedPositions(11, 6).to(F64), RotaryPositions(6)
    x = torch.randn(2, 3, 6, dtype=F64)
    places = torch.tensor([[4, 5, 6], [0, 9, 2]])
    for positions in (learned, rotary):
        found = positions(x, places=places)
        assert_close(found[0], positions(x[0], offset=4))
        for row, place in enumerate([0, 9, 2]):
            assert_close(found[1, row : row + 1], positions(x[1, row : row + 1], offset=place))
        assert_close(positions(x, places=places[0]), positions(x, offset=4))  # one row for all


@pytest.mark.parametrize("positions", [LearnedPositions(11, 6), RotaryPositions(6)])
def test_wrong_places_are_refused(positions):
    x = torch.ones(2, 3, 6)
    with refused(TypeError, "places is torch.float32: expected integers"):
        positions(x, places=torch.ones(2, 3))
    with refused(
        ValueError, r"places has shape \(2, 1\): expected one for each row of x, \(2, 3\)"
    ):
        positions(x, places=torch.ones(2, 1, dtype=torch.int64))
    with refused(
        ValueError, r"places has shape \(4, 3\): expected one for each row of x, \(2, 3\)"
    ):
        positions(x, places=torch.ones(4, 3, dtype=torch.int64))


@pytest.mark.parametrize("place", [-1, 11])
def test_learned_places_out_of_range_are_refused(place):
    places = torch.tensor([0, place, 2])
    with refused(ValueError, rf"places holds {place}: expected numbers from 0 to 10 \(max_len"):
        LearnedPositions(11, 6)(torch.ones(2, 3, 6), places=places)
