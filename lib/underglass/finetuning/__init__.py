"""Fine-tuning: what of a model is trained, how fast, and in how many numbers.

LoRA is in `underglass.finetuning.lora`. Chapter: chapters/09_fine_tuning.ipynb
"""

from underglass.finetuning import lora
from underglass.finetuning.freezing import count_trained, freeze, unfreeze
from underglass.finetuning.rates import depth_of_parameters, layerwise_groups

__all__ = [
    "count_trained",
    "depth_of_parameters",
    "freeze",
    "layerwise_groups",
    "lora",
    "unfreeze",
]
