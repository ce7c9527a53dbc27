"""What a config.json says: the same as it says to transformers, or refused."""

import json

import pytest
from checkpoints import change_config, compare, their_model, written
from refusals import refused
from underglass import pretrained
from underglass.models.bert import BERT
from underglass.models.gpt import GPT
from underglass.models.llama import Llama
from underglass.models.seq2seq import Seq2Seq, Seq2SeqConfig
from underglass.pretrained import FAMILIES, bert, gpt, llama, seq2seq

FAMILY = {"bert": bert, "gpt2": gpt, "llama": llama, "marian": seq2seq}


# ----------------------------------------------------------------------- what may be missing


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("null", [False, True])
def test_what_a_config_leaves_out_means_the_same_as_in_transformers(tmp_path, name, null):
    theirs = their_model(name)  # which has all of this as it is unless one says otherwise
    folder = written(theirs, tmp_path)
    expected = pretrained.load(folder).config
    config = json.loads((folder / "config.json").read_text())
    optional = {*FAMILY[name].DEFAULTS, *FAMILY[name].FIXED, "n_inner", "head_dim"}
    optional |= {"rope_parameters", "num_labels", "id2label"}
    for field in optional - {"scale_embedding"}:  # without which Marian's vectors are not scaled
        config.pop(field, None)
        if null:
            config[field] = None
    (folder / "config.json").write_text(json.dumps(config))
    ours = pretrained.load(folder)
    assert ours.config == expected
    compare(ours, theirs)


@pytest.mark.parametrize(
    "change",
    [
        {"rope_theta": 500.0, "rope_parameters": None},  # before version 5
        {"rope_theta": 500, "rope_parameters": None, "rope_scaling": None},
        {"rope_theta": 500.0, "rope_parameters": None, "rope_scaling": {"type": "default"}},
        {"rope_theta": 500.0},  # both, as we write it
    ],
)
def test_the_rotary_base_where_it_was_once_written(tmp_path, change):
    theirs = their_model("llama_tied")
    compare(pretrained.load(change_config(written(theirs, tmp_path), change)), theirs)
    assert pretrained.load(tmp_path, Llama).config.rotary_base == 500.0


def test_an_architecture_need_not_be_named(tmp_path):
    for name, kind in {"bert": BERT, "gpt2": GPT, "llama": Llama, "marian": Seq2Seq}.items():
        folder = written(their_model(name), tmp_path / name)
        assert type(pretrained.load(change_config(folder, {"architectures": None}))) is kind
        assert type(pretrained.load(change_config(folder, {"architectures": []}))) is kind


# ----------------------------------------------------------------------- other families


@pytest.mark.parametrize("model_type", ["t5", "gpt_neo", "mistral", "roberta", None, 7, ["bert"]])
def test_a_checkpoint_of_another_family(tmp_path, model_type):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    found = json.dumps(model_type).replace('"', "'").replace("null", "None")
    message = f"model_type={found}: expected one of bert, gpt2, llama, marian"
    with refused(ValueError, message.replace("[", r"\[").replace("]", r"\]")):
        pretrained.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "architectures", "expected"),
    [
        ("bert", ["BertForMultipleChoice"], "BertModel, BertForMaskedLM, .*QuestionAnswering"),
        ("gpt2", ["GPT2ForSequenceClassification"], "GPT2LMHeadModel, GPT2Model"),
        ("llama", ["LlamaForSequenceClassification"], "LlamaForCausalLM, LlamaModel"),
        ("marian", ["MarianForCausalLM"], "MarianMTModel, MarianModel"),
        ("bert", "BertModel", "BertModel, "),
        ("bert", [["BertModel"]], "BertModel, "),
    ],
)
def test_an_architecture_that_we_do_not_have(tmp_path, name, architectures, expected):
    folder = written(their_model(name), tmp_path)
    change_config(folder, {"architectures": architectures})
    with refused(ValueError, f"config.json: architectures=.*: expected one of {expected}"):
        pretrained.load(folder)


# ----------------------------------------------------------------------- other computations

