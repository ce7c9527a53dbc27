"""What a trained model is judged by: bits per byte on unseen years, and texts that it writes."""

import copy
import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from underglass import losses, pretrained
from underglass.experiments.pretraining import models, reading
from underglass.experiments.pretraining.reading import SEQ
from underglass.generation import generate
from underglass.models.bert_heads import BERTForMaskedLM
from underglass.models.gpt import GPT
from underglass.models.parts import evaluating

ROWS = 16
PROMPT, SAMPLE = "The state of the Union", 60  # what a sample goes on from, and for how many tokens
TEMPERATURE = 0.8


def token_losses(model: nn.Module, ids: Int64[Tensor, " seq"]) -> Float[Tensor, " seq"]:
    """The surprise of each token of a text in nats; the first follows the end of another text.

    Windows overlap by half, so that a token has at least 128 before it, if the text has them.
    """
    end = torch.tensor([reading.tokenizer().special[reading.END]])
    text, half = torch.cat([end, ids]), SEQ // 2
    starts = range(0, max(1, len(ids) - half), half)
    found = torch.empty(len(ids))
    device = next(model.parameters()).device
    with evaluating(model), torch.no_grad():
        for start in starts:
            row = text[start : start + SEQ + 1].to(device)
            own = losses.token_losses(models.causal_logits(model, row[None, :-1])[0], row[1:])
            fresh = 0 if start == 0 else half
            found[start + fresh : start + len(own)] = own[fresh:].cpu()
    return found


def bits_per_byte(model: nn.Module, part: str) -> float:
    """The surprise of all tokens of a part, in bits, for each byte of its text."""
    nats = sum(float(token_losses(model, ids).sum()) for ids in reading.ids(part))
    return nats / math.log(2) / reading.num_bytes(part)


def found_hidden(model: BERTForMaskedLM, part: str) -> dict[str, float]:
    """Of 15 % of a part's tokens, hidden one and all: the share found, and the mean surprise."""
    special = reading.tokenizer().special
    rows = reading.windows(part)[:, :-1]
    places = torch.rand(rows.shape, generator=torch.Generator().manual_seed(0)) < 0.15
    places &= rows < min(special.values())
    hidden = rows.masked_fill(places, special[reading.MASK])
    right, nats = 0, 0.0
    device = next(model.parameters()).device
    with evaluating(model), torch.no_grad():
        for part_rows, part_hidden, part_places in zip(
            rows.split(ROWS), hidden.split(ROWS), places.split(ROWS), strict=True
        ):
            logits = model(part_hidden.to(device))[part_places.to(device)].cpu()
            targets = part_rows[part_places]
            right += int((logits.argmax(-1) == targets).sum())
            nats += float(losses.token_losses(logits, targets).sum())
    count = int(places.sum())
    return {"accuracy": right / count, "loss": nats / count}


def judge(model: nn.Module) -> dict[str, Any]:
    """What is noted of a model at the end: of each part but training."""
    parts = ("validation", "test")
    if isinstance(model, BERTForMaskedLM):
        return {"masked": {part: found_hidden(model, part) for part in parts}}
    return {"bits_per_byte": {part: bits_per_byte(model, part) for part in parts}}


def sample(model: nn.Module) -> str:
    """What a causal model writes after the prompt, always with the same random numbers."""
    bpe = reading.tokenizer()
    end = bpe.special[reading.END]
    generator = torch.Generator().manual_seed(0)
    prompt = [end, *bpe.encode(PROMPT)]
    tokens = generate(model, prompt, SAMPLE, temperature=TEMPERATURE, stop=end, generator=generator)
    return bpe.decode(tokens)


def keep(model: nn.Module, folder: Path) -> None:
    """Write a GPT or a BERT in float16, in the layout that `pretrained.load` reads."""
    if isinstance(model, GPT | BERTForMaskedLM):
        pretrained.save(copy.deepcopy(model).half(), folder, reading.tokenizer())
