"""Direct preference optimization: learn from which of two answers people preferred.

Reference: Rafailov et al. (2023), "Direct Preference Optimization: Your Language Model is Secretly
a Reward Model", equation 7.
"""

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from underglass.losses.language import (
    IGNORE,
    at_least_float32,
    check_above_0,
    check_floating,
    check_mask,
    check_sequence,
    log_sum_exp,
    token_losses,
)


def sequence_log_probability(
    logits: Float[Tensor, "batch seq vocab_size"],
    ids: Integer[Tensor, "batch seq"],
    mask: Bool[Tensor, "batch seq"] | None = None,
) -> Float[Tensor, " batch"]:
    """log p(answer | prompt) = Σ log p(id at t + 1 | ids up to t), over the ids that count.

    Args:
        logits: computed from `ids`.
        mask: True at the tokens of the answer; all but the first token where there is no mask.

    Raises:
        ValueError: if shapes do not go together, or an id is out of range.
        TypeError: if a dtype is not the one expected.
    """
    check_sequence(logits, ids)
    if mask is not None:
        check_mask(mask, ids.shape)
        ids = ids.masked_fill(~mask, IGNORE)
    return -token_losses(logits[:, :-1], ids[:, 1:]).sum(dim=-1)


def dpo(
    policy_chosen: Float[Tensor, " batch"],
    policy_rejected: Float[Tensor, " batch"],
    reference_chosen: Float[Tensor, " batch"],
    reference_rejected: Float[Tensor, " batch"],
    *,
    beta: float,
) -> Float[Tensor, ""]:
    """-log σ(β ((π_chosen - ref_chosen) - (π_rejected - ref_rejected))), mean over the batch.

    It asks the policy to raise the preferred answer above the other, compared with the reference,
    that is with the model before this training. At the start both agree: the loss is log 2.

    Args:
        policy_chosen, policy_rejected: log-probabilities of whole answers under the model that is
            trained: see `sequence_log_probability`.
        reference_chosen, reference_rejected: the same under the reference; no gradient flows there.
        beta: above 0; the smaller, the further the policy may move from the reference.

    Raises:
        ValueError: if shapes differ, the batch is empty, or beta is not above 0.
        TypeError: if a tensor holds whole numbers.
    """
    given = {
        "policy_chosen": policy_chosen,
        "policy_rejected": policy_rejected,
        "reference_chosen": reference_chosen,
        "reference_rejected": reference_rejected,
    }
    for name, tensor in given.items():
        check_floating(name, tensor)
        if tensor.shape != policy_chosen.shape or tensor.ndim != 1 or not len(tensor):
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}: expected [batch], the same for all four, "
                "batch at least 1"
            )
    check_above_0("beta", beta)
    chosen = at_least_float32(policy_chosen) - at_least_float32(reference_chosen).detach()
    rejected = at_least_float32(policy_rejected) - at_least_float32(reference_rejected).detach()
    margin = beta * (chosen - rejected)
    # -log σ(z) = log(1 + exp(-z)) = log(exp(0) + exp(-z)), which never overflows in this form
    return log_sum_exp(torch.stack([torch.zeros_like(margin), -margin], dim=-1)).mean()
