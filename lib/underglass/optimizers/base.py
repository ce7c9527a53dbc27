"""What the optimizers share: parameter groups, states, and the choice between two forms.

An optimizer states its rule twice. `_update` is the formula for one tensor, to be read.
`_update_all` is the same for a list of tensors at once, to be used: `torch._foreach_*` functions
launch one kernel where a loop launches one for each tensor. The tests hold both equal.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from underglass.optimizers.foreach import Tensors

State = dict[str, Tensor]
Group = dict[str, Any]
# On a CPU all steps of the rule run over about so many numbers before the next ones are fetched:
# parameters, gradients and states of a batch then stay in the cache.
CPU_BATCH = 2**17
# Options of torch.optim that would change the steps, and that a state of torch's could bring along.
UNKNOWN_HERE = ("amsgrad", "centered", "dampening", "maximize")


class UpdateRule(Optimizer, ABC):
    """An optimizer that is a rule for one parameter, its gradient and its state."""

    def __init__(self, params: ParamsT, foreach: bool | None, **options: Any) -> None:
        super().__init__(params, {**options, "foreach": foreach})

    @abstractmethod
    def _check(self, group: Group) -> None:
        """Refuse options that the rule cannot work with."""

    def _check_param(self, name: str, param: Tensor) -> None:
        """Refuse a parameter that the rule cannot work with."""
        if param.is_complex():
            raise TypeError(f"{name} is {param.dtype}: expected real numbers")

    @abstractmethod
    def _new_state(self, param: Tensor, group: Group) -> State:
        """What is kept of the gradients from step to step, before the first."""

    @abstractmethod
    def _update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """The plain form: change `param` and `state` in place."""

    @abstractmethod
    def _update_all(
        self, params: list[Tensor], grads: Tensors, states: list[State], group: Group
    ) -> None:
        """The same for tensors of one device and dtype."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: computes the loss anew, with its gradients, before the step.

        Returns:
            What `closure` returns.

        Raises:
            ValueError: if a gradient is sparse; no parameter has changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        ready = [(group, self._with_gradient(group)) for group in self.param_groups]
        for group, params in ready:
            for param in params:
                if not self.state[param]:
                    self.state[param].update(self._new_state(param, group))
            if group["foreach"] is False:
                for param in params:
                    self._update(param, _grad(param), self.state[param], group)
            else:
                for batch in _batches(params):
                    states = [self.state[param] for param in batch]
                    self._update_all(batch, [_grad(param) for param in batch], states, group)
        return loss

    def _with_gradient(self, group: Group) -> list[Tensor]:
        for index, param in enumerate(group["params"]):
            if param.grad is not None and param.grad.layout != torch.strided:
                raise ValueError(
                    f"the gradient of params[{index}] {tuple(param.shape)} is sparse: expected a "
                    "dense one (from nn.Embedding: with sparse=False)"
                )
        return [param for param in group["params"] if param.grad is not None]

    def add_param_group(self, param_group: Group) -> None:
        """Train more parameters, with options of their own: `{"params": [...], "lr": 0.1}`.

        Raises:
            ValueError: if an option or a parameter does not suit this optimizer.
            TypeError: if an option is not a number, or a parameter is complex.
        """
        super().add_param_group(param_group)
        try:
            self._check(self.param_groups[-1])
            for index, param in enumerate(self.param_groups[-1]["params"]):
                self._check_param(f"params[{index}]", param)
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a saved state, if it is one of this optimizer (load_state_dict calls this)."""
        defaults = state.get("defaults") or self.defaults
        for group in state["param_groups"]:
            for option, value in defaults.items():  # which torch's own optimizer may not have
                group.setdefault(option, value)
            for option in UNKNOWN_HERE:
                if group.get(option):
                    raise ValueError(
                        f"{option}={group[option]}: expected 0, as nothing else is here"
                    )
            self._check(group)
            for index, param in enumerate(group["params"]):
                expected = self._new_state(torch.empty_like(param, device="meta"), group)
                _check_state(f"params[{index}]", state["state"].get(param, {}), expected)
        super().__setstate__(state)


def _grad(param: Tensor) -> Tensor:
    assert param.grad is not None
    return param.grad


def _batches(params: list[Tensor]) -> Iterable[list[Tensor]]:
    """Lists of tensors of one device and dtype; on a CPU, no longer than the cache likes."""
    alike: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for param in params:
        alike.setdefault((param.device, param.dtype), []).append(param)
    for (device, _), tensors in alike.items():
        if device.type != "cpu":
            yield tensors
            continue
        batch, size = [], 0
        for tensor in tensors:
            if batch and size + tensor.numel() > CPU_BATCH:
                yield batch
                batch, size = [], 0
            batch.append(tensor)
            size += tensor.numel()
        yield batch


def new_step() -> Tensor:
    """A count of steps: a tensor, as in torch's states, on the CPU, where reading it is cheap."""
    return torch.zeros((), dtype=torch.float32, device="cpu")


def check_at_least_0(group: Group, *names: str) -> None:
    for name in names:
        _check_number(name, group[name])
        if not 0 <= group[name] < math.inf:
            raise ValueError(f"{name}={group[name]}: expected a finite number of at least 0")


def check_share(name: str, value: Any) -> None:
    _check_number(name, value)
    if not 0 <= value < 1:
        raise ValueError(f"{name}={value}: expected a share from 0 up to, but not including, 1")


def check_betas(group: Group) -> None:
    betas = group["betas"]
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"betas={betas}: expected two shares, (beta1, beta2)")
    for index, beta in enumerate(betas):
        check_share(f"betas[{index}]", beta)


def _check_number(name: str, value: Any) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}: expected a number")


def _check_state(name: str, state: State, expected: State) -> None:
    """Refuse a state of another optimizer, or of a parameter of another shape."""
    have = {key: tuple(value.shape) for key, value in state.items() if value is not None}
    want = {key: tuple(value.shape) for key, value in expected.items()}
    if have and have != want:
        raise ValueError(f"the state of {name} holds {have}: expected {want}")
