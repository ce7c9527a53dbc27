"""Cross-entropy, and the two objectives of language models that are made of it.

References: Szegedy et al. (2016), "Rethinking the Inception Architecture", section 7 (label
smoothing); Radford et al. (2018), "Improving Language Understanding by Generative Pre-Training",
section 3.1 (causal); Devlin et al. (2019), "BERT", section 3.1 (masked).
"""

import math

import torch
from jaxtyping import Float, Integer
from torch import Tensor

IGNORE = -100  # torch's mark for a target that does not count


def log_sum_exp(x: Float[Tensor, "*batch vocab_size"]) -> Float[Tensor, "*batch"]:
    """log Σ exp(x) = m + log Σ exp(x - m), with m the largest x: no exp ever overflows."""
    m = x.amax(dim=-1, keepdim=True).detach()  # any m gives the same value, and no gradient
    m = m.masked_fill(m.isinf(), 0.0)  # a row of -inf has the sum 0: -inf - -inf would be NaN
    return (x - m).exp().sum(dim=-1).log() + m.squeeze(-1)


def token_losses(
    logits: Float[Tensor, "*batch vocab_size"],
    targets: Integer[Tensor, "*batch"],
    *,
    ignore_index: int = IGNORE,
    label_smoothing: float = 0.0,
) -> Float[Tensor, "*batch"]:
    """-log p(target) = log Σ exp(logits) - logits[target], of each position; 0 where ignored.

    Args:
        targets: token ids, or `ignore_index` where nothing is to be learned.
        label_smoothing: share of the target's probability that is spread evenly over all tokens.

    Raises:
        ValueError: if shapes do not go together, or an id is out of range (seen on the CPU only:
            a GPU would have to be waited for).
        TypeError: if targets are not whole numbers, or logits are.
    """
    _check_logits(logits, targets, ignore_index)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing={label_smoothing}: expected a share from 0 to 1")
    logits = at_least_float32(logits)
    counted = targets != ignore_index
    ids = targets.long().where(counted, 0)  # any valid id: what it picks is thrown away
    goal = logits.gather(-1, ids[..., None]).squeeze(-1)
    if label_smoothing:
        goal = (1 - label_smoothing) * goal + label_smoothing * logits.mean(dim=-1)
    return (log_sum_exp(logits) - goal).where(counted, 0.0)


def cross_entropy(
    logits: Float[Tensor, "*batch vocab_size"],
    targets: Integer[Tensor, "*batch"],
    *,
    ignore_index: int = IGNORE,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """-(1/n) Σ log p(target): the mean surprise of the n targets that count, in nats.

    Its gradient for the logits of one position is (p - y) / n: the probabilities, less 1 at the
    target. Arguments and errors are those of `token_losses`; no target at all gives 0.
    """
    losses = token_losses(
        logits, targets, ignore_index=ignore_index, label_smoothing=label_smoothing
    )
    return losses.sum() / (targets != ignore_index).sum().clamp(min=1)


def causal_lm_loss(
    logits: Float[Tensor, "batch seq vocab_size"],
    ids: Integer[Tensor, "batch seq"],
    *,
    pad_id: int | None = None,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Cross-entropy of every token given those before it: logits at t against the id at t + 1.

    Args:
        ids: the tokens that the logits were computed from; -100 for one that is not to be
            predicted, such as those of a prompt.
        pad_id: this id is not to be predicted either. Where a text ends with the same id that
            fills the rows, leave it out and put -100 into the padding.
        label_smoothing: as in `token_losses`.

    Raises:
        ValueError: if there is no next token, or as `token_losses`.
        TypeError: as `token_losses`.
    """
    check_sequence(logits, ids)
    targets = ids[:, 1:]
    if pad_id is not None:
        targets = targets.masked_fill(targets == pad_id, IGNORE)
    return cross_entropy(logits[:, :-1], targets, label_smoothing=label_smoothing)


def masked_lm_loss(
    logits: Float[Tensor, "batch seq vocab_size"],
    targets: Integer[Tensor, "batch seq"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Cross-entropy of the tokens that `mask_tokens` hid, given all the others.

    Args:
        logits: computed from the corrupted ids of `mask_tokens`.
        targets: the targets of `mask_tokens`: true ids at the chosen positions, else -100.
        label_smoothing: as in `token_losses`.

    Raises:
        ValueError, TypeError: as `token_losses`.
    """
    return cross_entropy(logits, targets, label_smoothing=label_smoothing)


def at_least_float32(x: Tensor) -> Tensor:
    """The 8 bits of bfloat16 cannot tell a loss of 3.00 from one of 3.01."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def check_floating(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise TypeError(f"{name} is {x.dtype}: expected floating-point numbers")


def check_above_0(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name}={value}: expected a finite number above 0")


def check_mask(mask: Tensor, shape: torch.Size) -> None:
    if mask.dtype != torch.bool:
        raise TypeError(f"mask is {mask.dtype}: expected torch.bool, True where a position counts")
    if mask.shape != shape:
        raise ValueError(f"mask has shape {tuple(mask.shape)}: expected {tuple(shape)}")


def check_sequence(logits: Tensor, ids: Tensor) -> None:
    """Each token is to be predicted from those before it: there must be at least two."""
    if ids.ndim != 2 or ids.shape[1] < 2 or logits.shape[:-1] != ids.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)}, ids {tuple(ids.shape)}: "
            "expected [batch seq vocab_size], [batch seq], seq at least 2"
        )


def _check_logits(logits: Tensor, targets: Tensor, ignore_index: int) -> None:
    check_floating("logits", logits)
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise TypeError(f"targets is {targets.dtype}: expected token ids, whole numbers")
    if logits.shape[:-1] != targets.shape or not logits.ndim or not logits.shape[-1]:
        raise ValueError(
            f"logits {tuple(logits.shape)}, targets {tuple(targets.shape)}: "
            "expected [*batch vocab_size], [*batch]"
        )
    if targets.is_cpu and not torch.compiler.is_compiling():
        size = logits.shape[-1]
        wrong = (targets != ignore_index) & ((targets < 0) | (targets >= size))
        if wrong.any():
            raise ValueError(
                f"targets holds {int(targets[wrong][0])}: expected ids from 0 to {size - 1}, "
                f"or ignore_index={ignore_index}"
            )
