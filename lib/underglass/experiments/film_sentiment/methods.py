"""The classifier, and the ways to train it: what of it learns, and at which rate."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.optim import Optimizer

from underglass import losses, pretrained
from underglass.attention import padding_mask
from underglass.experiments.film_sentiment.batches import PAD
from underglass.finetuning import freeze, layerwise_groups, lora
from underglass.models.bert import BERT

METHODS = ("head", "frozen", "full", "layerwise", "lora")
NUM_BLOCKS = 6  # of MiniLM
NUM_FROZEN = 3  # of these, with the tables beneath them, in the method "frozen"
DECAY = 0.8  # "layerwise": the rate of a block, as a share of that of the block above
# "lora": into every matrix of the blocks, which is 1.5 % of the model's numbers at this rank.
TARGETS = ("blocks.*_proj",)
RANK, ALPHA = 8, 16.0


class Classifier(nn.Module):
    """W h + b, where h is the mean of BERT's vectors over the tokens of the sentence.

    The mean, not the vector of [CLS] (as in `BERTForClassification`): it is what this MiniLM was
    trained to sum a sentence up in, by its authors.

    Args:
        generator: draws the head's weights, on the CPU.
    """

    def __init__(
        self,
        bert: BERT,
        *,
        num_labels: int = 2,
        dropout: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.bert = bert
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(bert.config.d_model, num_labels)
        nn.init.normal_(self.classifier.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.classifier.bias)

    def forward(
        self, ids: Int64[Tensor, "batch seq"], mask: Bool[Tensor, "batch 1 seq"]
    ) -> Float[Tensor, "batch num_labels"]:
        """Logits; the mask is `padding_mask(ids, 0)`."""
        return self.classifier(self.dropout(self.embed(ids, mask)))

    def embed(
        self, ids: Int64[Tensor, "batch seq"], mask: Bool[Tensor, "batch 1 seq"]
    ) -> Float[Tensor, "batch d_model"]:
        """h: the mean over the tokens that are not padding."""
        kept = mask.transpose(1, 2)
        return (self.bert(ids, mask) * kept).sum(dim=1) / kept.sum(dim=1)


def model(method: str, seed: int, *, dropout: float = 0.1) -> Classifier:
    """MiniLM under a new head, on the CPU, with what the method does not train frozen.

    Args:
        method: "head" (MiniLM stays as it is), "frozen" (its lower half does), "full",
            "layerwise" (all is trained, the lower the slower) or "lora".
        seed: draws the head, and LoRA's matrices.
        dropout: everywhere in the model.

    Raises:
        ValueError: if there is no such method.
    """
    _check(method)
    pretrained_bert = _minilm()
    bert = BERT(replace(pretrained_bert.config, dropout=dropout))
    bert.load_state_dict(pretrained_bert.state_dict())
    generator = torch.Generator().manual_seed(seed)
    classifier = Classifier(bert, dropout=dropout, generator=generator)
    freeze(classifier, "bert.pooler")  # what it makes of [CLS] is not used here
    if method == "head":
        freeze(classifier, "bert")
    if method == "frozen":
        blocks = [f"bert.blocks.{number}" for number in range(NUM_FROZEN)]
        freeze(classifier, "tokens", "positions", "segments", "bert.norm", *blocks)
    if method == "lora":
        options: dict[str, Any] = {"rank": RANK, "alpha": ALPHA, "trainable": ["classifier"]}
        lora.inject(classifier, TARGETS, **options, generator=generator)
    return classifier


@cache
def _minilm() -> BERT:
    bert = pretrained.load("minilm")
    assert isinstance(bert, BERT)
    return bert


def optimizer(
    method: str, model: Classifier, rate: float, *, weight_decay: float = 0.01
) -> Optimizer:
    """AdamW for what the method trains; matrices decay, biases and norms do not.

    PyTorch's, whose fused kernel goes over the 22 million numbers once, in a fifth of the time of
    `underglass.optimizers.AdamW`, whose steps it takes.

    Raises:
        ValueError: if there is no such method, or a number is out of its range.
    """
    _check(method)
    decay = DECAY if method == "layerwise" else 1.0
    groups = layerwise_groups(model, rate, decay=decay, weight_decay=weight_decay)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def loss(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    *,
    label_smoothing: float = 0.0,
    soft: bool = False,
) -> Float[Tensor, ""]:
    """Cross-entropy between the logits and the labels: nats, mean over the batch.

    Args:
        soft: take the share of people who found a sentence positive for its label.
    """
    logits = model(batch["ids"], padding_mask(batch["ids"], PAD)).float()
    if not soft:
        return losses.cross_entropy(logits, batch["labels"], label_smoothing=label_smoothing)
    shares = torch.stack([1 - batch["shares"], batch["shares"]], dim=-1)
    return -(shares * logits.log_softmax(dim=-1)).sum(dim=-1).mean()


def _check(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method={method!r}: expected one of {', '.join(METHODS)}")
