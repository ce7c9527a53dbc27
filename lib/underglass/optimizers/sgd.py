"""Stochastic gradient descent, with momentum and with Nesterov's.

References: Polyak (1964), "Some methods of speeding up the convergence of iteration methods";
Sutskever et al. (2013), "On the importance of initialization and momentum in deep learning",
section 2. The paper keeps the rate inside the velocity; here, as in torch, the rate multiplies it,
so that a change of the rate acts at once.
"""

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from underglass.optimizers import foreach
from underglass.optimizers.base import Group, State, UpdateRule, check_at_least_0, check_share
from underglass.optimizers.foreach import Tensors


class SGD(UpdateRule):
    """b = momentum b + g;  w = w - lr b  (Nesterov: w - lr (g + momentum b)).

    Args:
        lr: the rate, at least 0.
        momentum: share of the velocity b that a step keeps; at 0 none is stored, and b is g.
        weight_decay: adds `weight_decay * w` to the gradient g: the gradient of an L2 penalty.
        nesterov: look ahead: step along the velocity that the next step would have.
        foreach: False for the plain form, one tensor at a time; else the fast one.

    Raises:
        ValueError: if an option is out of its range, or `nesterov` is without momentum.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        foreach: bool | None = None,
    ) -> None:
        options = dict(lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)
        super().__init__(params, foreach, **options)

    def _check(self, group: Group) -> None:
        check_at_least_0(group, "lr", "weight_decay")
        check_share("momentum", group["momentum"])
        if group["nesterov"] and group["momentum"] == 0:
            raise ValueError("nesterov=True with momentum=0: expected a momentum above 0")

    def _new_state(self, param: Tensor, group: Group) -> State:
        return {"momentum_buffer": torch.zeros_like(param)} if group["momentum"] else {}

    def _update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        momentum = group["momentum"]
        direction = grad + group["weight_decay"] * param
        if momentum:
            velocity = state["momentum_buffer"]
            velocity.copy_(momentum * velocity + direction)
            direction = direction + momentum * velocity if group["nesterov"] else velocity
        param -= group["lr"] * direction

    def _update_all(
        self, params: list[Tensor], grads: Tensors, states: list[State], group: Group
    ) -> None:
        momentum = group["momentum"]
        if group["weight_decay"]:
            grads = foreach.add(grads, params, alpha=group["weight_decay"])
        if momentum:
            velocities = [state["momentum_buffer"] for state in states]
            foreach.mul_(velocities, momentum)
            foreach.add_(velocities, grads)
            if group["nesterov"]:
                grads = foreach.add(grads, velocities, alpha=momentum)
            else:
                grads = velocities
        foreach.add_(params, grads, alpha=-group["lr"])
