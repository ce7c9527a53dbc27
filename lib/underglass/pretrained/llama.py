"""Llama: the published family's names for tensors and sizes, and ours.

Reference: Touvron et al. (2023), "Llama 2", whose weights transformers has given their common names
and laid out for rotary positions that pair coordinate i with i + d_head/2.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from underglass.models.llama import Llama, LlamaConfig
from underglass.pretrained.family import Family, Tensors, inverse, renamed
from underglass.pretrained.settings import Settings

MODULES = {  # theirs: ours, with # for the number of the layer
    "model.embed_tokens": "tokens",
    "model.layers.#.input_layernorm": "blocks.#.attention_norm",
    "model.layers.#.self_attn.q_proj": "blocks.#.attention.q_proj",
    "model.layers.#.self_attn.k_proj": "blocks.#.attention.k_proj",
    "model.layers.#.self_attn.v_proj": "blocks.#.attention.v_proj",
    "model.layers.#.self_attn.o_proj": "blocks.#.attention.out_proj",
    "model.layers.#.post_attention_layernorm": "blocks.#.feed_forward_norm",
    "model.layers.#.mlp.gate_proj": "blocks.#.feed_forward.gate_proj",
    "model.layers.#.mlp.up_proj": "blocks.#.feed_forward.up_proj",
    "model.layers.#.mlp.down_proj": "blocks.#.feed_forward.down_proj",
    "model.norm": "norm",
    "lm_head": "output",
}
SIZES = {
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_len",
    "hidden_size": "d_model",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "num_key_value_heads": "num_kv_heads",
    "intermediate_size": "d_ff",
    "rms_norm_eps": "eps",
    "tie_word_embeddings": "tied",
}
DEFAULTS = {"rms_norm_eps": 1e-6, "tie_word_embeddings": False}
FIXED = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "attention_dropout": 0.0,
    "partial_rotary_factor": 1.0,
}
UNSCALED = {"rope_type": "default", "type": "default", "partial_rotary_factor": 1.0}


def _build(settings: Settings, tensors: Tensors, kind: type[nn.Module]) -> nn.Module:
    settings.check(FIXED)
    num_heads = settings.value("num_attention_heads", int)
    settings = settings.filled({**DEFAULTS, "num_key_value_heads": num_heads})
    config = settings.read(LlamaConfig, SIZES, rotary_base=_rotary_base(settings))
    settings.check({"head_dim": config.d_model // config.num_heads})
    return Llama(config)


def _rotary_base(settings: Settings) -> float:
    """From rope_parameters, or, as configs before 2026 have it, from a field of its own.

    Scaled angles, with which a model is stretched to longer texts, are refused: ours has none.
    """
    bases = [settings.get("rope_theta")]
    for name in ("rope_parameters", "rope_scaling"):  # the second is the older one
        rope = settings.get(name) or {}
        if not isinstance(rope, dict):
            settings.refuse(name, "settings in braces, or null")
        for key, plain in UNSCALED.items():
            if rope.get(key) not in (None, plain):
                settings.refuse(name, f"{key}={plain!r}")
        bases.append(rope.get("rope_theta"))
    given = [base for base in bases if base is not None] or [10000.0]
    if any(base != given[0] for base in given):
        settings.refuse("rope_theta", f"one number, but the config says {given}")
    return replace(settings, values={"rope_theta": given[0]}).value("rope_theta", float)


def _write_config(model: Llama) -> dict[str, Any]:
    config = model.config
    return {
        **{theirs: getattr(config, ours) for theirs, ours in SIZES.items()},
        "head_dim": config.d_model // config.num_heads,
        "hidden_act": "silu",
        "rope_theta": config.rotary_base,  # where transformers before version 5 looks for it
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rotary_base},
        # Which tokens begin and end a text, a model does not know; 1 and 2 unless the config says.
        "bos_token_id": None,
        "eos_token_id": None,
    }


FAMILY = Family(
    model_type="llama",
    architectures={"LlamaForCausalLM": Llama, "LlamaModel": Llama},
    build=_build,
    write_config=_write_config,
    to_ours=partial(renamed, names=MODULES),
    to_theirs=partial(renamed, names=inverse(MODULES)),
    prefix="model.",
    spare=r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq",  # the speeds of the pairs
    copies=lambda model: {"lm_head.weight": "embed_tokens.weight"} if model.config.tied else {},
)
