"""The models that are trained on the speeches from nothing, their losses and their optimizers."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from underglass import losses, optimizers
from underglass.experiments.pretraining.reading import SEQ, VOCAB_SIZE
from underglass.layers import ACTIVATIONS, EncoderBlock
from underglass.losses.language import IGNORE
from underglass.models import parts
from underglass.models.baselines import LSTMLanguageModel, LSTMLanguageModelConfig
from underglass.models.bert import BERT, BERTConfig
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.models.gpt import GPT, GPTConfig
from underglass.positions import sinusoidal_positions

KINDS = ("gpt", "bert", "plain bert", "lstm")
SHARPNESS = 2.5  # of the first heads' look: with it they give the token meant 0.6 of their weight


def model(
    kind: str, d_model: int, num_layers: int, num_heads: int, seed: int, dropout: float = 0.0
) -> nn.Module:
    """A new model of this kind, on the CPU: move it before you train it.

    Args:
        kind: "gpt"; "bert", with its head for masked tokens, whose first block looks at neighbors
            from the start, or "plain bert", whose does not; or "lstm", which has no heads.

    Raises:
        ValueError: if there is no such kind, or a size is out of its range.
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = {"d_model": d_model, "num_layers": num_layers, "dropout": dropout}
    if kind == "lstm":
        return LSTMLanguageModel(
            LSTMLanguageModelConfig(vocab_size=VOCAB_SIZE, **sizes), generator=generator
        )
    sizes |= {
        "vocab_size": VOCAB_SIZE,
        "max_len": SEQ,
        "num_heads": num_heads,
        "d_ff": 4 * d_model,
    }
    if kind == "gpt":
        return GPT(GPTConfig(**sizes), generator=generator)
    if kind in ("bert", "plain bert"):
        bert = BERT(BERTConfig(num_segments=1, pooler=False, **sizes), generator=generator)
        _widen(bert)
        if kind == "bert":
            _look_around(bert)
        return BERTForMaskedLM(bert, generator=generator)
    raise ValueError(f"kind={kind!r}: expected one of {', '.join(KINDS)}")


@torch.no_grad()
def _widen(bert: BERT) -> None:
    """First weights for a narrow BERT.

    Its authors draw all with a deviation of 0.02, for a width of 768; a narrower one needs more.
    Positions begin as sines, with which near ones are alike.
    """
    d_model, factor = bert.config.d_model, (768 / bert.config.d_model) ** 0.5
    for weight in bert.parameters():
        if weight.ndim == 2:
            weight.mul_(factor)
    sines = sinusoidal_positions(bert.config.max_len, d_model)
    bert.positions.weight.copy_(parts.INITIAL_STD * factor * 2**0.5 * sines)


@torch.no_grad()
def _look_around(bert: BERT) -> None:
    """First weights of the first block with which its heads look at the tokens beside each.

    Without them a small BERT stays for thousands of steps where hidden tokens are guessed by their
    frequency alone: a token that is hidden tells nothing, and no head looks at its neighbors yet.
    (A causal model has no such plateau: the last token, its best hint, is what it starts from.)
    The first numbers of a vector tell positions alone; by them the heads look at the token before,
    the next, the one but last, the one after next.
    """
    d_model, d_head = bert.config.d_model, bert.config.d_model // bert.config.num_heads
    bert.tokens.weight[:, :d_head] = 0
    block = bert.blocks[0]
    assert isinstance(block, EncoderBlock)
    attention = block.attention
    for head in range(bert.config.num_heads):
        step = (-1, 1)[head % 2] * (head // 2 + 1)
        own = slice(head * d_head, (head + 1) * d_head)
        for proj, shift in ((attention.q_proj, step), (attention.k_proj, 0)):
            proj.weight[own].mul_(0.3)
            proj.weight[own, :d_head].add_(SHARPNESS * _turned(shift, d_head, d_model))
    attention.v_proj.weight.mul_(2)
    attention.out_proj.weight.mul_(2)


def _turned(shift: int, d_head: int, d_model: int) -> Float[Tensor, "d_head d_head"]:
    """R, with R s(t) = s(t + shift), for the first d_head numbers of the sines s of a position."""
    pairs = torch.arange(0, d_head, 2)
    angles = shift * 10000 ** (-pairs / d_model)
    turn = torch.diag(angles.cos().repeat_interleave(2))
    turn[pairs, pairs + 1] = angles.sin()
    turn[pairs + 1, pairs] = -angles.sin()
    return turn


def loss(model: nn.Module, batch: Tensor | tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
    """The mean surprise of the next tokens, or of the hidden ones: nats a token."""
    if isinstance(model, BERTForMaskedLM):
        corrupted, targets = batch
        return _masked_loss(model, corrupted, targets)
    assert isinstance(batch, Tensor)
    return losses.cross_entropy(causal_logits(model, batch[:, :-1]), batch[:, 1:])


def causal_logits(model: nn.Module, ids: Tensor) -> Float[Tensor, "batch seq vocab_size"]:
    """The logits of a GPT or an LSTM language model.

    A GPT is asked for its weights, and they are thrown away: for on a CPU, with numbers in
    bfloat16, torch's fused attention takes twice the time of the plain formula.
    """
    if isinstance(model, GPT) and ids.is_cpu:
        return model(ids, return_weights=True)[0]
    return model(ids)


def _masked_loss(model: BERTForMaskedLM, corrupted: Tensor, targets: Tensor) -> Tensor:
    """As `masked_lm_loss`, with logits for the hidden tokens only, a few of all."""
    hidden = model.bert(corrupted, return_weights=corrupted.is_cpu)
    hidden = hidden[0] if corrupted.is_cpu else hidden
    places = targets != IGNORE
    x = model.transform(hidden[places])
    x = model.norm(ACTIVATIONS[model.config.activation](x))
    logits = F.linear(x, model.bert.tokens.weight, model.bias)
    return losses.cross_entropy(logits, targets[places])


def optimizer(name: str, model: nn.Module, rate: float, decay: float) -> list[Optimizer]:
    """Muon for the matrices inside the blocks and AdamW for the rest; or AdamW for all.

    Raises:
        ValueError: if the name is another.
    """
    if name == "AdamW":
        return [optimizers.AdamW(model.parameters(), lr=rate, weight_decay=decay)]
    if name != "Muon":
        raise ValueError(f"name={name!r}: expected 'Muon' or 'AdamW'")
    named = list(model.named_parameters())
    matrices = [p for n, p in named if "blocks." in n and p.ndim == 2]
    inside = {*matrices}
    others = [param for _, param in named if param not in inside]
    muon = optimizers.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return [muon, optimizers.AdamW(others, lr=rate, weight_decay=decay)]
