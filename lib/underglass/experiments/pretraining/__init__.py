"""The speeches of all years, and models that learn them from nothing: one task, written once.

    split().training                       # the speeches, cleaned, split by year
    bpe = tokenizer()                      # 3,072 tokens, learned from the training part
    windows("validation")                  # [batch 257]: rows of token ids
    gpt = model("gpt", d_model=64, num_layers=2, num_heads=4, seed=0)
    bits_per_byte(gpt, "test")

Chapter: chapters/08_pretraining.ipynb
"""

from underglass.experiments.pretraining.models import causal_logits, loss, model, optimizer
from underglass.experiments.pretraining.reading import (
    Batches,
    Document,
    Split,
    clean,
    ids,
    num_bytes,
    split,
    tokenizer,
    windows,
    without_repeats,
)
from underglass.experiments.pretraining.scoring import (
    bits_per_byte,
    found_hidden,
    sample,
    token_losses,
)

__all__ = [
    "Batches",
    "Document",
    "Split",
    "bits_per_byte",
    "causal_logits",
    "clean",
    "found_hidden",
    "ids",
    "loss",
    "model",
    "num_bytes",
    "optimizer",
    "sample",
    "split",
    "token_losses",
    "tokenizer",
    "windows",
    "without_repeats",
]
