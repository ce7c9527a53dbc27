import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from torch import nn
from torch.testing import assert_close
from underglass.optimizers import SGD, Adam, AdamW, Lion, Muon, RMSProp, base
from underglass.optimizers import foreach as fast
from underglass.optimizers.base import UpdateRule

F64, STEPS = torch.float64, 200
SHAPES = [(5, 3), (7,), (2, 3, 5), (), (3, 5), (7,)]
MATRICES = [(5, 3), (3, 5), (7, 7), (5, 3), (1, 4)]

OPTIONS: dict[str, tuple[type[UpdateRule], dict[str, Any]]] = {
    "SGD": (SGD, dict(lr=0.1)),
    "SGD decay": (SGD, dict(lr=0.1, weight_decay=0.05)),
    "SGD momentum": (SGD, dict(lr=0.03, momentum=0.9)),
    "SGD Nesterov decay": (SGD, dict(lr=0.03, momentum=0.8, nesterov=True, weight_decay=0.1)),
    "RMSProp": (RMSProp, dict(lr=0.01)),
    "RMSProp options": (RMSProp, dict(lr=0.02, alpha=0.8, eps=1e-3, weight_decay=0.1)),
    "Adam": (Adam, dict(lr=0.01)),
    "Adam options": (Adam, dict(lr=0.02, betas=(0.7, 0.95), eps=1e-3, weight_decay=0.1)),
    "AdamW": (AdamW, dict(lr=0.01)),
    "AdamW options": (AdamW, dict(lr=0.02, betas=(0.7, 0.95), eps=1e-3, weight_decay=0.2)),
}
OTHERS: dict[str, tuple[type[UpdateRule], dict[str, Any]]] = {  # torch has them not, or not so
    "Adam uncorrected": (Adam, dict(lr=0.01, bias_correction=False)),
    "AdamW uncorrected": (AdamW, dict(lr=0.01, betas=(0.5, 0.9), bias_correction=False)),
    "Lion": (Lion, dict(lr=0.01)),
    "Lion options": (Lion, dict(lr=0.02, betas=(0.6, 0.8), weight_decay=0.3)),
    "Muon": (Muon, dict(lr=0.02, ns_dtype="float64")),
    "Muon options": (
        Muon,
        dict(lr=0.02, weight_decay=0.3, momentum=0.5, nesterov=False, ns_dtype="float64"),
    ),
    "Muon as AdamW": (Muon, dict(adjust_lr_fn="match_rms_adamw", ns_steps=3, ns_dtype="float64")),
}
with_torch = pytest.mark.parametrize(("kind", "options"), OPTIONS.values(), ids=OPTIONS.keys())
every = pytest.mark.parametrize(
    ("kind", "options"), [*OPTIONS.values(), *OTHERS.values()], ids=[*OPTIONS, *OTHERS]
)
both_forms = pytest.mark.parametrize("foreach", [False, None], ids=["plain", "foreach"])


def of_torch_name(kind: type) -> str:
    return {"RMSProp": "RMSprop"}.get(kind.__name__, kind.__name__)


def of_torch(kind: type) -> Any:
    return getattr(torch.optim, of_torch_name(kind))


def parameters(kind: type = SGD, dtype=F64, device="cpu"):
    generator = torch.Generator().manual_seed(1)
    shapes = MATRICES if kind is Muon else SHAPES
    weights = [torch.randn(s, generator=generator, dtype=F64) for s in shapes]
    return [nn.Parameter(w.to(device, dtype)) for w in weights]


def set_gradients(params, step):
    """Of a bowl, with noise that depends on the step alone; the second gets none at times."""
    generator = torch.Generator().manual_seed(1000 + step)
    for index, param in enumerate(params):
        noise = torch.randn(param.shape, generator=generator, dtype=F64).to(param)
        param.grad = None if index == 1 and step % 3 == 1 else (param.detach() - 1) + noise


def train(optimizer, params, steps=STEPS, start=0):
    for step in range(start, start + steps):
        set_gradients(params, step)
        optimizer.step()
    return [param.detach().clone() for param in params]


