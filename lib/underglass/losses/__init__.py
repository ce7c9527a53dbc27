"""Losses: what training makes small.

All take logits, the scores before a softmax, and return one number: the mean over what counts.
Padding and other ignored targets never count, neither above nor below the line of the mean; where
nothing counts the loss is 0, and so are its gradients (torch's own answer is 0 / 0, not a number,
which would end a training run). Logits of 16 bits are summed in 32, and so is the loss.
Chapter: chapters/06_losses.ipynb
"""

from underglass.losses.contrast import info_nce
from underglass.losses.distill import distillation
from underglass.losses.language import (
    causal_lm_loss,
    cross_entropy,
    log_sum_exp,
    masked_lm_loss,
    token_losses,
)
from underglass.losses.masking import mask_tokens
from underglass.losses.preference import dpo, sequence_log_probability

__all__ = [
    "causal_lm_loss",
    "cross_entropy",
    "distillation",
    "dpo",
    "info_nce",
    "log_sum_exp",
    "mask_tokens",
    "masked_lm_loss",
    "sequence_log_probability",
    "token_losses",
]
