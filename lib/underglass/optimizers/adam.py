"""Adam: momentum, scaled for every weight by the size of its gradients. AdamW: with true decay.

References: Kingma and Ba (2015), "Adam", algorithm 1;
Loshchilov and Hutter (2019), "Decoupled Weight Decay Regularization", algorithm 2.
"""

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from underglass.optimizers import foreach
from underglass.optimizers.base import (
    Group,
    State,
    UpdateRule,
    check_at_least_0,
    check_betas,
    new_step,
)
from underglass.optimizers.foreach import Tensors


class Adam(UpdateRule):
    """m = β₁m + (1-β₁)g;  v = β₂v + (1-β₂)g²;  w = w - lr m̂ / (√v̂ + eps).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) make up for means that start at 0: after step t the
    weights of the gradients in m sum to 1 - β₁ᵗ only, and m̂ is a true mean.

    Args:
        lr: the rate, at least 0: about the size of a step of each weight.
        betas: shares of m and of v that a step keeps.
        eps: keeps the division finite where gradients are 0.
        weight_decay: adds `weight_decay * w` to the gradient g (an L2 penalty); the division then
            shrinks this as well: see `AdamW`.
        bias_correction: False takes m and v as they are, to show what the correction is for: the
            first step is then (1 - β₁) / √(1 - β₂) times as large, about 3 at the defaults.
        foreach: False for the plain form, one tensor at a time; else the fast one.

    Raises:
        ValueError: if an option is out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        bias_correction: bool = True,
        foreach: bool | None = None,
    ) -> None:
        options = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        super().__init__(params, foreach, bias_correction=bias_correction, **options)

    def _check(self, group: Group) -> None:
        _check_adam(group)

    def _new_state(self, param: Tensor, group: Group) -> State:
        return _zeros(param)

    def _update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        grad = grad + group["weight_decay"] * param
        _adam(param, grad, state, group)

    def _update_all(
        self, params: list[Tensor], grads: Tensors, states: list[State], group: Group
    ) -> None:
        if group["weight_decay"]:
            grads = foreach.add(grads, params, alpha=group["weight_decay"])
        _adam_all(params, grads, states, group)


class AdamW(UpdateRule):
    """w = w - lr weight_decay w;  then Adam's step: m̂ / (√v̂ + eps), with no penalty in g.

    Decay outside the division shrinks every weight by the same share, `lr * weight_decay` a step,
    however large its gradients are.

    Args:
        lr: the rate, at least 0: about the size of a step of each weight.
        betas: shares of m and of v that a step keeps.
        eps: keeps the division finite where gradients are 0.
        weight_decay: the decay, at least 0. The paper's is `lr * weight_decay` of this one.
        bias_correction: False takes m and v as they are: see `Adam`.
        foreach: False for the plain form, one tensor at a time; else the fast one.

    Raises:
        ValueError: if an option is out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        bias_correction: bool = True,
        foreach: bool | None = None,
    ) -> None:
        options = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        super().__init__(params, foreach, bias_correction=bias_correction, **options)

    def _check(self, group: Group) -> None:
        _check_adam(group)

    def _new_state(self, param: Tensor, group: Group) -> State:
        return _zeros(param)

    def _update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        param -= group["lr"] * group["weight_decay"] * param
        _adam(param, grad, state, group)

    def _update_all(
        self, params: list[Tensor], grads: Tensors, states: list[State], group: Group
    ) -> None:
        if group["weight_decay"]:
            foreach.mul_(params, 1 - group["lr"] * group["weight_decay"])
        _adam_all(params, grads, states, group)


def _check_adam(group: Group) -> None:
    check_at_least_0(group, "lr", "eps", "weight_decay")
    check_betas(group)


def _zeros(param: Tensor) -> State:
    m, v = torch.zeros_like(param), torch.zeros_like(param)
    return {"step": new_step(), "exp_avg": m, "exp_avg_sq": v}


def _adam(param: Tensor, grad: Tensor, state: State, group: Group) -> None:
    """The formula."""
    m, v, (beta1, beta2) = state["exp_avg"], state["exp_avg_sq"], group["betas"]
    state["step"] += 1
    m.copy_(beta1 * m + (1 - beta1) * grad)
    v.copy_(beta2 * v + (1 - beta2) * grad**2)
    if group["bias_correction"]:
        step = state["step"].item()
        m, v = m / (1 - beta1**step), v / (1 - beta2**step)
    param -= group["lr"] * m / (v.sqrt() + group["eps"])


def _adam_all(params: list[Tensor], grads: Tensors, states: list[State], group: Group) -> None:
    """The same, with the corrections moved from the tensors to the two scalars.

    With c₁ = 1 - β₁ᵗ and c₂ = 1 - β₂ᵗ:
    lr (m / c₁) / (√(v / c₂) + eps) = (lr √c₂ / c₁) m / (√v + eps √c₂).
    """
    (beta1, beta2), lr, eps = group["betas"], group["lr"], group["eps"]
    means = [state["exp_avg"] for state in states]
    squares = [state["exp_avg_sq"] for state in states]
    steps = [state["step"] for state in states]
    foreach.add_(steps, 1)
    foreach.lerp_(means, grads, 1 - beta1)
    foreach.mul_(squares, beta2)
    foreach.addcmul_(squares, grads, grads, 1 - beta2)
    rates, floors = [-lr] * len(params), [eps] * len(params)
    if group["bias_correction"]:
        for index, step in enumerate(steps):
            c1, root_c2 = 1 - beta1 ** step.item(), (1 - beta2 ** step.item()) ** 0.5
            rates[index], floors[index] = -lr * root_c2 / c1, eps * root_c2
    roots = foreach.sqrt(squares)
    foreach.add_(roots, floors)
    foreach.addcdiv_(params, means, roots, rates)