def run(kind, options, steps=STEPS, dtype=F64, **more):
    params = parameters(kind, dtype)
    return train(kind(params, **options, **more), params, steps)


# ----------------------------------------------------------------------- the same numbers


@with_torch
@both_forms
def test_equals_torch_over_200_steps(kind, options, foreach):
    params = parameters()
    theirs = train(of_torch(kind)(params, **options), params)
    assert_close(run(kind, options, foreach=foreach), theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [SGD, RMSProp, Adam, AdamW, Muon])
def test_defaults_are_torchs(kind):
    if not hasattr(torch.optim, of_torch_name(kind)):
        pytest.skip("torch before 2.9 has no Muon")
    ours = kind(parameters(kind)).defaults
    theirs = of_torch(kind)(parameters(kind)).defaults
    shared = ours.keys() & theirs.keys() - {"foreach"}
    assert len(shared) >= 4
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def test_defaults_of_lion_are_those_of_its_authors():
    """Those of the optimizer that they published; the paper's algorithm names the betas only."""
    defaults = Lion(parameters()).defaults
    assert defaults == dict(lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, foreach=None)


@pytest.mark.parametrize("kind", [RMSProp, Adam, AdamW])
@both_forms
def test_steps_are_counted_in_the_state(kind, foreach):
    """torch's own optimizers go on from this count."""
    optimizer = kind(params := parameters(), foreach=foreach)
    train(optimizer, params, 3)
    assert [optimizer.state[p]["step"].item() for p in params] == [3, 2, 3, 3, 3, 3]


def test_steps_are_counted_in_float32_whatever_the_default():
    torch.set_default_dtype(F64)
    try:
        assert base.new_step().dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@every
def test_both_forms_are_equal(kind, options):
    slow, quick = run(kind, options, 50, foreach=False), run(kind, options, 50, foreach=True)
    assert_close(quick, slow, rtol=1e-12, atol=1e-12)
    assert_close(run(kind, options, 50), quick, rtol=0, atol=0)
    assert all((p - q).abs().max() > 1e-3 for p, q in zip(parameters(kind), slow, strict=True))


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_forms_are_near_in_fewer_bits(kind, options, dtype):
    options = options | (dict(ns_dtype="float32") if kind is Muon else {})
    slow = run(kind, options, 5, dtype, foreach=False)
    quick = run(kind, options, 5, dtype, foreach=True)
    assert all(p.dtype == dtype for p in slow + quick)
    # rounded at different places; a sign of Lion's may tip over
    tolerance = 1e-5 if dtype == torch.float32 else 0.06
    assert_close(quick, slow, rtol=tolerance, atol=tolerance)


def numpy_lion(w, gradients, lr, betas, decay):
    m, (beta1, beta2) = np.zeros_like(w), betas
    for gradient in gradients:
        update = np.sign(beta1 * m + (1 - beta1) * gradient)
        w = w - lr * (update + decay * w)
        m = beta2 * m + (1 - beta2) * gradient
    return w


