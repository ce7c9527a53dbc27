"""Two models on an LSTM: one that predicts the next token, and one that labels a text.

References: Hochreiter and Schmidhuber (1997), "Long Short-Term Memory"; Zaremba et al. (2014),
"Recurrent Neural Network Regularization" (where dropout goes); Press and Wolf (2017), "Using the
Output Embedding to Improve Language Models" (one table for input and output); Graves and
Schmidhuber (2005), "Framewise Phoneme Classification with Bidirectional LSTM".
Chapters: chapters/05_architectures.ipynb, chapters/08_pretraining.ipynb,
chapters/09_fine_tuning.ipynb
"""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from underglass.models import parts
from underglass.models.baselines import recurrence

# Wide enough to move the gates from the first step on. With the Transformers' 0.02 a language model
# of bytes, 128 wide, stood still at the frequencies of the bytes for its first 150 steps of Adam
# (3e-3), at 2.97 nats; with 0.5 it was at 1.94 after 90. A table of 1 learns as fast, but begins
# with a loss above that of even chances, and more so the wider the model is.
TABLE_STD = 0.5


@dataclass(frozen=True)
class LSTMLanguageModelConfig:
    """The sizes of an LSTM language model.

    Attributes:
        d_model: numbers in the vector of a token, in the hidden state and in the cell.
        dropout: share set to zero in training, of what goes into each layer and out of the last.

    Raises:
        ValueError: if a number is out of its range.
    """

    vocab_size: int
    d_model: int = 256
    num_layers: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        parts.check_counts(self, "vocab_size", "d_model", "num_layers")
        parts.check_dropout(self.dropout)


