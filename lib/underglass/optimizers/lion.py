"""Lion: every weight moves by the same amount; only the sign of the momentum counts.

Reference: Chen et al. (2023), "Symbolic Discovery of Optimization Algorithms", algorithm 2.
"""

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from underglass.optimizers import foreach
from underglass.optimizers.base import Group, State, UpdateRule, check_at_least_0, check_betas
from underglass.optimizers.foreach import Tensors


class Lion(UpdateRule):
    """w = w - lr (sign(β₁m + (1-β₁)g) + weight_decay w);  then m = β₂m + (1-β₂)g.

    One state instead of Adam's two. A step is larger than one of Adam's at the same rate: the paper
    (section 5) takes a rate 3 to 10 times smaller, and a decay as many times larger.

    Args:
        lr: the rate, at least 0: the size of a step of each weight.
        betas: share of m in the direction of a step; share of m that a step keeps.
        weight_decay: decay outside the sign, as in AdamW.
        foreach: False for the plain form, one tensor at a time; else the fast one.

    Raises:
        ValueError: if an option is out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
    ) -> None:
        super().__init__(params, foreach, lr=lr, betas=betas, weight_decay=weight_decay)

    def _check(self, group: Group) -> None:
        check_at_least_0(group, "lr", "weight_decay")
        check_betas(group)

    def _new_state(self, param: Tensor, group: Group) -> State:
        return {"exp_avg": torch.zeros_like(param)}

    def _update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        m, (beta1, beta2) = state["exp_avg"], group["betas"]
        direction = (beta1 * m + (1 - beta1) * grad).sign()
        param -= group["lr"] * (direction + group["weight_decay"] * param)
        m.copy_(beta2 * m + (1 - beta2) * grad)

    def _update_all(
        self, params: list[Tensor], grads: Tensors, states: list[State], group: Group
    ) -> None:
        means, (beta1, beta2) = [state["exp_avg"] for state in states], group["betas"]
        directions = foreach.lerp(means, grads, 1 - beta1)
        foreach.sign_(directions)
        if group["weight_decay"]:
            foreach.mul_(params, 1 - group["lr"] * group["weight_decay"])
        foreach.add_(params, directions, alpha=-group["lr"])
        foreach.lerp_(means, grads, 1 - beta2)