@both_forms
@pytest.mark.parametrize(("betas", "decay"), [((0.9, 0.99), 0.0), ((0.6, 0.8), 0.3)])
def test_lion_equals_the_algorithm_of_the_paper(foreach, betas, decay):
    gradients = torch.randn(STEPS, 5, 3, dtype=F64)
    param = nn.Parameter(torch.randn(5, 3, dtype=F64))
    start = param.detach().numpy().copy()
    lion = Lion([param], lr=0.01, betas=betas, weight_decay=decay, foreach=foreach)
    for gradient in gradients:
        param.grad = gradient
        lion.step()
    expected = numpy_lion(start, gradients.numpy(), 0.01, betas, decay)
    assert_close(param.detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@both_forms
@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam_without_bias_correction(kind, foreach):
    gradients = torch.randn(STEPS, 5, dtype=F64)
    param = nn.Parameter(torch.randn(5, dtype=F64))
    w, m, v = param.detach().clone(), torch.zeros(5, dtype=F64), torch.zeros(5, dtype=F64)
    options: dict[str, Any] = dict(lr=0.01, weight_decay=0.0, bias_correction=False)
    adam = kind([param], **options, foreach=foreach)
    for gradient in gradients:
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient * gradient
        w = w - 0.01 * m / (v.sqrt() + 1e-8)
        param.grad = gradient
        adam.step()
    assert_close(param.detach(), w, rtol=1e-12, atol=1e-12)


@both_forms
def test_the_first_step_shows_what_bias_correction_is_for(foreach):
    def first_step(**options):
        param = nn.Parameter(torch.zeros(3, dtype=F64))
        param.grad = torch.tensor([1.0, -20.0, 0.3], dtype=F64)
        Adam([param], lr=0.01, eps=0.0, foreach=foreach, **options).step()
        return param.detach()

    signs = torch.tensor([1.0, -1.0, 1.0], dtype=F64)
    assert_close(first_step(), -0.01 * signs)
    assert_close(first_step(bias_correction=False), -0.01 * (0.1 / 0.001**0.5) * signs)


# ----------------------------------------------------------------------- a torch optimizer


def groups(params):
    return [{"params": params[:2]}, {"params": params[2:], "lr": 0.05}]


@with_torch
def test_parameter_groups_have_their_own_options(kind, options):
    mine, theirs = parameters(), parameters()
    ours = kind(groups(mine[:-1]), **options)
    reference = of_torch(kind)(groups(theirs[:-1]), **options)
    for optimizer, last in ((ours, mine[-1]), (reference, theirs[-1])):
        optimizer.add_param_group({"params": [last], "lr": 0.002})
    assert_close(train(ours, mine), train(reference, theirs), rtol=1e-10, atol=1e-12)
    assert [group["lr"] for group in ours.param_groups] == [options["lr"], 0.05, 0.002]


def through_json(state):
    """As a checkpoint without pickle would: tensors here, everything else as JSON there."""
    held = {index: dict(values) for index, values in state["state"].items()}
    assert all(torch.is_tensor(v) for values in held.values() for v in values.values())
    return {"state": held, "param_groups": json.loads(json.dumps(state["param_groups"]))}


@every
@both_forms
def test_a_saved_state_continues_identically(kind, options, foreach):
    params = parameters(kind)
    whole = kind(params, **options, foreach=foreach)
    train(whole, params, 20)
    saved = copy.deepcopy((through_json(whole.state_dict()), [p.detach().clone() for p in params]))
    expected = train(whole, params, 20, start=20)

    resumed = [nn.Parameter(p) for p in saved[1]]
    other = kind(resumed, lr=9.0)  # what was saved counts
    other.load_state_dict(saved[0])
    assert_close(train(other, resumed, 20, start=20), expected, rtol=0, atol=0)


@with_torch
def test_continues_from_a_state_of_torchs(kind, options):
    params = parameters()
    theirs = of_torch(kind)(params, **options)
    train(theirs, params, 20)
    state = copy.deepcopy(theirs.state_dict())
    continued = [nn.Parameter(p.detach().clone()) for p in params]
    expected = train(theirs, params, 20, start=20)
    ours = kind(continued, lr=0.5)
    ours.load_state_dict(state)
    assert_close(train(ours, continued, 20, start=20), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [(SGD, "dampening", 0.5), (SGD, "maximize", True), (RMSProp, "centered", True)]
    + [(Adam, "amsgrad", True), (AdamW, "amsgrad", True), (Adam, "maximize", True)],
)
def test_torchs_states_with_other_rules_are_refused(kind, option, value):
    state = of_torch(kind)(parameters(), **{option: value}).state_dict()
    with refused(ValueError, f"{option}={value}: expected 0, as nothing else is here"):
        kind(parameters()).load_state_dict(state)


@every
def test_a_copy_goes_its_own_way(kind, options):
    params = parameters(kind)
    optimizer = kind(params, **options)
    train(optimizer, params, 3)
    twin, twins = copy.deepcopy((optimizer, params))
    assert_close(train(twin, twins, 3, start=3), train(optimizer, params, 3, start=3))
    assert optimizer.defaults.items() <= twin.defaults.items()


@every
def test_torchs_schedulers_set_the_rate(kind, options):
    options = options | {"lr": 0.5}

    def trained(at_step):
        params = parameters(kind)
        optimizer = kind(params, **options)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
        for step in range(5):
            at_step(optimizer, schedule, step)
            set_gradients(params, step)
            optimizer.step()
            schedule.step()
        return [p.detach() for p in params]

    def by_hand(optimizer, schedule, step):
        schedule.lr_lambdas[0] = lambda _: 1.0
        optimizer.param_groups[0]["lr"] = 0.5 * 0.5**step

    assert_close(trained(lambda *_: None), trained(by_hand), rtol=0, atol=0)


@every
@both_forms
def test_a_closure_computes_the_loss_with_gradients(kind, options, foreach):
    params = parameters(kind)
    optimizer = kind(params, **options, foreach=foreach)

    def closure():
        optimizer.zero_grad()
        loss = torch.stack([((p - 1) ** 2).sum() for p in params]).sum()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(30)]
    assert losses[-1] < losses[0]
    assert optimizer.step() is None


