from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from refusals import refused
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.testing import assert_close
from underglass.attention import padding_mask
from underglass.models.baselines import (
    LSTMClassifier,
    LSTMClassifierConfig,
    LSTMLanguageModel,
    LSTMLanguageModelConfig,
    lstm_cell,
)
from underglass.models.baselines.recurrence import unrolled

D_IN, D_MODEL = 5, 7
LM = LSTMLanguageModelConfig(vocab_size=31, d_model=D_MODEL, num_layers=3, dropout=0.0)
LABELS = LSTMClassifierConfig(vocab_size=31, num_labels=3, d_model=7, num_layers=2, dropout=0.0)
IDS = torch.tensor([[2, 7, 30, 3, 0], [2, 3, 0, 0, 0], [2, 5, 6, 7, 3]])
F64 = torch.float64
both_paths = pytest.mark.parametrize("fused", [True, False], ids=["fused", "by cells"])


def scattered(model):
    """The model with a random number of its own for every weight, also those of the biases."""
    model = model.to(F64)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


@pytest.fixture
def no_torch_lstm(monkeypatch):
    def refuse(*_):
        raise AssertionError("the readable path called torch's own LSTM")

    monkeypatch.setattr(nn.LSTM, "forward", refuse)
    monkeypatch.setattr(nn.LSTMCell, "forward", refuse)


# ----------------------------------------------------------------------- the cell


def test_cell_equals_torch():
    theirs = scattered(nn.LSTMCell(D_IN, D_MODEL))
    weights = theirs.weight_ih, theirs.weight_hh, theirs.bias_ih, theirs.bias_hh
    x, hidden, cell = (torch.randn(3, size, dtype=F64) for size in (D_IN, D_MODEL, D_MODEL))
    everything = [t.requires_grad_() for t in (x, hidden, cell, *weights)]
    found, expected = lstm_cell(x, hidden, cell, *weights), theirs(x, (hidden, cell))
    assert_close(found, expected)
    found, expected = (
        torch.autograd.grad(sum(part.square().sum() for part in parts), everything)
        for parts in (found, expected)
    )
    assert_close(found, expected)