EVERYWHERE = [
    ({"is_decoder": True}, "is_decoder=True: expected False"),
    ({"add_cross_attention": True}, "add_cross_attention=True: expected False"),
    ({"pruned_heads": {"0": [1]}}, "pruned_heads={'0': .1.}: expected {}"),
    ({"quantization_config": {"bits": 4}}, "quantization_config={'bits': 4}: expected None"),
    ({"auto_map": {"AutoModel": "theirs.Model"}}, "auto_map={.*}: expected None"),
]
WRONG = {
    "bert": [
        ({"position_embedding_type": "relative_key"}, "'relative_key': expected 'absolute'"),
        ({"hidden_act": ["gelu"]}, r"hidden_act=\['gelu'\]: expected str"),
    ],
    "gpt2": [
        ({"scale_attn_weights": False}, "scale_attn_weights=False: expected True"),
        ({"scale_attn_by_inverse_layer_idx": True}, "inverse_layer_idx=True: expected False"),
        ({"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn=True: expected False"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings=False: expected True"),
        ({"activation_function": "tanh"}, "activation_function='tanh': expected one of relu, gel"),
        ({"n_inner": 13}, r"c_fc.weight has shape \(12, 48\): expected \(12, 13\)"),
        ({"n_inner": "48"}, "n_inner='48': expected int"),
        ({"n_embd": None}, "n_embd=None: expected int"),
        ({"n_head": 5}, "d_model=12 is not divisible by num_heads=5"),
        ({"n_layer": 3}, "h.2.ln_1.weight is missing"),
        ({"n_layer": 1}, "h.1.* is not part of the model"),
        ({"n_positions": 12}, r"wpe.weight has shape \(11, 12\): expected \(12, 12\)"),
        ({"vocab_size": True}, "vocab_size=True: expected int"),
        ({"resid_pdrop": 1.0}, "dropout=1.0: expected a share"),
        ({"layer_norm_epsilon": 0}, "eps=0.0: expected a number above 0"),
    ],
    "llama": [
        ({"hidden_act": "gelu"}, "hidden_act='gelu': expected 'silu'"),
        ({"attention_bias": True}, "attention_bias=True: expected False"),
        ({"mlp_bias": True}, "mlp_bias=True: expected False"),
        ({"attention_dropout": 0.1}, "attention_dropout=0.1: expected 0.0"),
        ({"head_dim": 8}, "head_dim=8: expected 4"),
        ({"num_key_value_heads": 4}, "num_heads=6 is not divisible by num_kv_heads=4"),
        ({"num_key_value_heads": 2}, r"k_proj.weight has shape \(12, 24\): expected \(8, 24\)"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings=1: expected bool"),
        ({"tie_word_embeddings": True}, "lm_head.weight differs from embed_tokens.weight"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5: expected 1.0"),
        ({"rope_theta": 500.0}, "rope_theta=500.0: expected one number, but the config says"),
        ({"rope_theta": "a", "rope_parameters": None}, "rope_theta='a': expected float"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling={.*}: expected type='default'"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "rope_scaling={.*}: expected rope_type='defau"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters={.*}: expected rope_type="),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "expected partial_rotary_factor=1.0"),
        ({"rope_parameters": "default"}, "rope_parameters='default': expected settings in braces"),
        ({"rope_parameters": {"rope_theta": 0.5}}, "rotary_base=0.5: expected a number above 1"),
    ],
    "marian": [
        ({"scale_embedding": False}, "scale_embedding=False: expected True"),
        ({"scale_embedding": None}, "scale_embedding=False: expected True"),
        ({"share_encoder_decoder_embeddings": False}, "_embeddings=False: expected True"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings=False: expected True"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder=False: expected True"),
        ({"static_position_embeddings": False}, "position_embeddings=False: expected True"),
        ({"extra_pos_embeddings": 2}, "extra_pos_embeddings=2: expected 0"),
        ({"normalize_before": True}, "normalize_before=True: expected False"),
        ({"normalize_embedding": True}, "normalize_embedding=True: expected False"),
        ({"add_final_layer_norm": True}, "add_final_layer_norm=True: expected False"),
        ({"encoder_layerdrop": 0.1}, "encoder_layerdrop=0.1: expected 0.0"),
        ({"decoder_layerdrop": 0.1}, "decoder_layerdrop=0.1: expected 0.0"),
        ({"decoder_layers": 1}, "decoder_layers=1: expected 2"),
        ({"decoder_attention_heads": 4}, "decoder_attention_heads=4: expected 3"),
        ({"decoder_ffn_dim": 12}, "decoder_ffn_dim=12: expected 13"),
        ({"decoder_vocab_size": 30}, "decoder_vocab_size=30: expected 31"),
        ({"d_model": 15}, "d_model=15: expected an even number"),
        ({"activation_function": "tanh"}, "activation_function='tanh': expected one of relu, gel"),
    ],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of each family, of which a test changes only its own copy of config.json."""
    return {name: written(their_model(name), tmp_path_factory.mktemp(name)) for name in WRONG}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [(name, *case) for name, cases in WRONG.items() for case in [*cases, *EVERYWHERE]],
)
def test_what_we_would_compute_otherwise_is_refused(tmp_path, folders, name, change, message):
    for file in folders[name].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with refused(ValueError, message):
        pretrained.load(change_config(tmp_path, change))


def test_every_fixed_field_has_its_case():
    for name, module in FAMILY.items():
        tried = {field for change, _ in WRONG[name] for field in change}
        assert module.FIXED.keys() <= tried
    assert len(FAMILIES) == len(FAMILY)


def test_what_marian_cannot_express_is_not_saved(tmp_path):
    tiny = Seq2SeqConfig(vocab_size=31, d_model=12, num_layers=1, num_heads=3, d_ff=13, eps=1e-6)
    with refused(ValueError, "eps=1e-06: expected 1e-05, for Marian's norms know no other"):
        pretrained.save(Seq2Seq(tiny), tmp_path / "new")
    assert not (tmp_path / "new").exists()
