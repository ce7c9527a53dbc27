"""GPT-2: the published family's names for tensors and sizes, and ours.

Its authors wrote a linear layer as x W, not x W^T, so that every matrix of a block lies the other
way round than in `nn.Linear`; and one matrix makes queries, keys and values at once.

Reference: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners" (GPT-2).
"""

from typing import Any

import torch
from torch import Tensor, nn

from underglass.models.gpt import GPT, GPTConfig
from underglass.pretrained.family import Family, Tensors, inverse, rename
from underglass.pretrained.settings import Settings, their_activation

MODULES = {  # theirs: ours, with # for the number of the layer
    "transformer.wte": "tokens",
    "transformer.wpe": "positions",
    "transformer.h.#.ln_1": "blocks.#.attention_norm",
    "transformer.h.#.attn.c_attn": "blocks.#.attention.qkv_proj",  # ours has three
    "transformer.h.#.attn.c_proj": "blocks.#.attention.out_proj",
    "transformer.h.#.ln_2": "blocks.#.feed_forward_norm",
    "transformer.h.#.mlp.c_fc": "blocks.#.feed_forward.in_proj",
    "transformer.h.#.mlp.c_proj": "blocks.#.feed_forward.out_proj",
    "transformer.ln_f": "norm",
}
SIZES = {
    "vocab_size": "vocab_size",
    "n_positions": "max_len",
    "n_embd": "d_model",
    "n_layer": "num_layers",
    "n_head": "num_heads",
    "n_inner": "d_ff",
    "resid_pdrop": "dropout",
    "layer_norm_epsilon": "eps",
}
DEFAULTS = {"resid_pdrop": 0.1, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}
FIXED = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}


def _to_ours(theirs: Tensors) -> Tensors:
    ours = {}
    for name in list(theirs):
        tensor, name = _turned(theirs.pop(name), name), rename(name, MODULES)
        if ".qkv_proj." not in name:
            ours[name] = tensor
            continue
        for part, rows in zip("qkv", tensor.chunk(3), strict=True):
            ours[name.replace(".qkv_", f".{part}_")] = rows.clone()
    return ours


def _to_theirs(ours: Tensors) -> Tensors:
    theirs, names = {}, inverse(MODULES)
    for name, tensor in ours.items():
        if ".q_proj." in name:
            parts = [ours[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            name, tensor = name.replace(".q_proj.", ".qkv_proj."), torch.cat(parts)
        elif ".k_proj." in name or ".v_proj." in name:
            continue
        name = rename(name, names)
        theirs[name] = _turned(tensor, name)
    return theirs


def _turned(tensor: Tensor, their_name: str) -> Tensor:
    """A matrix of a block the other way round; vectors and tables as they are."""
    is_matrix = ".h." in their_name and tensor.ndim == 2
    return tensor.T.contiguous() if is_matrix else tensor


def _build(settings: Settings, tensors: Tensors, kind: type[nn.Module]) -> nn.Module:
    """Their other shares of dropout (attention weights, embeddings) are not kept: ours has one."""
    settings.check(FIXED)
    settings = settings.filled(DEFAULTS)
    settings = settings.filled({"n_inner": 4 * settings.value("n_embd", int)})
    activation = settings.activation("activation_function")
    return GPT(settings.read(GPTConfig, SIZES, activation=activation))


def _write_config(model: GPT) -> dict[str, Any]:
    dropout = model.config.dropout
    return {
        **{theirs: getattr(model.config, ours) for theirs, ours in SIZES.items()},
        "activation_function": their_activation(model.config.activation),
        "attn_pdrop": dropout,
        "embd_pdrop": dropout,
        # Which tokens begin and end a text, a model does not know; 50256 unless the config says.
        "bos_token_id": None,
        "eos_token_id": None,
    }


FAMILY = Family(
    model_type="gpt2",
    architectures={"GPT2LMHeadModel": GPT, "GPT2Model": GPT},
    build=_build,
    write_config=_write_config,
    to_ours=_to_ours,
    to_theirs=_to_theirs,
    prefix="transformer.",
    spare=r"h\.\d+\.attn\.(bias|masked_bias)",  # the causal mask, and what hid the rest
    copies=lambda model: {"lm_head.weight": "wte.weight"},
)