class LSTMLanguageModel(nn.Module):
    """Token ids in, logits of the next token out, at each position.

    The output is tied to the table of the tokens, as in `GPT`. There is no longest text: what a
    position knows of those before it is the state, which does not grow.

    Args:
        generator: draws the initial weights.
    """

    def __init__(
        self, config: LSTMLanguageModelConfig, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.tokens = parts.table(config.vocab_size, config.d_model)
        self.lstm = _lstm(config.d_model, config.num_layers, config.dropout, bidirectional=False)
        self.dropout = nn.Dropout(config.dropout)
        _initialize(self, generator)

    def forward(
        self,
        ids: Integer[Tensor, "batch seq"],
        state: tuple[Tensor, Tensor] | None = None,
        *,
        return_state: bool = False,
        fused: bool = True,
    ) -> (
        Float[Tensor, "batch seq vocab_size"]
        | tuple[
            Float[Tensor, "batch seq vocab_size"],
            tuple[Float[Tensor, "layer batch d_model"], Float[Tensor, "layer batch d_model"]],
        ]
    ):
        """The logits, or (logits, state) where the state is asked for.

        Args:
            state: hidden and cell after the ids before these, each [layer batch d_model]; at the
                beginning of a text, none.
            return_state: return the state after these ids too, from which the text can go on.
            fused: whether torch's kernel runs the LSTM, or our formula does, cell by cell.

        Raises:
            ValueError: if ids are outside the vocabulary (on a GPU, where reading them would make
                it wait, torch's own error comes instead), or the state is that of another batch.
            TypeError: if ids are not integers, or the state is not hidden and cell.
        """
        parts.check_ids("ids", ids, self.config.vocab_size, max_len=None)
        x = self.dropout(self.tokens(ids))
        before = _start(self.lstm, x) if state is None else _checked(state, self.lstm, x)
        run = self.lstm if fused else partial(recurrence.unrolled, self.lstm)
        hidden, after = run(x, before)
        logits = self.dropout(hidden) @ self.tokens.weight.mT
        return (logits, after) if return_state else logits


@dataclass(frozen=True)
class LSTMClassifierConfig:
    """The sizes of an LSTM classifier.

    Attributes:
        d_model: numbers in the vector of a token, and in the hidden state of each direction.
        dropout: share set to zero in training, of what goes into each layer and out of the last.

    Raises:
        ValueError: if a number is out of its range.
    """

    vocab_size: int
    num_labels: int
    d_model: int = 256
    num_layers: int = 1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        parts.check_counts(self, "vocab_size", "num_labels", "d_model", "num_layers")
        parts.check_dropout(self.dropout)


class LSTMClassifier(nn.Module):
    """Token ids in, logits of the labels out: W [forward; backward] + b.

    One LSTM reads the text forward, another backward. Each has read all of it where it ends: what
    the labels are read off are the hidden states of the two there, side by side.

    Args:
        generator: draws the initial weights.
    """

    def __init__(
        self, config: LSTMClassifierConfig, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.tokens = parts.table(config.vocab_size, config.d_model)
        self.lstm = _lstm(config.d_model, config.num_layers, config.dropout, bidirectional=True)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * config.d_model, config.num_labels)
        _initialize(self, generator)

    def forward(
        self,
        ids: Integer[Tensor, "batch seq"],
        mask: Bool[Tensor, "..."] | None = None,
        *,
        fused: bool = True,
    ) -> Float[Tensor, "batch num_labels"]:
        """The logits of the labels, for each text.

        Args:
            mask: True where there is a token, and not padding, [batch seq] or [batch 1 seq]:
                `padding_mask(ids, pad_id)` is one. Padding stands at the end, and is passed over.
            fused: whether torch's kernel runs the LSTM, or our formula does, cell by cell.

        Raises:
            ValueError: if ids are outside the vocabulary (on a GPU, where reading them would make
                it wait, torch's own error comes instead), or the mask does not go with them, leaves
                a text without tokens, or has padding before a token.
            TypeError: if ids are not integers, or the mask is not boolean.
        """
        parts.check_ids("ids", ids, self.config.vocab_size, max_len=None)
        if mask is not None:
            mask = _check_mask(mask, ids)
        x = self.dropout(self.tokens(ids))
        hidden, _ = self._read(x, mask) if fused else self._read_by_cells(x, mask)
        return self.classifier(self.dropout(torch.cat([hidden[-2], hidden[-1]], dim=-1)))

    def _read(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The state at the end of each run."""
        if mask is None:
            return self.lstm(x)[1]
        lengths = mask.sum(dim=1).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.lstm(packed)[1]

    def _read_by_cells(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        return recurrence.unrolled(self.lstm, x, _start(self.lstm, x), mask)[1]


def _lstm(d_model: int, num_layers: int, dropout: float, *, bidirectional: bool) -> nn.LSTM:
    between = dropout if num_layers > 1 else 0.0  # torch's goes between layers, and warns of none
    return nn.LSTM(
        d_model,
        d_model,
        num_layers,
        batch_first=True,
        dropout=between,
        bidirectional=bidirectional,
    )


def _initialize(
    model: LSTMLanguageModel | LSTMClassifier, generator: torch.Generator | None
) -> None:
    parts.initialize(model, generator)
    recurrence.initialize(model.lstm, generator)
    if not model.tokens.weight.is_meta:
        nn.init.normal_(model.tokens.weight, std=TABLE_STD, generator=generator)


def _start(lstm: nn.LSTM, x: Tensor) -> tuple[Tensor, Tensor]:
    """Before the first token there is nothing to remember: zeros."""
    zeros = x.new_zeros(_state_shape(lstm, x))
    return zeros, zeros


def _state_shape(lstm: nn.LSTM, x: Tensor) -> tuple[int, int, int]:
    return lstm.num_layers * (1 + lstm.bidirectional), len(x), lstm.hidden_size


def _checked(state: tuple[Tensor, Tensor], lstm: nn.LSTM, x: Tensor) -> tuple[Tensor, Tensor]:
    if not isinstance(state, tuple) or [type(part) for part in state] != [Tensor, Tensor]:
        raise TypeError(f"state is {state!r:.40}: expected two tensors, (hidden, cell)")
    expected = _state_shape(lstm, x)
    for name, part in zip(("hidden", "cell"), state, strict=True):
        if part.shape != expected or part.dtype != x.dtype:
            raise ValueError(
                f"state's {name} is {part.dtype} of shape {tuple(part.shape)}: expected {x.dtype} "
                f"of [layer batch d_model] = {expected}"
            )
    return state


def _check_mask(mask: Tensor, ids: Tensor) -> Bool[Tensor, "batch seq"]:
    """The mask as [batch seq], if it has tokens in each row, and padding only behind them."""
    if mask.dtype != torch.bool:
        raise TypeError(f"mask is {mask.dtype}: expected torch.bool, True where there is a token")
    rows = mask[:, 0] if mask.ndim == 3 and mask.shape[1] == 1 else mask
    if rows.shape != ids.shape:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}: expected [batch seq] = {tuple(ids.shape)}, "
            "or [batch 1 seq]"
        )
    if rows.is_meta:
        return rows
    wrong = ~rows[:, 0] | (rows[:, 1:] & ~rows[:, :-1]).any(dim=1)
    if wrong.any():
        row = int(wrong.int().argmax())
        raise ValueError(
            f"mask[{row}] has no token, or padding before one: expected padding at the end only"
        )
    return rows
