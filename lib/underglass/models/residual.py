"""The residual stream of a decoder: what each part of a model adds to it, and the logit lens.

In a block with norms before its parts nothing stands in the way: attention reads the stream and
adds to it, the feed-forward net reads the sum and adds to that. So the last vector is the first one
plus everything that was added. The logit lens asks at each place what the model would say if it
stopped there: its final norm and its output table, applied to an earlier vector.

References: Elhage et al. (2021), "A Mathematical Framework for Transformer Circuits", section
"High-Level Architecture" (the residual stream); nostalgebraist (2020), "interpreting GPT: the
logit lens".
Chapter: chapters/05_architectures.ipynb
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from underglass.layers import PreNormBlock
from underglass.models import parts
from underglass.models.gpt import GPT
from underglass.models.llama import Llama


@dataclass(frozen=True)
class Trace:
    """One run of a model: the stream, and what was added to it.

        trace.stream[0] + trace.attention.sum(0) + trace.feed_forward.sum(0) = trace.stream[-1]

    Attributes:
        model: what was run. The lens reads its weights as they are when it is asked.
        ids: the tokens that went in.
        attention: what the attention of each block added.
        feed_forward: what the feed-forward net of each block added.
        stream: x as it goes into each block, and as it leaves the last: `stream[0]` is the
            embedding, `stream[l]` comes after l blocks.
    """

    model: GPT | Llama
    ids: Integer[Tensor, "batch seq"]
    attention: Float[Tensor, "layer batch seq d_model"]
    feed_forward: Float[Tensor, "layer batch seq d_model"]
    stream: Float[Tensor, "layer+1 batch seq d_model"]

    @property
    def between(self) -> Float[Tensor, "layer batch seq d_model"]:
        """The stream within each block: after its attention, before its feed-forward net."""
        return self.stream[:-1] + self.attention

    @torch.no_grad()
    def lens(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab_size"]:
        """The logits that the model reads off x: its final norm, then its output table."""
        x = self.model.norm(x)
        output = self.model.output if isinstance(self.model, Llama) else None
        return x @ self.model.tokens.weight.T if output is None else output(x)

    @property
    def logits(self) -> Float[Tensor, "_ batch seq vocab_size"]:
        """The lens on the whole stream; the last are the model's own logits."""
        return self.lens(self.stream)


@torch.no_grad()
def trace(model: GPT | Llama, ids: Integer[Tensor, "batch seq"]) -> Trace:
    """Run the model on these tokens and keep what was added where.

    Without dropout. Hooks listen for the time of the run; the model is then as it was before.

    Raises:
        TypeError: if the model is no GPT and no Llama. BERT and the Transformer of 2017 have a norm
            behind each sum, which changes all that was added before it: no sum is left.
        ValueError: if the ids are not what the model takes.
    """
    if not isinstance(model, GPT | Llama):
        raise TypeError(
            f"model is a {type(model).__name__}: expected a GPT or a Llama, whose blocks only add "
            "to the residual stream"
        )
    attention, feed_forward, stream = [], [], []
    with ExitStack() as hooks, parts.evaluating(model):
        for block in _blocks(model):
            hooks.enter_context(_listening(block.attention, attention.append))
            hooks.enter_context(_listening(block.feed_forward, feed_forward.append))
            hooks.enter_context(_listening(block, stream.append))
        hooks.enter_context(_listening_before(model.blocks[0], stream.append))
        model(ids)
    return Trace(model, ids, torch.stack(attention), torch.stack(feed_forward), torch.stack(stream))


def _blocks(model: GPT | Llama) -> Iterator[PreNormBlock]:
    for block in model.blocks:
        assert isinstance(block, PreNormBlock)
        yield block


@contextmanager
def _listening(module: nn.Module, keep: Callable[[Tensor], None]) -> Iterator[None]:
    """Hand on what the module gives out."""

    def hand_on(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        keep(output)

    handle = module.register_forward_hook(hand_on)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _listening_before(module: nn.Module, keep: Callable[[Tensor], None]) -> Iterator[None]:
    """Hand on what goes into the module."""

    def hand_on(_module: nn.Module, inputs: tuple) -> None:
        keep(inputs[0])

    handle = module.register_forward_pre_hook(hand_on)
    try:
        yield
    finally:
        handle.remove()
