"""The LSTM: a network that reads a text token by token, and keeps what it wants to remember.

References: Hochreiter and Schmidhuber (1997), "Long Short-Term Memory" (the cell);
Gers, Schmidhuber and Cummins (2000), "Learning to Forget" (the forget gate).
Chapter: chapters/05_architectures.ipynb
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


def lstm_cell(
    x: Float[Tensor, "batch d_in"],
    hidden: Float[Tensor, "batch d_model"],
    cell: Float[Tensor, "batch d_model"],
    weight_ih: Float[Tensor, "gates d_in"],
    weight_hh: Float[Tensor, "gates d_model"],
    bias_ih: Float[Tensor, " gates"],
    bias_hh: Float[Tensor, " gates"],
) -> tuple[Float[Tensor, "batch d_model"], Float[Tensor, "batch d_model"]]:
    """One step of an LSTM: forget some of the cell, write into it, show some of it.

        i, f, g, o = the quarters of W_ih x + b_ih + W_hh hidden + b_hh
        cell'      = sigmoid(f) * cell + sigmoid(i) * tanh(g)
        hidden'    = sigmoid(o) * tanh(cell')

    From step to step the cell is only scaled and added to: so a gradient reaches far back, as long
    as the forget gate f stays open.

    Args:
        weight_ih, weight_hh, bias_ih, bias_hh: as in `nn.LSTM`, with the rows of the four gates one
            below the other: input, forget, candidate, output.

    Returns:
        hidden' and cell'.
    """
    gates = F.linear(x, weight_ih, bias_ih) + F.linear(hidden, weight_hh, bias_hh)
    i, f, g, o = gates.chunk(4, dim=-1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def unrolled(
    lstm: nn.LSTM,
    x: Float[Tensor, "batch seq d_in"],
    state: tuple[Float[Tensor, "run batch d_model"], Float[Tensor, "run batch d_model"]],
    mask: Bool[Tensor, "batch seq"] | None = None,
) -> tuple[
    Float[Tensor, "batch seq _"],
    tuple[Float[Tensor, "run batch d_model"], Float[Tensor, "run batch d_model"]],
]:
    """What `lstm(x, state)` computes in one kernel, cell by cell.

    Each layer reads the outputs of the one below it. Where the LSTM is bidirectional, a layer is
    two runs, one of them from the last token to the first; their outputs stand side by side.

    Args:
        lstm: one with biases and batch_first=True.
        state: hidden and cell before the first token, for each run.
        mask: True where there is a token; a run passes over what is not one, and its output is 0.

    Returns:
        The outputs of the last layer, and the state after the last token.
    """
    directions = ("", "_reverse") if lstm.bidirectional else ("",)
    ends = []
    for layer in range(lstm.num_layers):
        outputs = []
        for direction in directions:
            weights = _weights(lstm, f"_l{layer}{direction}")
            start = state[0][len(ends)], state[1][len(ends)]
            output, end = _run(x, start, weights, mask, backward=bool(direction))
            outputs.append(output)
            ends.append(end)
        x = torch.cat(outputs, dim=-1)
        if layer < lstm.num_layers - 1:
            x = F.dropout(x, lstm.dropout, training=lstm.training)
    hidden, cell = zip(*ends, strict=True)
    return x, (torch.stack(hidden), torch.stack(cell))


def _run(
    x: Tensor,
    state: tuple[Tensor, Tensor],
    weights: list[Tensor],
    mask: Tensor | None,
    *,
    backward: bool,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One layer in one direction."""
    hidden, cell = state
    outputs = [hidden] * x.shape[1]
    places = range(x.shape[1])
    for place in reversed(places) if backward else places:
        new_hidden, new_cell = lstm_cell(x[:, place], hidden, cell, *weights)
        if mask is None:
            hidden, cell = outputs[place], cell = new_hidden, new_cell
        else:
            here = mask[:, place, None]
            hidden, cell = new_hidden.where(here, hidden), new_cell.where(here, cell)
            outputs[place] = new_hidden.where(here, 0.0)
    return torch.stack(outputs, dim=1), (hidden, cell)


def _weights(lstm: nn.LSTM, run: str) -> list[Tensor]:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [lstm.get_parameter(name + run) for name in names]


def initialize(lstm: nn.LSTM, generator: torch.Generator | None) -> None:
    """Matrices between ±1/sqrt(d_model), as torch's; biases 0, but 1 in the forget gate.

    So a cell begins by remembering: Gers et al. (2000), section 4, and Jozefowicz et al. (2015),
    "An Empirical Exploration of Recurrent Network Architectures", section 3.2.
    """
    bound, d_model = 1 / math.sqrt(lstm.hidden_size), lstm.hidden_size
    for name, parameter in lstm.named_parameters():
        if parameter.is_meta:
            continue
        if name.startswith("weight"):
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        else:
            nn.init.zeros_(parameter)
        if name.startswith("bias_ih"):  # of the two biases, which are added up, only one
            nn.init.ones_(parameter[d_model : 2 * d_model])
