"""Muon: momentum made orthogonal, so that a step is as large in every direction of a matrix.

References: Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks";
Liu et al. (2025), "Muon is Scalable for LLM Training", section 2.2 (the scale that fits AdamW).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.optimizer import ParamsT

from underglass.optimizers import foreach
from underglass.optimizers.base import Group, State, UpdateRule, check_at_least_0, check_share
from underglass.optimizers.foreach import Tensors

# Jordan's coefficients: as steep at 0 as can be (small singular values grow 3.4-fold a step), at
# the price that values never settle at 1, but wander about it, between 0.68 and 1.21.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATION_DTYPES = ("bfloat16", "float32", "float64")
SCALES = (None, "original", "match_rms_adamw")


def orthogonalize(
    matrix: Float[Tensor, "*batch _ _"], steps: int = 5
) -> Float[Tensor, "*batch _ _"]:
    """X = aX + b(XXᵀ)X + c(XXᵀ)²X, `steps` times: all singular values move towards 1.

    The exact answer for M = U S Vᵀ is U Vᵀ. Each step keeps U and V and puts every singular value s
    through a s + b s³ + c s⁵ (a Newton-Schulz iteration), which takes matrix products only: no
    decomposition, and few bits are enough. Five steps bring values of at least
    0.0015 of the matrix's norm to between 0.68 and 1.21; those that are 0 stay 0.

    Args:
        matrix: [*batch rows columns]; the iteration runs in its dtype.
        steps: how many times.

    Raises:
        ValueError: if there is no matrix, or `steps` is not a whole number of at least 1.
    """
    if matrix.ndim < 2:
        raise ValueError(f"matrix has shape {tuple(matrix.shape)}: expected [*batch rows columns]")
    _check_steps("steps", steps)
    a, b, c = COEFFICIENTS
    x = _normalized(matrix)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if _is_tall(matrix) else x


def _orthogonalize_stack(stack: Float[Tensor, "batch _ _"], steps: int) -> Tensor:
    """The same for a stack of matrices; a product and its sum are one kernel, and rounded once."""
    a, b, c = COEFFICIENTS
    x = _normalized(stack)
    for _ in range(steps):
        gram = x @ x.mT
        x = x.baddbmm(gram.baddbmm(gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if _is_tall(stack) else x


def _normalized(matrix: Tensor) -> Tensor:
    """Scaled and laid flat, so that x xᵀ has the shorter side.

    All singular values must start at most at 1: none is larger than the norm of all of them.
    """
    norm = matrix.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    return (matrix / norm).mT if _is_tall(matrix) else matrix / norm


def _is_tall(matrix: Tensor) -> bool:
    return matrix.shape[-2] > matrix.shape[-1]


class Muon(UpdateRule):
    """m = μm + (1-μ)g;  w = w - lr weight_decay w - lr scale UVᵀ,  U S Vᵀ = (1-μ)g + μm.

    Only for the matrices inside a network. Vectors (biases, norms), embeddings and the output layer
    go to AdamW: one optimizer each, stepped one after the other.

    Args:
        lr: the rate, at least 0.
        weight_decay: decay outside the orthogonal step, as in AdamW.
        momentum: μ, the share of m that a step keeps.
        nesterov: orthogonalize (1-μ)g + μm as above; else m.
        ns_steps: steps of `orthogonalize`.
        adjust_lr_fn: the scale, for a matrix [rows columns]. "original" (and None):
            √max(1, rows/columns). "match_rms_adamw": 0.2 √max(rows, columns), with which AdamW's
            rates and decays can be kept.
        ns_dtype: numbers of the iteration: "bfloat16" as in the paper, which a GPU likes;
            "float32", faster where a CPU has no bfloat16 products; or "float64".
        foreach: False for the plain form, one matrix at a time; else matrices of one shape at once.

    Raises:
        ValueError: if an option is out of its range, or a parameter is not a matrix.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        *,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        ns_dtype: str = "bfloat16",
        foreach: bool | None = None,
    ) -> None:
        options = dict(lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov)
        iteration = dict(ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn, ns_dtype=ns_dtype)
        super().__init__(params, foreach, **options, **iteration)

    def _check(self, group: Group) -> None:
        check_at_least_0(group, "lr", "weight_decay")
        check_share("momentum", group["momentum"])
        _check_steps("ns_steps", group["ns_steps"])
        for name, known in (("adjust_lr_fn", SCALES), ("ns_dtype", ITERATION_DTYPES)):
            if group[name] not in known:
                raise ValueError(f"{name}={group[name]!r}: expected one of {known}")

    def _check_param(self, name: str, param: Tensor) -> None:
        super()._check_param(name, param)
        if param.ndim != 2:
            raise ValueError(
                f"{name} has shape {tuple(param.shape)}: expected a matrix; "
                "give vectors, embeddings and the output layer to AdamW"
            )

    def _new_state(self, param: Tensor, group: Group) -> State:
        return {"momentum_buffer": torch.zeros_like(param)}

    def _update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        m, momentum, lr = state["momentum_buffer"], group["momentum"], group["lr"]
        m.copy_(momentum * m + (1 - momentum) * grad)
        direction = momentum * m + (1 - momentum) * grad if group["nesterov"] else m
        direction = orthogonalize(direction.to(_dtype(group)), group["ns_steps"]).to(param.dtype)
        param -= lr * group["weight_decay"] * param
        param -= lr * _scale(param, group) * direction

    def _update_all(
        self, params: list[Tensor], grads: Tensors, states: list[State], group: Group
    ) -> None:
        buffers, momentum, lr = (
            [s["momentum_buffer"] for s in states],
            group["momentum"],
            group["lr"],
        )
        foreach.lerp_(buffers, grads, 1 - momentum)
        directions = foreach.lerp(grads, buffers, momentum) if group["nesterov"] else buffers
        if group["weight_decay"]:
            foreach.mul_(params, 1 - lr * group["weight_decay"])
        for indices in _alike(params):
            stack = torch.stack([directions[i] for i in indices]).to(_dtype(group))
            steps = _orthogonalize_stack(stack, group["ns_steps"]).to(params[0].dtype)
            scale = _scale(params[indices[0]], group)
            foreach.add_([params[i] for i in indices], steps.unbind(), alpha=-lr * scale)


def _check_steps(name: str, steps: int) -> None:
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"{name}={steps}: expected a whole number of at least 1")


def _dtype(group: Group) -> torch.dtype:
    return getattr(torch, group["ns_dtype"])


def _scale(param: Tensor, group: Group) -> float:
    rows, columns = param.shape
    if group["adjust_lr_fn"] == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def _alike(params: list[Tensor]) -> list[list[int]]:
    """The indices of the parameters, put together by shape."""
    found: dict[torch.Size, list[int]] = {}
    for index, param in enumerate(params):
        found.setdefault(param.shape, []).append(index)
    return list(found.values())
