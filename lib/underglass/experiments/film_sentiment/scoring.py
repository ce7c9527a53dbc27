"""What a trained classifier is judged by, and what training it costs."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from underglass import data
from underglass.attention import padding_mask
from underglass.experiments.film_sentiment.batches import PAD, padded
from underglass.experiments.film_sentiment.methods import Classifier, loss, optimizer
from underglass.experiments.film_sentiment.reading import Sentence, shortened, tokenizer
from underglass.finetuning import count_trained
from underglass.models.parts import evaluating

ROWS = 64
NUM_VERSES, VERSES_SEED = 500, 2026


def log_odds(model: Classifier, sentences: Sequence[Sentence]) -> Float[Tensor, " batch"]:
    """log(P(positive) / P(negative)) of each sentence; above 0 the model says positive."""
    order = sorted(range(len(sentences)), key=lambda place: len(sentences[place].ids))
    found = torch.empty(len(sentences))
    device = model.classifier.weight.device
    with evaluating(model), torch.no_grad():
        for rows in torch.tensor(order).split(ROWS):
            ids = padded([sentences[row].ids for row in rows.tolist()]).to(device)
            logits = model(ids, padding_mask(ids, PAD)).float().cpu()
            found[rows] = logits[:, 1] - logits[:, 0]
    return found


def features(model: Classifier, ids: Sequence[Sequence[int]]) -> Float[Tensor, "batch d_model"]:
    """The mean vector of each sentence, given as token ids; on the CPU."""
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    found = torch.empty(len(ids), model.bert.config.d_model)
    device = model.classifier.weight.device
    with evaluating(model), torch.no_grad():
        for rows in torch.tensor(order).split(ROWS):
            part = padded([ids[row] for row in rows.tolist()]).to(device)
            found[rows] = model.embed(part, padding_mask(part, PAD)).float().cpu()
    return found


def accuracy(log_odds: Float[Tensor, " batch"], sentences: Sequence[Sentence]) -> float:
    """The share of sentences whose label the sign of the log-odds tells."""
    labels = torch.tensor([sentence.label for sentence in sentences])
    return ((log_odds > 0) == (labels == 1)).double().mean().item()


def retrieval(model: Classifier) -> float:
    """How often the modern verse nearest to one of 1611 says the same: MiniLM's own trade.

    500 verses of either Bible, drawn by a fixed seed; nearest by the cosine of the mean vectors.
    """
    old, new = _verses()
    vectors = [features(model, ids) for ids in (old, new)]
    one, other = (nn.functional.normalize(own, dim=-1) for own in vectors)
    nearest = (one @ other.T).argmax(dim=-1)
    return (nearest == torch.arange(len(one))).double().mean().item()


class Cost(NamedTuple):
    """What a method costs, whatever the machine.

    Attributes:
        trained: how many numbers training changes.
        stored: bytes of those, in float32: all that has to be kept for this task beside MiniLM.
        memory: bytes in use at the end of a forward pass in training: the weights, a gradient and
            AdamW's two means for each number that is trained, and what the layers keep for the
            backward pass, of 32 sentences of 32 tokens.
    """

    trained: int
    stored: int
    memory: int


def cost(method: str, model: Classifier) -> Cost:
    """Count it. The model is as before.

    Raises:
        ValueError: if there is no such method.
    """
    optimizer(method, model, 1e-4)  # refuses what is no method
    trained = count_trained(model)
    weights = sum(parameter.numel() for parameter in model.parameters())
    kept = 0 if method == "head" else _bytes_for_backward(model)  # the head reads vectors made once
    return Cost(trained, 4 * trained, 4 * weights + 3 * 4 * trained + kept)


def _bytes_for_backward(model: Classifier) -> int:
    """What autograd keeps of one forward pass, each piece of memory once, weights not counted."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}  # the tensors themselves, so that no place is used twice

    def note(tensor: Tensor) -> Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in own:
            kept[place] = tensor
        return tensor

    device = model.classifier.weight.device
    generator_state, training = torch.get_rng_state(), model.training
    ids = torch.full((32, 32), 1000, device=device)
    batch = {"ids": ids, "labels": torch.zeros(32, dtype=torch.int64, device=device)}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss(model.train(), batch)
    model.train(training)
    torch.set_rng_state(generator_state)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _verses() -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Token ids of the same verses in both Bibles."""
    old, new = (
        {(verse.book, verse.chapter, verse.verse): verse.text for verse in data.load(name)}
        for name in ("kjv", "web")
    )
    places = [place for place in old if place in new]
    generator = torch.Generator().manual_seed(VERSES_SEED)
    chosen = torch.randperm(len(places), generator=generator)[:NUM_VERSES].tolist()
    encode = tokenizer().encode
    first, second = ([shortened(encode(own[places[i]])) for i in chosen] for own in (old, new))
    return first, second