@every
@both_forms
def test_parameters_without_a_gradient_stay_and_cost_nothing(kind, options, foreach):
    params = parameters(kind)
    before = [p.detach().clone() for p in params]
    optimizer = kind(params, **options, foreach=foreach)
    params[0].grad = torch.ones_like(params[0])
    optimizer.step()
    assert not torch.equal(params[0], before[0])
    assert_close([p.detach() for p in params[1:]], before[1:], rtol=0, atol=0)
    assert list(optimizer.state) == [params[0]]


@both_forms
def test_gradients_are_left_as_they_are(foreach):
    for kind, options in [*OPTIONS.values(), *OTHERS.values()]:
        params = parameters(kind)
        optimizer = kind(params, **options, foreach=foreach)
        for step in range(3):
            set_gradients(params, step)
            before = [None if p.grad is None else p.grad.clone() for p in params]
            optimizer.step()
            assert_close(
                [p.grad for p in params if p.grad is not None], [g for g in before if g is not None]
            )


def test_memory_that_each_keeps():
    def kept(kind, **options):
        param = nn.Parameter(torch.zeros(5, 3))
        param.grad = torch.ones(5, 3)
        optimizer = kind([param], **options)
        optimizer.step()
        return sum(t.numel() for t in optimizer.state[param].values() if t.ndim) / 15

    assert [kept(k) for k in (SGD, RMSProp, Adam, AdamW, Lion, Muon)] == [0, 1, 2, 2, 1, 1]
    assert kept(SGD, momentum=0.9) == 1


@both_forms
def test_dtypes_may_be_mixed_and_batches_split(foreach, monkeypatch):
    monkeypatch.setattr("underglass.optimizers.base.CPU_BATCH", 20)
    params = parameters() + parameters(dtype=torch.float32)
    ours = train(AdamW(params, foreach=foreach), params, 10)
    params = parameters() + parameters(dtype=torch.float32)
    assert_close(ours, train(torch.optim.AdamW(params), params, 10))


def test_batches_fill_the_cache_of_a_cpu_and_are_whole_elsewhere(monkeypatch):
    monkeypatch.setattr(base, "CPU_BATCH", 20)
    sizes = [8, 12, 5, 15, 8, 6, 7, 25, 3]
    there = [torch.empty(size, device="meta") for size in sizes]
    here = [torch.empty(size) for size in sizes]
    batches = [[len(tensor) for tensor in batch] for batch in base._batches(there + here)]
    assert batches == [sizes, [8, 12], [5, 15], [8, 6], [7], [25], [3]]


@every
@both_forms
def test_runs_on_the_meta_device(kind, options, foreach):
    with torch.device("meta"):
        params = parameters(kind, device="meta")
        optimizer = kind(params, **options, foreach=foreach)
        for _ in range(2):
            for param in params:
                param.grad = torch.ones_like(param)
            optimizer.step()
    assert all(p.is_meta for p in params)