def test_cell_has_the_gradient_of_its_formula():
    shapes = [(2, D_IN), (2, 3), (2, 3), (12, D_IN), (12, 3), (12,), (12,)]
    inputs = [torch.randn(shape, dtype=F64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lstm_cell, inputs, fast_mode=True)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_unrolled_equals_torch(num_layers, bidirectional):
    lstm = nn.LSTM(D_IN, D_MODEL, num_layers, batch_first=True, bidirectional=bidirectional)
    scattered(lstm)
    x = torch.randn(2, 11, D_IN, dtype=F64, requires_grad=True)
    runs = num_layers * (1 + bidirectional)
    hidden, cell = (torch.randn(runs, 2, D_MODEL, dtype=F64, requires_grad=True) for _ in range(2))
    everything = [x, hidden, cell, *lstm.parameters()]
    found, expected = unrolled(lstm, x, (hidden, cell)), lstm(x, (hidden, cell))
    assert_close(found, expected)
    found, expected = (
        torch.autograd.grad(output.square().sum() + hidden.sum() + cell.square().sum(), everything)
        for output, (hidden, cell) in (found, expected)
    )
    assert_close(found, expected)


# ----------------------------------------------------------------------- language model


def language_model_of_torch(ours, ids, state=None):
    """The logits and the state from torch's parts, put together anew."""
    twin = nn.LSTM(D_MODEL, D_MODEL, LM.num_layers, batch_first=True).to(F64)
    weights = {name.removeprefix("lstm."): p for name, p in ours.named_parameters()}
    table = weights.pop("tokens.weight")
    hidden, state = torch.func.functional_call(
        twin, weights, (nn.functional.embedding(ids, table), state)
    )
    return nn.functional.linear(hidden, table), state


@both_paths
def test_language_model_equals_torch_forward_and_backward(fused):
    ours = scattered(LSTMLanguageModel(LM))
    logits, state = ours(IDS, return_state=True, fused=fused)
    expected = language_model_of_torch(ours, IDS)
    assert_close((logits, state), expected)
    assert_close(ours(IDS, fused=fused), logits)
    weights = list(ours.parameters())
    assert_close(
        torch.autograd.grad(logits.square().sum(), weights),
        torch.autograd.grad(expected[0].square().sum(), weights),
    )


@both_paths
def test_a_text_can_go_on_from_a_state(fused):
    ours = scattered(LSTMLanguageModel(LM))
    whole, end = ours(IDS, return_state=True, fused=fused)
    first, state = ours(IDS[:, :2], return_state=True, fused=fused)
    second, state = ours(IDS[:, 2:3], state, return_state=True, fused=fused)
    third, state = ours(IDS[:, 3:], state, return_state=True, fused=fused)
    assert_close(torch.cat([first, second, third], dim=1), whole)
    assert_close(state, end)
    assert_close(
        ours(IDS[:, 3:], end, fused=fused), language_model_of_torch(ours, IDS[:, 3:], end)[0]
    )


def test_the_readable_paths_do_without_torch_s_lstm(no_torch_lstm):
    with pytest.raises(AssertionError, match="torch's own LSTM"):
        LSTMLanguageModel(LM)(IDS)
    assert LSTMLanguageModel(LM)(IDS, fused=False).shape == (3, 5, 31)
    assert LSTMClassifier(LABELS)(IDS, padding_mask(IDS, 0), fused=False).shape == (3, 3)


@both_paths
def test_no_gradient_from_the_future(fused):
    model = scattered(LSTMLanguageModel(LM))
    seen = {}
    model.tokens.register_forward_hook(lambda _, __, x: seen.update(x=x))
    logits = model(IDS, fused=fused)
    for place in range(IDS.shape[1]):
        (grad,) = torch.autograd.grad(logits[:, place].square().sum(), seen["x"], retain_graph=True)
        reached = grad.abs().sum(dim=(0, 2)) > 0
        assert reached.tolist() == [i <= place for i in range(IDS.shape[1])]


# ----------------------------------------------------------------------- classifier


def classifier_of_torch(ours, ids, lengths):
    """The logits from torch's parts, put together anew: the padding is packed away."""
    twin = nn.LSTM(7, 7, LABELS.num_layers, batch_first=True, bidirectional=True).to(F64)
    twin.load_state_dict(ours.lstm.state_dict())
    x = nn.functional.embedding(ids, ours.tokens.weight)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    _, (hidden, _) = twin(packed)
    forward, backward = hidden.unflatten(0, (LABELS.num_layers, 2))[-1]
    logits = ours.classifier(torch.cat([forward, backward], dim=1))
    return logits, twin


@both_paths
def test_classifier_equals_torch_forward_and_backward(fused):
    ours = scattered(LSTMClassifier(LABELS))
    expected, twin = classifier_of_torch(ours, IDS, torch.tensor([4, 2, 5]))
    logits = ours(IDS, padding_mask(IDS, 0), fused=fused)
    assert_close(logits, expected)
    shared = [ours.tokens.weight, *ours.classifier.parameters()]
    assert_close(
        torch.autograd.grad(logits.square().sum(), [*shared, *ours.lstm.parameters()]),
        torch.autograd.grad(expected.square().sum(), [*shared, *twin.parameters()]),
    )


@both_paths
def test_padding_contributes_nothing(fused):
    model = scattered(LSTMClassifier(LABELS))
    together = model(IDS, IDS != 0, fused=fused)
    for row, length in enumerate([4, 2, 5]):
        assert_close(together[row], model(IDS[row : row + 1, :length], fused=fused)[0])
    other = IDS.where(IDS != 0, 29)
    assert_close(model(other, IDS != 0, fused=fused), together)
    assert_close(model(IDS, torch.ones_like(IDS).bool(), fused=fused), model(IDS, fused=fused))
    assert not torch.allclose(model(IDS, fused=fused), together)


def test_outputs_at_padding_are_zero_as_torch_s():
    lstm = scattered(nn.LSTM(D_IN, D_MODEL, 2, batch_first=True, bidirectional=True))
    x, zeros = torch.randn(3, 5, D_IN, dtype=F64), torch.zeros(4, 3, D_MODEL, dtype=F64)
    packed = pack_padded_sequence(x, [4, 2, 5], batch_first=True, enforce_sorted=False)
    output, state = lstm(packed)
    expected = nn.utils.rnn.pad_packed_sequence(output, batch_first=True)[0], state
    assert_close(unrolled(lstm, x, (zeros, zeros), IDS != 0), expected)


# ----------------------------------------------------------------------- both models

MODELS = {
    "language model": lambda **changes: (LSTMLanguageModel, replace(LM, **changes)),
    "classifier": lambda **changes: (LSTMClassifier, replace(LABELS, **changes)),
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def build(model, *, generator=None, **changes):
    kind, config = model(**changes)
    return kind(config, generator=generator)


@every_model
@both_paths
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept(model, fused, dtype):
    assert build(model).to(dtype)(IDS, fused=fused).dtype == dtype


@every_model
@both_paths
def test_runs_on_the_meta_device(model, fused):
    with torch.device("meta"):
        built = build(model)
    assert built(IDS.to("meta"), fused=fused).shape[-1] in (31, 3)


def test_cells_run_masked_on_the_meta_device():
    with torch.device("meta"):
        model = LSTMClassifier(LABELS)
    mask = padding_mask(IDS, 0).to("meta")
    assert model(IDS.to("meta"), mask, fused=False).shape == (3, 3)


@every_model
@both_paths
def test_drops_in_training_only(model, fused):
    built = build(model, dropout=0.5)
    assert not torch.equal(built(IDS, fused=fused), built(IDS, fused=fused))
    built.eval()
    assert torch.equal(built(IDS, fused=fused), built(IDS, fused=fused))


@every_model
@both_paths
def test_dropout_stands_between_the_layers_too(model, fused):
    built = build(model, dropout=0.5, num_layers=2)
    built.dropout.p = 0.0
    assert not torch.equal(built(IDS, fused=fused), built(IDS, fused=fused))
    assert build(model, dropout=0.5, num_layers=1).lstm.dropout == 0.0  # torch would warn


@every_model
def test_a_generator_decides_the_initial_weights(model):
    first, second, other = (
        build(model, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    for name, weight in first.named_parameters():
        assert_close(second.get_parameter(name), weight)
        if "bias" not in name:
            assert not torch.equal(other.get_parameter(name), weight)


@every_model
def test_forget_gates_begin_open(model):
    lstm = build(model, d_model=64).lstm
    for name, weight in lstm.named_parameters():
        if name.startswith("bias"):
            i, f, g, o = weight.chunk(4)
            assert_close(f, torch.full_like(f, float(name.startswith("bias_ih"))))
            assert not torch.cat([i, g, o]).any()
        else:
            assert 0.99 / 8 < weight.abs().max() < 1 / 8


def test_a_language_model_begins_near_even_chances_and_learns_at_once():
    """With a table as small as a Transformer's it would stay at the frequencies of the ids."""
    config = replace(LM, d_model=61, num_layers=2, vocab_size=23)
    generator = torch.Generator().manual_seed(0)
    model = LSTMLanguageModel(config, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    # Each id follows from the two before it, and all are about as frequent.
    rows = [torch.randint(23, (16, 1), generator=generator) for _ in range(2)]
    for _ in range(20):
        rows.append((2 * rows[-1] + 5 * rows[-2] + 1) % 23)
    ids = torch.cat(rows, dim=1)
    losses = []
    for _ in range(80):
        loss = nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] == pytest.approx(torch.tensor(23.0).log().item(), abs=0.3)
    assert losses[-1] < 1.0


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (LM, dict(vocab_size=0), "vocab_size=0: expected at least 1"),
        (LM, dict(d_model=0), "d_model=0: expected at least 1"),
        (LM, dict(num_layers=-1), "num_layers=-1: expected at least 1"),
        (LM, dict(dropout=1.0), "dropout=1.0: expected a share from 0"),
        (LABELS, dict(vocab_size=0), "vocab_size=0: expected at least 1"),
        (LABELS, dict(num_labels=0), "num_labels=0: expected at least 1"),
        (LABELS, dict(d_model=-7), "d_model=-7: expected at least 1"),
        (LABELS, dict(num_layers=0), "num_layers=0: expected at least 1"),
        (LABELS, dict(dropout=-0.1), "dropout=-0.1: expected a share from 0"),
    ],
)
def test_wrong_configs_are_refused(config, change, message):
    with refused(ValueError, message):
        replace(config, **change)
    with pytest.raises(FrozenInstanceError):
        config.d_model = 5


@every_model
def test_wrong_ids_are_refused(model):
    built = build(model)
    with refused(ValueError, r"ids holds 31: expected numbers from 0 to 30 \(vocab_size=31\)"):
        built(torch.tensor([[1, 31]]))
    with refused(ValueError, r"ids has shape \(2,\): expected \[batch seq\]"):
        built(torch.tensor([1, 2]))
    with refused(ValueError, r"ids has shape \(1, 0\): expected \[batch seq\]"):
        built(torch.zeros(1, 0, dtype=torch.int64))
    with refused(TypeError, "ids is torch.float32: expected integers"):
        built(torch.zeros(1, 3))


def test_wrong_states_are_refused():
    model = LSTMLanguageModel(LM)
    _, (hidden, cell) = model(IDS, return_state=True)
    with refused(ValueError, r"state's hidden is .* of shape \(3, 3, 7\): .* = \(3, 2, 7\)"):
        model(IDS[:2], (hidden, cell))
    with refused(ValueError, r"state's cell is .* of shape \(2, 3, 7\): .* = \(3, 3, 7\)"):
        model(IDS, (hidden, cell[:2]))
    with refused(ValueError, "state's cell is torch.float64 of .*: expected torch.float32"):
        model(IDS, (hidden, cell.double()))
    with refused(TypeError, r"state is tensor.*: expected two tensors, \(hidden, cell\)"):
        model(IDS, hidden)
    with refused(TypeError, r"expected two tensors, \(hidden, cell\)"):
        model(IDS, (hidden,))


@both_paths
def test_wrong_masks_are_refused(fused):
    model = LSTMClassifier(LABELS)
    mask = IDS != 0
    with refused(
        TypeError, "mask is torch.int64: expected torch.bool, True where there is a token"
    ):
        model(IDS, mask.long(), fused=fused)
    with refused(ValueError, r"mask has shape \(2, 5\): expected \[batch seq\] = \(3, 5\)"):
        model(IDS, mask[:2], fused=fused)
    with refused(ValueError, r"mask has shape \(3, 5, 5\): expected \[batch seq\] = \(3, 5\)"):
        model(IDS, mask[:, None].expand(3, 5, 5), fused=fused)
    for row in ([False] * 5, [False, True, True, True, True], [True, False, True, False, False]):
        with refused(
            ValueError, r"mask\[1\] has no token, or padding before one: expected padding"
        ):
            model(IDS, torch.stack([mask[0], torch.tensor(row), mask[2]]), fused=fused)
