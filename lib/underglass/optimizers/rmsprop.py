"""RMSProp: a rate of its own for every weight, by the size of its recent gradients.

Reference: Tieleman and Hinton (2012), "Neural Networks for Machine Learning", lecture 6.5, which
takes alpha=0.9. The defaults here are torch's. As there, eps stands outside the root.
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
    check_share,
    new_step,
)
from underglass.optimizers.foreach import Tensors


class RMSProp(UpdateRule):
    """v = alpha v + (1 - alpha) g²;  w = w - lr g / (√v + eps).

    Args:
        lr: the rate, at least 0.
        alpha: share of the mean square v that a step keeps: v looks back about 1 / (1 - alpha)
            steps. It starts at 0, and nothing makes up for that: the first step is
            lr / √(1 - alpha) in size, ten times lr at alpha=0.99.
        eps: keeps the division finite where gradients are 0.
        weight_decay: adds `weight_decay * w` to the gradient g.
        foreach: False for the plain form, one tensor at a time; else the fast one.

    Raises:
        ValueError: if an option is out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
    ) -> None:
        options = dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay)
        super().__init__(params, foreach, **options)

    def _check(self, group: Group) -> None:
        check_at_least_0(group, "lr", "eps", "weight_decay")
        check_share("alpha", group["alpha"])

    def _new_state(self, param: Tensor, group: Group) -> State:
        return {"step": new_step(), "square_avg": torch.zeros_like(param)}

    def _update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        v, alpha = state["square_avg"], group["alpha"]
        state["step"] += 1
        grad = grad + group["weight_decay"] * param
        v.copy_(alpha * v + (1 - alpha) * grad**2)
        param -= group["lr"] * grad / (v.sqrt() + group["eps"])

    def _update_all(
        self, params: list[Tensor], grads: Tensors, states: list[State], group: Group
    ) -> None:
        squares, alpha = [state["square_avg"] for state in states], group["alpha"]
        foreach.add_([state["step"] for state in states], 1)
        if group["weight_decay"]:
            grads = foreach.add(grads, params, alpha=group["weight_decay"])
        foreach.mul_(squares, alpha)
        foreach.addcmul_(squares, grads, grads, 1 - alpha)
        roots = foreach.sqrt(squares)
        foreach.add_(roots, group["eps"])
        foreach.addcdiv_(params, grads, roots, -group["lr"])
