"""What BERT is put to use with: a last layer for each kind of question about a text.

Each takes a BERT, new or pretrained, and leaves its weights as they are; only the head's are drawn.
The losses that train them are in `underglass.losses`.

Reference: Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers",
sections 3.1 (masked words), 4.1 (classes), 4.2 (spans) and 5.3 (tokens).
Chapter: chapters/09_fine_tuning.ipynb
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from underglass.layers import ACTIVATIONS
from underglass.models import parts
from underglass.models.bert import BERT

Weights = tuple[Float[Tensor, "batch head seq seq"], ...]  # of attention, one tensor a layer


class BERTForMaskedLM(nn.Module):
    """E norm(f(W h + b)) + c: for each token, how well each word of the vocabulary would fit there.

    E is BERT's own table of tokens: the vector that a word comes in with is the one that it is
    recognised by. f is the activation of BERT's feed-forward nets.

    Args:
        generator: draws the head's weights.

    Raises:
        TypeError: if `bert` is not a BERT.
    """

    def __init__(self, bert: BERT, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        _check_bert(bert)
        config = self.config = bert.config
        self.bert = bert
        self.transform = _linear(bert, config.d_model, generator)
        self.norm = nn.LayerNorm(config.d_model, eps=config.eps).to(bert.tokens.weight)
        self.bias = nn.Parameter(bert.tokens.weight.new_zeros(config.vocab_size))

    def forward(
        self,
        ids: Integer[Tensor, "batch seq"],
        mask: Bool[Tensor, "..."] | None = None,
        segments: Integer[Tensor, "batch seq"] | None = None,
        *,
        return_weights: bool = False,
    ) -> Float[Tensor, "batch seq vocab_size"] | tuple[Float[Tensor, "batch seq _"], Weights]:
        """Logits, or (logits, attention weights of every layer); the arguments are BERT's."""
        hidden, weights = _read(self.bert, ids, mask, segments, return_weights)
        x = self.norm(ACTIVATIONS[self.config.activation](self.transform(hidden)))
        logits = F.linear(x, self.bert.tokens.weight, self.bias)
        return (logits, weights) if return_weights else logits


class BERTForClassification(nn.Module):
    """W p + b, where p is BERT's summary of a sequence (`BERT.pool`): a score for each label.

    Args:
        num_labels: how many answers there are to choose from.
        generator: draws the head's weights.

    Raises:
        ValueError: if this BERT has no pooler, or there are no labels.
    """

    def __init__(
        self, bert: BERT, num_labels: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        _check_bert(bert)
        if bert.pooler is None:
            raise ValueError("bert has no pooler: expected one whose config says pooler=True")
        _check_labels(num_labels)
        self.config, self.num_labels = bert.config, num_labels
        self.bert = bert
        self.dropout = nn.Dropout(bert.config.dropout)
        self.classifier = _linear(bert, num_labels, generator)

    def forward(
        self,
        ids: Integer[Tensor, "batch seq"],
        mask: Bool[Tensor, "..."] | None = None,
        segments: Integer[Tensor, "batch seq"] | None = None,
        *,
        return_weights: bool = False,
    ) -> Float[Tensor, "batch num_labels"] | tuple[Float[Tensor, "batch num_labels"], Weights]:
        """Logits, or (logits, attention weights of every layer); the arguments are BERT's."""
        hidden, weights = _read(self.bert, ids, mask, segments, return_weights)
        logits = self.classifier(self.dropout(self.bert.pool(hidden)))
        return (logits, weights) if return_weights else logits


class BERTForTokens(nn.Module):
    """W h + b at every token: a score for each label, such as the kinds of names in a text.

    Args:
        num_labels: how many answers there are to choose from, for each token.
        generator: draws the head's weights.

    Raises:
        ValueError: if there are no labels.
    """

    def __init__(
        self, bert: BERT, num_labels: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        _check_bert(bert)
        _check_labels(num_labels)
        self.config, self.num_labels = bert.config, num_labels
        self.bert = bert
        self.dropout = nn.Dropout(bert.config.dropout)
        self.classifier = _linear(bert, num_labels, generator)

    def forward(
        self,
        ids: Integer[Tensor, "batch seq"],
        mask: Bool[Tensor, "..."] | None = None,
        segments: Integer[Tensor, "batch seq"] | None = None,
        *,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch seq num_labels"]
        | tuple[Float[Tensor, "batch seq num_labels"], Weights]
    ):
        """Logits, or (logits, attention weights of every layer); the arguments are BERT's."""
        hidden, weights = _read(self.bert, ids, mask, segments, return_weights)
        logits = self.classifier(self.dropout(hidden))
        return (logits, weights) if return_weights else logits


class BERTForSpans(nn.Module):
    """s . h + b and e . h + c at every token: how well an answer would start, and end, there.

    The best span is the one whose two logits have the largest sum, its start not after its end.

    Args:
        generator: draws the head's weights.

    Raises:
        TypeError: if `bert` is not a BERT.
    """

    def __init__(self, bert: BERT, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        _check_bert(bert)
        self.config = bert.config
        self.bert = bert
        self.spans = _linear(bert, 2, generator)

    def forward(
        self,
        ids: Integer[Tensor, "batch seq"],
        mask: Bool[Tensor, "..."] | None = None,
        segments: Integer[Tensor, "batch seq"] | None = None,
        *,
        return_weights: bool = False,
    ) -> (
        tuple[Float[Tensor, "batch seq"], Float[Tensor, "batch seq"]]
        | tuple[tuple[Float[Tensor, "batch seq"], Float[Tensor, "batch seq"]], Weights]
    ):
        """(start logits, end logits), or ((start, end), attention weights of every layer).

        The arguments are BERT's: `segments` tells the question from the passage.
        """
        hidden, weights = _read(self.bert, ids, mask, segments, return_weights)
        start, end = self.spans(hidden).unbind(-1)
        return ((start, end), weights) if return_weights else (start, end)


def _read(
    bert: BERT, ids: Tensor, mask: Tensor | None, segments: Tensor | None, return_weights: bool
) -> tuple[Float[Tensor, "batch seq d_model"], Weights]:
    """BERT's hidden states, and its attention weights if they are asked for."""
    hidden = bert(ids, mask, segments, return_weights=return_weights)
    return hidden if return_weights else (hidden, ())


def _linear(bert: BERT, width: int, generator: torch.Generator | None) -> nn.Linear:
    """A layer on top of BERT's vectors, in BERT's precision and on its device."""
    layer = nn.Linear(bert.config.d_model, width)
    parts.initialize(layer, generator)  # before it moves: so every device gets the same numbers
    return layer.to(bert.tokens.weight)


def _check_bert(bert: BERT) -> None:
    if not isinstance(bert, BERT):
        raise TypeError(f"bert is a {type(bert).__name__}: expected a BERT")


def _check_labels(num_labels: int) -> None:
    if num_labels < 1:
        raise ValueError(f"num_labels={num_labels}: expected at least 1")