# ----------------------------------------------------------------------- refusals

ZERO, BELOW_1 = "expected a finite number of at least 0", "expected a share from 0 up to, but not"
WRONG: list[tuple[type[UpdateRule], dict[str, Any], type[Exception], str]] = [
    (SGD, dict(momentum=0.0, nesterov=True), ValueError, "nesterov=True with momentum=0"),
    (SGD, dict(momentum=1.0), ValueError, f"momentum=1.0: {BELOW_1}"),
    (SGD, dict(momentum=-0.1), ValueError, f"momentum=-0.1: {BELOW_1}"),
    (Muon, dict(momentum=9), ValueError, f"momentum=9: {BELOW_1}"),
    (RMSProp, dict(alpha=1.0), ValueError, f"alpha=1.0: {BELOW_1}"),
    (RMSProp, dict(eps=-1e-8), ValueError, f"eps=-1e-08: {ZERO}"),
    (Adam, dict(eps=-1.0), ValueError, f"eps=-1.0: {ZERO}"),
    (AdamW, dict(eps="0"), TypeError, "eps='0' is a str: expected a number"),
    (Muon, dict(ns_steps=0), ValueError, "ns_steps=0: expected a whole number of at least 1"),
    (Muon, dict(ns_steps=2.5), ValueError, "ns_steps=2.5: expected a whole number"),
    (Muon, dict(ns_dtype="float8"), ValueError, r"ns_dtype='float8': expected .*'bfloat16', "),
    (Muon, dict(adjust_lr_fn="x"), ValueError, r"adjust_lr_fn='x': expected .*'match_rms_adamw'"),
]
for _kind in (SGD, RMSProp, Adam, AdamW, Lion, Muon):
    WRONG += [
        (_kind, dict(lr=-0.1), ValueError, f"lr=-0.1: {ZERO}"),
        (_kind, dict(lr=float("nan")), ValueError, f"lr=nan: {ZERO}"),
        (_kind, dict(lr=float("inf")), ValueError, f"lr=inf: {ZERO}"),
        (_kind, dict(lr=None), TypeError, "lr=None is a NoneType: expected a number"),
        (_kind, dict(lr=True), TypeError, "lr=True is a bool: expected a number"),
        (_kind, dict(weight_decay=-1), ValueError, f"weight_decay=-1: {ZERO}"),
    ]
for _kind in (Adam, AdamW, Lion):
    WRONG += [
        (_kind, dict(betas=(1.0, 0.9)), ValueError, rf"betas\[0\]=1.0: {BELOW_1}"),
        (_kind, dict(betas=(0.9, -0.5)), ValueError, rf"betas\[1\]=-0.5: {BELOW_1}"),
        (_kind, dict(betas=(0.9,)), ValueError, r"betas=\(0.9,\): expected two shares"),
        (_kind, dict(betas=0.9), ValueError, r"betas=0.9: expected two shares, \(beta1, beta2\)"),
        (_kind, dict(betas=(0.9, "x")), TypeError, r"betas\[1\]='x' is a str: expected a number"),
    ]


@pytest.mark.parametrize(("kind", "options", "error", "message"), WRONG)
def test_wrong_options_are_refused(kind, options, error, message):
    params = [nn.Parameter(torch.zeros(5, 3))]
    with refused(error, message):
        kind(params, **options)
    optimizer = kind([nn.Parameter(torch.zeros(2, 2))])
    if "nesterov" not in options:
        with refused(error, message):
            optimizer.add_param_group({"params": params, **options})
        assert len(optimizer.param_groups) == 1


