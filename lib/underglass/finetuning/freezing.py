"""Parts of a model that training leaves as they are.

A frozen parameter gets no gradient, no step and no optimizer state. Where everything beneath a
layer is frozen, the backward pass stops there, which saves its time and its memory too.

Reference: Howard and Ruder (2018), "Universal Language Model Fine-tuning for Text
Classification", section 3.3 (gradual unfreezing). Chapter: chapters/09_fine_tuning.ipynb
"""

from torch import nn

from underglass.finetuning.names import parameters_of


def freeze(model: nn.Module, *patterns: str) -> None:
    """Leave these parts as they are from now on; all of the model if none is named.

    Args:
        patterns: names of parameters or of modules, with all that is in them, as
            `model.named_parameters()` has them: "bert", "tokens.weight". The end of a name will do
            ("blocks.0" for bert.blocks.0), and `*` stands for anything ("*bias" for all biases).

    Raises:
        ValueError: if a pattern matches nothing; nothing has changed then.
    """
    _set(model, patterns, trained=False)


def unfreeze(model: nn.Module, *patterns: str) -> None:
    """Let training change these parts; all of the model if none is named.

    `freeze(model); unfreeze(model, "classifier")` trains the head alone. Patterns and errors are
    those of `freeze`. Tell the optimizer too, if it was made of the trained parameters only.
    """
    _set(model, patterns, trained=True)


def count_trained(model: nn.Module) -> int:
    """How many numbers training changes, of the sum of `p.numel()` over all parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _set(model: nn.Module, patterns: tuple[str, ...], *, trained: bool) -> None:
    for parameter in parameters_of(model, patterns or ("*",), "patterns"):
        parameter.requires_grad_(trained)
