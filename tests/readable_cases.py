"""For each component, a call of its readable path, and one of what is ready-made or faster.

Both give the same. Where nothing is ready-made, a case has the readable path only.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from tokenizers import normalizers, pre_tokenizers
from tokenizers.models import WordPiece as RustWordPiece
from torch import Tensor, nn
from torch.optim import lr_scheduler
from underglass import attention, cache, layers, losses, optimizers, positions, schedules
from underglass.models import baselines, bert, bert_heads, gpt, llama, seq2seq
from underglass.tokenizers import BPE, WordPiece

F64, BATCH, SEQ, VOCAB, D_MODEL, HEADS, STEPS = torch.float64, 2, 5, 37, 12, 3, 7
Module = TypeVar("Module", bound=nn.Module)


class Case(NamedTuple):
    name: str
    readable: Callable[[], Any]
    ready: Callable[[], Any] | None = None


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def some_ids(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(1, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(5)


X, CONTEXT = random(BATCH, SEQ, D_MODEL), random(BATCH, 4, D_MODEL, seed=1)
IDS = some_ids(BATCH, SEQ)
CAUSAL = attention.causal_mask(SEQ)
PADDED = attention.padding_mask(IDS.index_fill(1, torch.tensor([4]), 0), 0)
LOGITS, TARGETS = random(BATCH, SEQ, VOCAB), IDS.index_fill(1, torch.tensor([2]), -100)


def scattered(module: Module) -> Module:
    """In float64, with every parameter at random, norms and biases too."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.to(F64).parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def with_gradients(module: nn.Module, result: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    """The result, and the gradients of a sum of it, weighted at random, for every parameter."""
    total = (result * random(*result.shape, seed=4)).sum()
    parameters = list(module.parameters())
    if not parameters:
        return result, []
    return result, list(torch.autograd.grad(total, parameters, allow_unused=True))


def called(name: str, module: nn.Module, *inputs: Any, plain: Any = None, fast: Any = None) -> Case:
    """A layer or model, with the options of its readable path, and those of its fast one.

    Of what it returns, the first tensor counts, and the gradients of that.
    """
    scattered(module)

    def run(options: dict[str, Any]) -> Any:
        result = module(*inputs, **options)
        while isinstance(result, tuple):
            result = result[0]
        return with_gradients(module, result)

    return Case(name, lambda: run(plain or {}), None if fast is None else lambda: run(fast))


def attends(name: str, module: nn.Module, *inputs: Any, **options: Any) -> Case:
    """What attends uses a fused kernel, unless the attention weights are asked for."""
    plain = {**options, "return_weights": True}
    return called(name, module, *inputs, plain=plain, fast=options)


def primitives() -> Iterator[Case]:
    q, k, v = (random(BATCH, HEADS, n, 4, seed=n) for n in (SEQ, SEQ + 1, SEQ + 1))
    mask = attention.causal_mask(SEQ, past=1)
    yield Case(
        "attention.scaled_dot_product_attention",
        lambda: attention.scaled_dot_product_attention(q, k, v, mask)[0],
        lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=mask),
    )
    yield Case("attention.causal_mask", lambda: attention.causal_mask(3, past=2))
    yield Case("attention.padding_mask", lambda: attention.padding_mask(IDS, 0))
    rotary = positions.RotaryPositions(4)
    grouped = attention.MultiHeadAttention(D_MODEL, HEADS, num_kv_heads=1, rotary=rotary)
    yield attends("attention.MultiHeadAttention", grouped, X, mask=CAUSAL)
    yield Case("cache.KeyValueCache", lambda: in_two_steps(True), lambda: in_two_steps(False))
    yield Case("positions.sinusoidal_positions", lambda: positions.sinusoidal_positions(5, 4))
    yield called("positions.LearnedPositions", positions.LearnedPositions(SEQ, D_MODEL), X)
    yield called("positions.RotaryPositions", positions.RotaryPositions(D_MODEL), X)
    yield called("layers.FeedForward", layers.FeedForward(D_MODEL, 7), X)
    yield called("layers.GatedFeedForward", layers.GatedFeedForward(D_MODEL, 7), X)
    ours, theirs = scattered(layers.RMSNorm(D_MODEL)), scattered(nn.RMSNorm(D_MODEL, eps=1e-6))
    yield Case(
        "layers.RMSNorm",
        lambda: with_gradients(ours, ours(X)),
        lambda: with_gradients(theirs, theirs(X)),
    )
    yield attends("layers.EncoderBlock", layers.EncoderBlock(D_MODEL, HEADS, 7), X, PADDED)
    yield attends("layers.DecoderBlock", layers.DecoderBlock(D_MODEL, HEADS, 7), X, CONTEXT, CAUSAL)
    block = layers.PreNormBlock(
        attention.MultiHeadAttention(D_MODEL, HEADS),
        layers.RMSNorm(D_MODEL),
        layers.FeedForward(D_MODEL, 7),
        layers.RMSNorm(D_MODEL),
    )
    yield attends("layers.PreNormBlock", block, X, CAUSAL)


def in_two_steps(readable: bool) -> Tensor:
    """Attention to three tokens, and to two more with the keys and values of the first."""
    layer = scattered(attention.MultiHeadAttention(D_MODEL, HEADS))
    past = cache.KeyValueCache(SEQ)
    with torch.no_grad():
        steps = [layer(x, cache=past, return_weights=readable) for x in X.split([3, 2], dim=1)]
    return torch.cat([step[0] if readable else step for step in steps], dim=1)


SIZES: dict[str, Any] = dict(
    vocab_size=VOCAB, max_len=SEQ, d_model=D_MODEL, num_layers=2, num_heads=HEADS, d_ff=7
)


def transformers() -> Iterator[Case]:
    yield attends("models.gpt.GPT", gpt.GPT(gpt.GPTConfig(**SIZES)), IDS)
    grouped = llama.LlamaConfig(**SIZES, num_kv_heads=1)
    yield attends("models.llama.Llama", llama.Llama(grouped), IDS)
    translator = seq2seq.Seq2Seq(seq2seq.Seq2SeqConfig(**SIZES))
    yield attends("models.seq2seq.Seq2Seq", translator, IDS, some_ids(BATCH, 4, seed=1), PADDED)

    def encoder() -> bert.BERT:
        return bert.BERT(bert.BERTConfig(**SIZES))

    yield attends("models.bert.BERT", encoder(), IDS, PADDED)
    for head in (
        bert_heads.BERTForMaskedLM(encoder()),
        bert_heads.BERTForClassification(encoder(), num_labels=3),
        bert_heads.BERTForTokens(encoder(), num_labels=3),
        bert_heads.BERTForSpans(encoder()),
    ):
        yield attends(f"models.bert_heads.{type(head).__name__}", head, IDS, PADDED)


def recurrent() -> Iterator[Case]:
    cell = scattered(nn.LSTMCell(D_MODEL, 7))
    x, hidden, state = random(BATCH, D_MODEL), random(BATCH, 7), random(BATCH, 7, seed=1)
    yield Case(
        "models.baselines.lstm_cell",
        lambda: baselines.lstm_cell(x, hidden, state, *cell.parameters()),
        lambda: cell(x, (hidden, state)),
    )
    ways: dict[str, Any] = dict(plain={"fused": False}, fast={"fused": True})
    reader = baselines.LSTMLanguageModel(baselines.LSTMLanguageModelConfig(VOCAB, D_MODEL))
    yield called("models.baselines.LSTMLanguageModel", reader, IDS, **ways)
    sizes = baselines.LSTMClassifierConfig(VOCAB, num_labels=3, d_model=D_MODEL)
    judge = baselines.LSTMClassifier(sizes)
    yield called("models.baselines.LSTMClassifier", judge, IDS, PADDED, **ways)


def counted() -> Iterator[Case]:
    text = some_ids(200).tolist()
    kneser_ney = baselines.NGram(baselines.NGramConfig(VOCAB, order=3))
    yield Case("models.baselines.NGram", lambda: kneser_ney.fit([text]).token_losses(text))
    add_k = baselines.AddK(baselines.AddKConfig(VOCAB, order=3))
    yield Case("models.baselines.AddK", lambda: add_k.fit([text]).token_losses(text))


def word_vectors() -> Iterator[Case]:
    words = scattered(baselines.SkipGram(baselines.SkipGramConfig(VOCAB, D_MODEL)))
    triple = IDS[0], IDS[1], some_ids(SEQ, 3, seed=1)
    yield Case(
        "models.baselines.SkipGram",
        lambda: with_gradients(words, words(*triple)),
        lambda: with_gradients(words, told_apart(words, *triple)),
    )
    counts = some_ids(VOCAB)
    noise = baselines.noise_distribution(counts)
    yield Case("models.baselines.noise_distribution", lambda: baselines.noise_distribution(counts))
    yield Case(
        "models.baselines.draw_negatives",
        lambda: baselines.draw_negatives(noise, 5, generator=draws()),
    )
    yield Case(
        "models.baselines.skip_gram_pairs",
        lambda: baselines.skip_gram_pairs(IDS[0], 2, generator=draws()),
    )
    yield Case(
        "models.baselines.subsample",
        lambda: baselines.subsample(IDS[0], counts, threshold=0.01, generator=draws()),
    )


def told_apart(model: Any, centers: Tensor, contexts: Tensor, negatives: Tensor) -> Tensor:
    """Skip-gram's loss by torch's own: which of the words stood there, and which were drawn?"""
    others = torch.cat([contexts[:, None], negatives], dim=1)
    scores = (model.contexts(others) @ model.centers(centers)[..., None]).squeeze(-1)
    there = torch.zeros_like(scores).index_fill(1, torch.tensor([0]), 1.0)
    return F.binary_cross_entropy_with_logits(scores, there, reduction="none").sum(dim=1)


def of_language() -> Iterator[Case]:
    yield Case(
        "losses.log_sum_exp", lambda: losses.log_sum_exp(LOGITS), lambda: LOGITS.logsumexp(-1)
    )
    yield Case(
        "losses.token_losses",
        lambda: losses.token_losses(LOGITS, TARGETS),
        lambda: F.cross_entropy(LOGITS.mT, TARGETS, reduction="none"),
    )
    yield Case(
        "losses.cross_entropy",
        lambda: losses.cross_entropy(LOGITS, TARGETS, label_smoothing=0.1),
        lambda: F.cross_entropy(LOGITS.mT, TARGETS, label_smoothing=0.1),
    )
    yield Case(
        "losses.causal_lm_loss",
        lambda: losses.causal_lm_loss(LOGITS, TARGETS),
        lambda: F.cross_entropy(LOGITS[:, :-1].mT, TARGETS[:, 1:]),
    )
    yield Case(
        "losses.mask_tokens",
        lambda: losses.mask_tokens(
            IDS, mask_id=1, vocab_size=VOCAB, special_ids=[0], generator=draws()
        ),
    )
    yield Case(
        "losses.masked_lm_loss",
        lambda: losses.masked_lm_loss(LOGITS, TARGETS),
        lambda: F.cross_entropy(LOGITS.mT, TARGETS),
    )


def of_pairs() -> Iterator[Case]:
    a, b = X
    yield Case(
        "losses.info_nce",
        lambda: losses.info_nce(a, b, temperature=0.5),
        lambda: contrasted(a, b, 0.5),
    )
    teacher = random(BATCH, SEQ, VOCAB, seed=1)
    yield Case(
        "losses.distillation",
        lambda: losses.distillation(LOGITS, teacher, temperature=2.0),
        lambda: 4 * divergence(LOGITS / 2, teacher / 2),
    )
    yield Case(
        "losses.sequence_log_probability",
        lambda: losses.sequence_log_probability(LOGITS, IDS),
        lambda: -F.cross_entropy(LOGITS[:, :-1].mT, IDS[:, 1:], reduction="none").sum(-1),
    )
    chosen, rejected, chosen_before, rejected_before = random(4, SEQ)
    margin = 0.1 * ((chosen - rejected) - (chosen_before - rejected_before))
    yield Case(
        "losses.dpo",
        lambda: losses.dpo(chosen, rejected, chosen_before, rejected_before, beta=0.1),
        lambda: F.binary_cross_entropy_with_logits(margin, torch.ones_like(margin)),
    )


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    p, q = F.log_softmax(teacher, dim=-1), F.log_softmax(student, dim=-1)
    return F.kl_div(q, p, reduction="none", log_target=True).sum(dim=-1).mean()


def contrasted(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    scores = F.cosine_similarity(a[:, None], b[None], dim=-1) / temperature
    pairs = torch.arange(len(a))
    return (F.cross_entropy(scores, pairs) + F.cross_entropy(scores.mT, pairs)) / 2


def optimizing() -> Iterator[Case]:
    kinds: list[tuple[Any, Any, dict[str, Any]]] = [
        (optimizers.SGD, torch.optim.SGD, dict(momentum=0.9, nesterov=True, weight_decay=0.1)),
        (optimizers.RMSProp, torch.optim.RMSprop, dict(weight_decay=0.1)),
        (optimizers.Adam, torch.optim.Adam, dict(weight_decay=0.1)),
        (optimizers.AdamW, torch.optim.AdamW, {}),
        (optimizers.Lion, None, dict(weight_decay=0.1)),
        (optimizers.Muon, None, dict(ns_dtype="float64")),
    ]
    for ours, theirs, options in kinds:
        for fast in filter(None, (ours, theirs)):
            yield Case(
                f"optimizers.{ours.__name__}",
                lambda ours=ours, options=options: trained(ours, foreach=False, **options),
                lambda fast=fast, options=options: trained(fast, foreach=True, **options),
            )
    yield Case("optimizers.orthogonalize", lambda: optimizers.orthogonalize(X))


def trained(kind: Any, **options: Any) -> Tensor:
    """A matrix after some steps."""
    parameter = nn.Parameter(random(3, 5))
    optimizer = kind([parameter], lr=0.02, **options)
    for step in range(STEPS):
        parameter.grad = parameter.detach() + random(3, 5, seed=step)
        optimizer.step()
    return parameter.detach()


def scheduling() -> Iterator[Case]:
    made: list[tuple[str, schedules.Schedule, Any]] = [
        ("constant", schedules.constant(), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
        (
            "linear",
            schedules.linear(9, floor=0.25),
            lambda o: lr_scheduler.LinearLR(o, 1.0, 0.25, total_iters=9),
        ),
        (
            "cosine",
            schedules.cosine(9, floor=0.25),
            lambda o: lr_scheduler.CosineAnnealingLR(o, 9, eta_min=0.25),
        ),
        ("inverse_square_root", schedules.inverse_square_root(warmup_steps=3), None),
        ("noam", schedules.noam(16, warmup_steps=3), None),
    ]
    for name, schedule, theirs in made:

        def ours(optimizer: torch.optim.Optimizer, schedule=schedule) -> lr_scheduler.LambdaLR:
            return lr_scheduler.LambdaLR(optimizer, schedule)

        ready = None if theirs is None else lambda theirs=theirs: rates(theirs)
        yield Case(f"schedules.{name}", lambda ours=ours: rates(ours), ready)


def rates(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]) -> Tensor:
    """The rates of the first steps, from 1 on."""
    optimizer = optimizers.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, foreach=False)
    scheduler, found = make(optimizer), []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(found, dtype=F64)


TEXT = "Attention weighs words: the naïve, the 17 unaffordable ones, and words again."
PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] the word ##s un ##aff ##ord ##able naive again . , : 17"


def tokenizing() -> Iterator[Case]:
    vocab = list[str](PIECES.split(" "))

    def by_rust() -> list[int]:
        from tokenizers import Tokenizer  # here: what is taken away cannot be imported

        tokenizer = Tokenizer(rust_model(vocab))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer.encode(TEXT).ids

    yield Case("tokenizers.WordPiece", lambda: WordPiece(vocab).encode(TEXT)[1:-1], by_rust)

    def learned(fast: bool) -> tuple[Any, list[int]]:
        bpe = BPE.train([TEXT] * 2, 300, fast=fast)
        return bpe.merges, (bpe.fast() if fast else bpe).encode(TEXT)

    yield Case("tokenizers.BPE", lambda: learned(False), lambda: learned(True))


def rust_model(vocab: list[str]) -> RustWordPiece:
    return RustWordPiece({token: i for i, token in enumerate(vocab)}, unk_token="[UNK]")


KINDS = (primitives, transformers, recurrent, counted, word_vectors, of_language, of_pairs)
KINDS += (optimizing, scheduling, tokenizing)
CASES: list[Case] = [case for kind in KINDS for case in kind()]
