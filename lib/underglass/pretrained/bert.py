"""BERT: the published family's names for tensors and sizes, and ours.

Reference: Devlin et al. (2019), "BERT", whose weights transformers has given their common names.
"""

from typing import Any

from torch import nn

from underglass.models.bert import BERT, BERTConfig
from underglass.models.bert_heads import (
    BERTForClassification,
    BERTForMaskedLM,
    BERTForSpans,
    BERTForTokens,
)
from underglass.pretrained.family import Family, Tensors, inverse, rename, renamed
from underglass.pretrained.settings import Settings, their_activation

BODY = {  # theirs: ours, with # for the number of the layer
    "embeddings.word_embeddings": "tokens",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "segments",
    "embeddings.LayerNorm": "norm",
    "encoder.layer.#.attention.self.query": "blocks.#.attention.q_proj",
    "encoder.layer.#.attention.self.key": "blocks.#.attention.k_proj",
    "encoder.layer.#.attention.self.value": "blocks.#.attention.v_proj",
    "encoder.layer.#.attention.output.dense": "blocks.#.attention.out_proj",
    "encoder.layer.#.attention.output.LayerNorm": "blocks.#.attention_norm",
    "encoder.layer.#.intermediate.dense": "blocks.#.feed_forward.in_proj",
    "encoder.layer.#.output.dense": "blocks.#.feed_forward.out_proj",
    "encoder.layer.#.output.LayerNorm": "blocks.#.feed_forward_norm",
    "pooler.dense": "pooler",
}
HEADS = {
    "cls.predictions.transform.dense": "transform",
    "cls.predictions.transform.LayerNorm": "norm",
    "cls.predictions.bias": "bias",
    "classifier": "classifier",
    "qa_outputs": "spans",
}
UNDER_A_HEAD = {f"bert.{theirs}": f"bert.{ours}" for theirs, ours in BODY.items()} | HEADS
SIZES = {
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_len",
    "type_vocab_size": "num_segments",
    "hidden_size": "d_model",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "d_ff",
    "hidden_dropout_prob": "dropout",
    "layer_norm_eps": "eps",
}
DEFAULTS = {"hidden_dropout_prob": 0.1, "hidden_act": "gelu", "layer_norm_eps": 1e-12}
FIXED = {"position_embedding_type": "absolute"}
LABELLED = (BERTForClassification, BERTForTokens)


def their_name(name: str) -> str:
    """What they call a tensor of BERT's own."""
    return rename(name, inverse(BODY))


def _to_ours(theirs: Tensors) -> Tensors:
    return renamed(theirs, UNDER_A_HEAD if _is_under_a_head(theirs) else BODY)


def _to_theirs(ours: Tensors) -> Tensors:
    return renamed(ours, inverse(UNDER_A_HEAD if _is_under_a_head(ours) else BODY))


def _is_under_a_head(tensors: Tensors) -> bool:
    return any(name.startswith("bert.") for name in tensors)


def _build(settings: Settings, tensors: Tensors, kind: type[nn.Module]) -> nn.Module:
    """Their other shares of dropout (attention weights, classifier) are not kept: ours has one."""
    settings.check(FIXED)
    settings = settings.filled(DEFAULTS)
    bert = BERT(
        settings.read(
            BERTConfig,
            SIZES,
            activation=settings.activation("hidden_act"),
            pooler="pooler.dense.weight" in tensors or kind is BERTForClassification,
        )
    )
    if kind is BERT:
        return bert
    labels = [_num_labels(settings)] if kind in LABELLED else []
    return kind(bert, *labels)


def _num_labels(settings: Settings) -> int:
    """As many as have names; two unless the config says."""
    names = settings.get("id2label")
    if names is None:
        return settings.filled({"num_labels": 2}).value("num_labels", int)
    if not isinstance(names, dict) or not names:
        settings.refuse("id2label", "a name for each label")
    if settings.get("num_labels") not in (None, len(names)):
        settings.refuse("num_labels", f"{len(names)}, for so many names are in id2label")
    return len(names)


def _write_config(model: nn.Module) -> dict[str, Any]:
    config: BERTConfig = model.config  # pyright: ignore[reportAssignmentType]
    values = {theirs: getattr(config, ours) for theirs, ours in SIZES.items()}
    if isinstance(model, LABELLED):
        names = [f"LABEL_{i}" for i in range(model.num_labels)]
        values["id2label"] = {str(i): name for i, name in enumerate(names)}
        values["label2id"] = {name: i for i, name in enumerate(names)}
    return {
        **values,
        "hidden_act": their_activation(config.activation),
        "attention_probs_dropout_prob": config.dropout,
    }


def _copies(model: nn.Module) -> dict[str, str]:
    """The masked-LM head's output layer is the table of tokens, and is in some files twice."""
    if not isinstance(model, BERTForMaskedLM):
        return {}
    return {
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }


FAMILY = Family(
    model_type="bert",
    architectures={
        "BertModel": BERT,
        "BertForMaskedLM": BERTForMaskedLM,
        "BertForPreTraining": BERTForMaskedLM,  # without its guess which sentence comes next
        "BertForSequenceClassification": BERTForClassification,
        "BertForTokenClassification": BERTForTokens,
        "BertForQuestionAnswering": BERTForSpans,
    },
    build=_build,
    write_config=_write_config,
    to_ours=_to_ours,
    to_theirs=_to_theirs,
    prefix="bert.",
    spare=r"embeddings\.position_ids|(cls|classifier|qa_outputs)\..*",
    copies=_copies,
    # As Google published it
    old_names={r"LayerNorm\.gamma$": "LayerNorm.weight", r"LayerNorm\.beta$": "LayerNorm.bias"},
)