def test_wrong_parameters_are_refused():
    vector, matrix = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(5, 3))
    message = r"params\[1\] has shape \(5,\): expected a matrix; give vectors, .* to AdamW"
    with refused(ValueError, message):
        Muon([matrix, vector])
    with refused(ValueError, r"params\[0\] has shape \(2, 3, 4\): expected a matrix"):
        Muon([nn.Parameter(torch.zeros(2, 3, 4))])
    for kind in (SGD, RMSProp, Adam, AdamW, Lion, Muon):
        with refused(TypeError, r"params\[0\] is torch.complex64: expected real numbers"):
            kind([nn.Parameter(torch.zeros(2, 2, dtype=torch.complex64))])
        with refused(ValueError, "empty parameter list"):
            kind([])


@pytest.mark.parametrize("kind", [SGD, RMSProp, Adam, AdamW, Lion, Muon])
@both_forms
def test_sparse_gradients_are_refused_before_anything_moves(kind, foreach):
    dense, sparse = nn.Parameter(torch.ones(5, 3)), nn.Parameter(torch.ones(7, 3))
    optimizer = kind([{"params": [dense]}, {"params": [dense.clone().detach(), sparse]}])
    dense.grad, sparse.grad = torch.ones(5, 3), torch.ones(7, 3).to_sparse()
    with refused(ValueError, r"gradient of params\[1\] \(7, 3\) is sparse: expected a dense one"):
        optimizer.step()
    assert dense.eq(1).all()
    assert not optimizer.state


def test_states_of_others_are_refused():
    def trained(kind, shape=(5, 3), **options):
        param = nn.Parameter(torch.zeros(shape))
        param.grad = torch.ones(shape)
        optimizer = kind([param], **options)
        optimizer.step()
        return optimizer

    adam = trained(Adam)
    before = copy.deepcopy(adam.state_dict())
    message = r"the state of params\[0\] holds {'exp_avg': \(5, 3\)}: expected {'step': \(\), 'exp"
    with refused(ValueError, message):
        adam.load_state_dict(trained(Lion).state_dict())
    with refused(ValueError, r"holds .*'exp_avg': \(4, 3\).*: expected .*'exp_avg': \(5, 3\)"):
        adam.load_state_dict(trained(Adam, (4, 3)).state_dict())
    wrong = trained(Adam).state_dict()
    wrong["param_groups"][0]["betas"] = (0.9, 1.5)
    with refused(ValueError, r"betas\[1\]=1.5: expected a share"):
        adam.load_state_dict(wrong)
    assert_close(adam.state_dict(), before, rtol=0, atol=0)
    adam.load_state_dict(Adam([nn.Parameter(torch.zeros(5, 3))]).state_dict())  # before its start


# ----------------------------------------------------------------------- the readable path


@every
@both_forms
def test_needs_none_of_torchs_algorithms(kind, options, foreach, monkeypatch):
    expected = run(kind, options, 5, foreach=foreach)

    def forbidden(*_, **__):
        raise AssertionError("torch's own optimizer was called")

    for name in ("SGD", "RMSprop", "Adam", "AdamW", "Muon"):
        if hasattr(torch.optim, name):
            monkeypatch.setattr(getattr(torch.optim, name), "step", forbidden)
            monkeypatch.setattr(getattr(torch.optim, name), "__init__", forbidden)
    for module in ("sgd", "rmsprop", "adam", "adamw", "_muon", "_functional"):
        module = getattr(torch.optim, module, None)
        for name in dir(module):
            if name.startswith(("_single_tensor", "_multi_tensor", "_fused")) or (
                module is not None and name == module.__name__.rpartition(".")[2].strip("_")
            ):
                monkeypatch.setattr(module, name, forbidden)
    for name in dir(torch):
        if name.startswith("_fused_"):
            monkeypatch.setattr(torch, name, forbidden)
    if foreach is False:
        for name in dir(torch):
            if name.startswith("_foreach_"):
                monkeypatch.setattr(torch, name, forbidden)
        for name in dir(fast):
            if name.strip("_") in ("add", "mul", "lerp", "sign", "sqrt", "addcmul", "addcdiv"):
                monkeypatch.setattr(fast, name, forbidden)
    assert_close(run(kind, options, 5, foreach=foreach), expected, rtol=0, atol=0)
