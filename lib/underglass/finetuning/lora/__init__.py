"""LoRA: fine-tune a large model by way of a few small matrices.

    lora.inject(model, ["q_proj", "v_proj"], rank=8, alpha=16.0)
    ...                            # train: nothing else changes
    lora.save(model, "adapter")    # a few megabytes, beside a model of gigabytes
    lora.merge(model)              # as fast as before

Reference: Hu et al. (2021), "LoRA: Low-Rank Adaptation of Large Language Models", section 4.
Chapter: chapters/09_fine_tuning.ipynb
"""

from underglass.finetuning.lora.files import load, save
from underglass.finetuning.lora.layer import LoRALinear
from underglass.finetuning.lora.models import inject, merge, remove, unmerge

__all__ = ["LoRALinear", "inject", "load", "merge", "remove", "save", "unmerge"]
