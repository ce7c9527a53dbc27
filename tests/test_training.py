"""The loop against one written out in plain PyTorch."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import DataLoader, TensorDataset
from training_cases import Shuffled, mean_loss, padded, summed_loss, tiny_gpt, weights
from underglass import schedules
from underglass.optimizers import SGD, AdamW, Muon
from underglass.training import History, NonFiniteError, fit

ROWS = TensorDataset(Shuffled(1).ids[0])


def plain_loop(model, batches, optimizer, loss, steps, factor, max_norm):
    """What fit should do: nothing of it is used here."""
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    found = []
    ordered = []
    epoch = 0
    while len(ordered) < steps:
        batches.set_epoch(epoch)
        ordered += list(batches)
        epoch += 1
    for batch in ordered[:steps]:
        optimizer.zero_grad()
        value = loss(model, batch)
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        rate = scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()
        found.append((value.item(), rate, norm.item()))
    return found


def test_it_takes_the_steps_of_the_plain_loop():
    factor = schedules.cosine(17, warmup_steps=3)
    expected_model, model = tiny_gpt(dropout=0.2), tiny_gpt(dropout=0.2)
    torch.manual_seed(3)
    expected = plain_loop(
        expected_model,
        Shuffled(),
        torch.optim.AdamW(expected_model.parameters(), 0.01),
        mean_loss,
        17,
        factor,
        0.9,
    )
    torch.manual_seed(3)
    optimizer = AdamW(model.parameters(), 0.01)
    history = fit(
        model, Shuffled(), optimizer, loss=mean_loss, steps=17, schedule=factor, max_norm=0.9
    )
    losses, rates, norms = zip(*expected, strict=True)
    assert_close(torch.tensor(history.loss), torch.tensor(losses))
    assert_close(torch.tensor(history.rate), torch.tensor(rates))
    assert_close(torch.tensor(history.gradient_norm), torch.tensor(norms))
    assert_close(weights(model), weights(expected_model), rtol=0, atol=1e-12)
    assert history.step == list(range(1, 18))
    assert min(norms) < 0.9 < max(norms)  # clipping was needed, and not always
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert all(param.grad is None for param in model.parameters())


@pytest.mark.parametrize("loss", [mean_loss, summed_loss])
def test_accumulated_batches_equal_one_large_batch(loss):
    batches = padded() if loss is summed_loss else list(Shuffled(6))
    large = [torch.cat(batches[:3]), torch.cat(batches[3:])]
    models = tiny_gpt(), tiny_gpt()
    histories = [
        fit(model, data, SGD(model.parameters(), 0.1), loss=loss, steps=4, accumulate=many)
        for model, data, many in [(models[0], large, 1), (models[1], batches, 3)]
    ]
    assert_close(weights(models[1]), weights(models[0]), rtol=0, atol=1e-12)
    for column in ("loss", "gradient_norm"):
        one, many = (torch.tensor(getattr(history, column)) for history in histories)
        assert_close(many, one, rtol=0, atol=1e-12)


def test_a_mean_counts_by_the_rows_of_its_batch():
    rows = Shuffled(1, rows=7).ids[0]
    models = tiny_gpt(), tiny_gpt()
    for model, data in zip(models, ([rows], [rows[:5], rows[5:]]), strict=True):
        optimizer = SGD(model.parameters(), 0.1)
        fit(model, data, optimizer, loss=mean_loss, steps=2, accumulate=len(data))
    assert_close(weights(models[1]), weights(models[0]), rtol=0, atol=1e-12)


def test_accumulation_goes_on_over_the_end_of_an_epoch():
    batches = list(Shuffled(3))
    model, expected = tiny_gpt(), tiny_gpt()
    fit(model, batches, SGD(model.parameters(), 0.1), loss=mean_loss, steps=3, accumulate=2)
    pairs = [torch.cat([batches[a], batches[b]]) for a, b in [(0, 1), (2, 0), (1, 2)]]
    fit(expected, pairs, SGD(expected.parameters(), 0.1), loss=mean_loss, steps=3)
    assert_close(weights(model), weights(expected), rtol=0, atol=1e-12)


def test_where_nothing_counts_the_loss_is_0_and_no_weight_moves():
    model = tiny_gpt()
    before = weights(model)
    nothing = [torch.full((2, 5), -1)]
    history = fit(model, nothing, SGD(model.parameters(), 0.1), loss=summed_loss, steps=2)
    assert history.loss == [0.0, 0.0]
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("make", [tuple, list, lambda x: dict(zip("ab", x, strict=True))])
def test_a_batch_may_hold_several_tensors(make):
    inputs, targets = torch.randn(7, 3).double(), torch.randn(7, 2).double()

    def loss(model: nn.Module, batch) -> Tensor:
        x, y = batch.values() if isinstance(batch, dict) else batch
        return (model(x) - y).square().mean()

    model, expected = (nn.Linear(3, 2).double() for _ in range(2))
    expected.load_state_dict(model.state_dict())
    fit(model, [make([inputs, targets])], SGD(model.parameters(), 0.1), loss=loss, steps=1)
    loss(expected, (inputs, targets)).backward()
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert theirs.grad is not None
        assert_close(ours, theirs - 0.1 * theirs.grad)


def test_two_optimizers_share_the_model():
    model = tiny_gpt()
    matrices = [p for n, p in model.named_parameters() if n.startswith("blocks") and p.ndim == 2]
    rest = [p for p in model.parameters() if all(p is not matrix for matrix in matrices)]
    before = weights(model)
    pair = [Muon(matrices, 0.02, ns_dtype="float64"), AdamW(rest, 0.01)]
    history = fit(model, Shuffled(), pair, loss=mean_loss, steps=30)
    assert history.loss[-1] < history.loss[0]
    assert (weights(model) != before).double().mean() > 0.99
    assert history.rate == [0.02] * 30


def test_validation_is_the_mean_over_all_its_batches_without_dropout():
    model, data = tiny_gpt(dropout=0.3), padded()
    history = fit(
        model,
        data,
        SGD(model.parameters(), 0.0),
        loss=summed_loss,
        steps=7,
        validation=data,
        validate_every=3,
    )
    assert history.validation_step == [3, 6, 7]
    model.eval()
    everything = summed_loss(model, torch.cat(data))
    expected = (everything[0] / everything[1]).item()
    assert history.validation_loss == pytest.approx([expected] * 3, rel=1e-12)


def noisy_loss(model: nn.Module, ids: Tensor) -> Tensor:
    """A loss that draws numbers, as one that hides words does."""
    return mean_loss(model, ids) * (1 + torch.rand((), dtype=torch.float64))


def test_validation_leaves_the_training_as_it_was():
    models = tiny_gpt(dropout=0.3), tiny_gpt(dropout=0.3)
    for model, validation in zip(models, (None, DataLoader(ROWS, batch_size=3)), strict=True):
        model.blocks[0].eval()
        torch.manual_seed(5)
        fit(
            model,
            Shuffled(),
            SGD(model.parameters(), 0.1),
            loss=lambda model, ids: noisy_loss(model, ids[0] if type(ids) is list else ids),
            steps=5,
            validation=validation,
            validate_every=1,
        )
        assert not model.blocks[0].training
    assert torch.equal(weights(models[0]), weights(models[1]))


def test_it_stops_when_validation_gets_no_better():
    model = tiny_gpt()
    history = fit(
        model,
        Shuffled(),
        SGD(model.parameters(), 0.0),
        loss=mean_loss,
        steps=100,
        validation=list(Shuffled(2)),
        validate_every=5,
        patience=3,
    )
    assert history.validation_step == [5, 10, 15, 20]  # the first is the best, then three in vain
    assert len(history) == 20


def test_callbacks_are_called_and_may_end_the_run():
    seen = []

    def note(model: nn.Module, history: History) -> None:
        seen.append((model, len(history)))

    model = tiny_gpt()
    history = fit(
        model,
        Shuffled(),
        SGD(model.parameters(), 0.1),
        loss=mean_loss,
        steps=9,
        callbacks=[note, lambda model, history: len(history) == 4],
    )
    assert seen == [(model, 1), (model, 2), (model, 3), (model, 4)]
    assert len(history) == 4


def test_tokens_per_second_counts_what_the_loss_counts(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: 2.0 * next(clock))
    model = tiny_gpt()
    counted = fit(model, padded(), SGD(model.parameters(), 0.1), loss=summed_loss, steps=1)
    assert counted.tokens_per_second == [(padded()[0][:, 1:] != -1).sum().item() / 2]
    means = fit(model, Shuffled(), SGD(model.parameters(), 0.1), loss=mean_loss, steps=1)
    assert means.tokens_per_second == [5 * 11 / 2]


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.half)])
def test_products_are_in_16_bits_and_weights_are_not(precision, dtype):
    model = tiny_gpt(dtype=torch.float32)
    seen = []
    model.get_submodule("blocks.0.feed_forward.in_proj").register_forward_hook(
        lambda module, inputs, output: seen.append(output.dtype)
    )
    optimizer = AdamW(model.parameters(), 0.01)
    history = fit(model, Shuffled(), optimizer, loss=mean_loss, steps=40, precision=precision)
    assert {*seen} == {dtype}
    assert weights(model).dtype == torch.float32
    assert history.loss[-1] < history.loss[0] - 0.2
    assert all(isinstance(number, float) for number in history.loss)


def test_the_scaler_skips_a_step_that_overflows():
    model, before = tiny_gpt(dtype=torch.float32), []

    def note(model: nn.Module, history: History) -> None:
        before.append(weights(model))

    def steep(model: nn.Module, ids: Tensor) -> Tensor:
        return mean_loss(model, ids) * 1e3  # times the scale 2^16, more than float16 holds

    optimizer = SGD(model.parameters(), 1e-4)
    history = fit(
        model, Shuffled(), optimizer, loss=steep, steps=20, precision="fp16", callbacks=[note]
    )
    assert math.isnan(history.gradient_norm[0])
    assert math.isfinite(history.gradient_norm[-1])
    assert torch.equal(before[0], weights(tiny_gpt(dtype=torch.float32)))
    assert not torch.equal(before[-1], before[0])


def broken_from(step: int, kind: str):
    """A loss that goes wrong at a step: it is NaN, or only its gradient is."""
    calls = 0

    def loss(model: nn.Module, ids: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        value = mean_loss(model, ids)
        if calls < step:
            return value
        if kind == "loss":
            return value * math.nan
        spoiled = model.get_parameter("norm.weight")
        return value + (spoiled - spoiled.detach()).abs().sum().sqrt()  # 0, with slope 0 · ∞

    return loss


@pytest.mark.parametrize(
    ("kind", "message", "parameter"),
    [
        ("loss", r"step 4: loss nan, .*first of tokens\.weight", "tokens.weight"),
        ("gradient", r"step 4: loss 3\.\d+, .*first of norm\.weight", "norm.weight"),
    ],
)
def test_what_is_not_finite_stops_the_run(tmp_path, kind, message, parameter):
    model, path = tiny_gpt(), tmp_path / "run.safetensors"
    kept = []
    with pytest.raises(NonFiniteError, match=message) as caught:
        fit(
            model,
            Shuffled(),
            SGD(model.parameters(), 0.1),
            loss=broken_from(4, kind),
            steps=9,
            checkpoint=path,
            checkpoint_every=1,
            callbacks=[lambda model, history: kept.append(weights(model))],
        )
    assert (caught.value.step, caught.value.parameter) == (4, parameter)
    assert len(kept) == 3
    assert torch.equal(weights(model), kept[-1])  # nothing of step 4 is applied
    saved = tiny_gpt()
    history = fit(  # and what is saved is step 3
        saved,
        Shuffled(),
        SGD(saved.parameters(), 0.1),
        loss=broken_from(99, kind),
        steps=3,
        checkpoint=path,
    )
    assert len(history) == 3
    assert torch.equal(weights(saved), weights(model))
