import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import underglass
from refusals import refused
from torch.testing import assert_close
from transformers.loss.loss_utils import ForCausalLMLoss
from transformers.models.clip.modeling_clip import image_text_contrastive_loss
from underglass import losses

BATCH, SEQ, VOCAB, D_MODEL = 3, 5, 7, 11
F64 = torch.float64


def leaf(*shape, dtype=F64):
    return torch.randn(shape, dtype=dtype, requires_grad=True)


def some_targets():
    targets = torch.randint(VOCAB, (BATCH, SEQ))
    targets[1, 2:] = -100
    return targets


def same(ours, theirs, *inputs):
    assert_close(ours, theirs)
    assert_close(torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs))


# ----------------------------------------------------------------------- log-sum-exp


def test_log_sum_exp_equals_torch_forward_and_backward():
    x = leaf(BATCH, SEQ, VOCAB)
    same(losses.log_sum_exp(x).sin().sum(), x.logsumexp(-1).sin().sum(), x)
    assert torch.autograd.gradcheck(losses.log_sum_exp, x)


def test_log_sum_exp_where_the_plain_formula_overflows_or_has_nothing():
    x = torch.tensor([[1000.0, 999], [-1000, -1001], [-math.inf, 3], [-math.inf, -math.inf]])
    assert x[:2].exp().sum(-1).log().isinf().all()  # the plain formula
    assert_close(losses.log_sum_exp(x), x.logsumexp(-1), rtol=0, atol=0)
    assert losses.log_sum_exp(x)[3] == -math.inf


# ----------------------------------------------------------------------- cross-entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("axes", [(), (4,), (2, 3), (2, 1, 3)], ids=str)
def test_cross_entropy_equals_torch(axes, smoothing):
    logits, targets = leaf(*axes, VOCAB), torch.randint(VOCAB, axes)
    if len(axes) == 2:
        targets[0, 1] = targets[1, 2] = -100
    theirs = F.cross_entropy(
        logits.reshape(-1, VOCAB), targets.reshape(-1), label_smoothing=smoothing
    )
    same(losses.cross_entropy(logits, targets, label_smoothing=smoothing), theirs, logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_gradients(smoothing):
    targets = some_targets()
    assert torch.autograd.gradcheck(
        lambda x: losses.cross_entropy(x, targets, label_smoothing=smoothing),
        leaf(BATCH, SEQ, VOCAB),
        fast_mode=True,
    )


def test_gradient_is_probabilities_less_the_target():
    logits, targets = leaf(SEQ, VOCAB), torch.randint(VOCAB, (SEQ,))
    (gradient,) = torch.autograd.grad(losses.cross_entropy(logits, targets), logits)
    assert_close(gradient, (logits.softmax(-1) - F.one_hot(targets, VOCAB)) / SEQ)


def test_token_losses_are_those_of_each_position():
    logits, targets = leaf(BATCH, SEQ, VOCAB), some_targets()
    theirs = F.cross_entropy(logits.mT, targets, reduction="none")
    ours = losses.token_losses(logits, targets)
    assert_close(ours, theirs)
    assert ours[1, 2:].eq(0).all()


def test_the_largest_logits_do_not_overflow():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = losses.cross_entropy(logits, torch.tensor([1, 1]))
    loss.backward()
    assert loss == 1e4
    assert logits.grad is not None
    assert_close(logits.grad, torch.tensor([[0.5, -0.5], [0, 0]]))


@pytest.mark.parametrize("ignore_index", [-100, 0, 5])
def test_ignored_targets_do_not_count(ignore_index):
    logits, targets = leaf(BATCH, SEQ, VOCAB), torch.randint(1, 5, (BATCH, SEQ))
    targets[1, 2:] = targets[2, 0] = ignore_index
    ours = losses.cross_entropy(logits, targets, ignore_index=ignore_index)
    theirs = F.cross_entropy(logits.mT, targets, ignore_index=ignore_index)
    same(ours, theirs, logits)
    (gradient,) = torch.autograd.grad(
        losses.cross_entropy(logits, targets, ignore_index=ignore_index), logits
    )
    assert gradient[targets == ignore_index].eq(0).all()
    assert gradient[targets != ignore_index].ne(0).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [BATCH, 0], ids=["all ignored", "empty"])
def test_no_target_at_all_gives_0_and_gradients_of_0(rows, smoothing):
    logits, targets = leaf(rows, SEQ, VOCAB), torch.full((rows, SEQ), -100)
    loss = losses.cross_entropy(logits, targets, label_smoothing=smoothing)
    assert loss == 0
    assert torch.autograd.grad(loss, logits)[0].eq(0).all()
    assert F.cross_entropy(logits.mT, targets).isnan()  # torch's answer


def test_a_vocabulary_of_one_token_leaves_nothing_to_learn():
    assert losses.token_losses(torch.randn(2, 1), torch.tensor([-100, 0])).eq(0).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_targets_of_every_whole_number(dtype):
    logits, targets = leaf(SEQ, VOCAB), torch.randint(VOCAB, (SEQ,))
    assert_close(losses.cross_entropy(logits, targets.to(dtype)), F.cross_entropy(logits, targets))


# ----------------------------------------------------------------------- causal and masked


def test_causal_loss_equals_transformers():
    logits, ids = leaf(BATCH, SEQ, VOCAB), torch.randint(1, VOCAB, (BATCH, SEQ))
    ids[0, 3:] = 0
    ours = losses.causal_lm_loss(logits, ids, pad_id=0)
    # in float32: theirs goes down to it
    theirs = ForCausalLMLoss(logits, ids.masked_fill(ids == 0, -100), VOCAB)
    assert_close(ours, theirs, check_dtype=False)


def test_causal_loss_predicts_the_next_token():
    logits, ids = leaf(BATCH, SEQ, VOCAB), torch.randint(1, VOCAB, (BATCH, SEQ))
    ids[1, 4] = 0
    by_hand = [
        -logits[b, t].log_softmax(-1)[ids[b, t + 1]]
        for b in range(BATCH)
        for t in range(SEQ - 1)
        if ids[b, t + 1] != 0
    ]
    assert len(by_hand) == BATCH * (SEQ - 1) - 1
    same(losses.causal_lm_loss(logits, ids, pad_id=0), sum(by_hand) / len(by_hand), logits)
    counted = losses.causal_lm_loss(logits, ids)  # without pad_id every token counts
    assert_close(counted, F.cross_entropy(logits[:, :-1].mT, ids[:, 1:]))


def test_causal_loss_of_two_tokens_is_that_of_the_second():
    logits, ids = leaf(BATCH, 2, VOCAB), torch.randint(VOCAB, (BATCH, 2))
    same(losses.causal_lm_loss(logits, ids), F.cross_entropy(logits[:, 0], ids[:, 1]), logits)


def test_causal_loss_of_a_prompt_and_an_answer():
    logits, ids = leaf(BATCH, SEQ, VOCAB), torch.randint(VOCAB, (BATCH, SEQ))
    ids[:, :3] = -100
    loss = losses.causal_lm_loss(logits, ids, label_smoothing=0.2)
    theirs = F.cross_entropy(logits[:, 2:-1].mT, ids[:, 3:], label_smoothing=0.2)
    same(loss, theirs, logits)


def test_padding_never_contributes():
    ids = torch.randint(1, VOCAB, (BATCH, SEQ))
    logits = leaf(BATCH, SEQ, VOCAB)
    padded = torch.cat([ids, torch.zeros(BATCH, 2, dtype=torch.int64)], dim=1)
    longer = torch.cat([logits, 100 * leaf(BATCH, 2, VOCAB)], dim=1)
    same(
        losses.causal_lm_loss(longer, padded, pad_id=0),
        losses.causal_lm_loss(logits, ids),
        logits,
    )


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}], ids=str)
def test_masked_loss_counts_the_chosen_tokens_only(options):
    ids = torch.randint(2, VOCAB, (BATCH, SEQ))
    _, targets = losses.mask_tokens(
        ids, mask_id=1, vocab_size=VOCAB, special_ids=[0], probability=0.5
    )
    chosen = targets != -100
    assert 0 < chosen.sum() < ids.numel()
    logits = leaf(BATCH, SEQ, VOCAB)
    same(
        losses.masked_lm_loss(logits, targets, **options),
        F.cross_entropy(logits[chosen], ids[chosen], **options),
        logits,
    )


# ----------------------------------------------------------------------- corruption

PAD, CLS, SEP, MASK, WORDS = 0, 2, 3, 4, 53  # 1 is an ordinary id
SPECIAL = [PAD, CLS, SEP, MASK]


def corrupted(shape=(200, 1000), *, probability=0.15, seed=0):
    ids = torch.randint(WORDS, shape, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(seed)
    options: dict[str, Any] = dict(
        mask_id=MASK, vocab_size=WORDS, special_ids=SPECIAL, probability=probability
    )
    return ids, *losses.mask_tokens(ids, **options, generator=generator)


def within(count, n, p):
    """Five standard deviations of a binomial: wrong once in two million."""
    return abs(float(count) - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_shares_of_chosen_hidden_and_replaced_tokens():
    ids, seen, targets = corrupted()
    ordinary = ~torch.isin(ids, torch.tensor(SPECIAL))
    chosen = targets != -100
    n = int(chosen.sum())
    assert within(n, int(ordinary.sum()), 0.15)
    assert within((seen[chosen] == MASK).sum(), n, 0.8)
    words = WORDS - len(SPECIAL)  # one replacement in so many is the token itself
    assert within(((seen != MASK) & (seen != ids) & chosen).sum(), n, 0.1 * (1 - 1 / words))
    assert within(((seen == ids) & chosen).sum(), n, 0.1 + 0.1 / words)


def test_replacements_are_every_ordinary_token_alike():
    ids, seen, targets = corrupted(probability=1.0)
    replaced = (targets != -100) & (seen != MASK) & (seen != ids)
    counts = seen[replaced].bincount(minlength=WORDS)
    assert counts[SPECIAL].eq(0).all()
    ordinary = [i for i in range(WORDS) if i not in SPECIAL]
    n = int(counts.sum())
    assert all(within(counts[i], n, 1 / len(ordinary)) for i in ordinary)


def test_special_tokens_are_never_touched_and_the_rest_is_left_alone():
    ids, seen, targets = corrupted(probability=1.0)
    special = torch.isin(ids, torch.tensor(SPECIAL))
    assert torch.equal(seen[special], ids[special])
    assert targets[special].eq(-100).all()
    assert torch.equal(targets[~special], ids[~special])
    ids, seen, targets = corrupted(probability=0.3)
    assert torch.equal(seen[targets == -100], ids[targets == -100])
    ids, seen, targets = corrupted(probability=0.0)
    assert torch.equal(seen, ids)
    assert targets.eq(-100).all()


def test_choices_of_neighbours_are_independent():
    _, _, targets = corrupted((300, 1000))
    chosen = (targets != -100).double()
    share = 0.15 * (WORDS - len(SPECIAL)) / WORDS
    both = chosen[:, ::2] * chosen[:, 1::2]
    assert within(both.sum(), both.numel(), share**2)


def test_corruption_depends_on_the_generator_alone():
    _, seen, targets = corrupted(seed=3)
    torch.manual_seed(99)
    _, again, same_targets = corrupted(seed=3)
    _, other, _ = corrupted(seed=4)
    assert torch.equal(seen, again)
    assert torch.equal(targets, same_targets)
    assert not torch.equal(seen, other)


def test_mask_id_counts_as_special_without_being_named():
    ids = torch.full((2, 500), 3)
    options: dict[str, Any] = dict(mask_id=3, vocab_size=5, special_ids=[], probability=1.0)
    seen, targets = losses.mask_tokens(ids, **options)
    assert torch.equal(seen, ids)
    assert targets.eq(-100).all()


# ----------------------------------------------------------------------- contrastive


def test_info_nce_equals_the_formula():
    a, b, temperature = leaf(BATCH, D_MODEL), leaf(BATCH, D_MODEL), 0.3
    s = F.cosine_similarity(a[:, None], b[None], dim=-1) / temperature
    terms = [s[i, i].exp() / s[i].exp().sum() for i in range(BATCH)]
    terms += [s[i, i].exp() / s[:, i].exp().sum() for i in range(BATCH)]
    theirs = -torch.stack(terms).log().mean()
    same(losses.info_nce(a, b, temperature=temperature), theirs, a, b)


def test_info_nce_equals_clip():
    a, b = leaf(BATCH, D_MODEL), leaf(BATCH, D_MODEL)
    similarity = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / 0.07
    same(losses.info_nce(a, b, temperature=0.07), image_text_contrastive_loss(similarity), a, b)


def test_info_nce_is_symmetric_and_blind_to_lengths():
    a, b = leaf(BATCH, D_MODEL), leaf(BATCH, D_MODEL)
    loss = losses.info_nce(a, b, temperature=0.5)
    assert_close(losses.info_nce(b, a, temperature=0.5), loss)
    assert_close(losses.info_nce(3 * a, b / 7, temperature=0.5), loss)
    assert torch.autograd.gradcheck(lambda x, y: losses.info_nce(x, y, temperature=0.5), (a, b))


def test_info_nce_has_the_positive_in_its_denominator():
    a = torch.eye(2, dtype=F64)
    assert_close(losses.info_nce(a, a, temperature=1.0).item(), math.log(1 + math.exp(-1)))
    assert losses.info_nce(a, a, temperature=0.01) >= 0
    assert losses.info_nce(a[:1], a[:1], temperature=1.0) == 0


def test_info_nce_of_a_vector_of_zeros_is_finite():
    a, b = torch.zeros(BATCH, D_MODEL, dtype=F64, requires_grad=True), leaf(BATCH, D_MODEL)
    loss = losses.info_nce(a, b, temperature=0.1)
    assert_close(loss.item(), math.log(BATCH))
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, (a, b)))


# ----------------------------------------------------------------------- distillation


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_distillation_equals_torch(temperature):
    student, teacher = leaf(BATCH, SEQ, VOCAB), leaf(BATCH, SEQ, VOCAB)
    theirs = temperature**2 * F.kl_div(
        (student / temperature).log_softmax(-1).flatten(0, 1),
        (teacher.detach() / temperature).log_softmax(-1).flatten(0, 1),
        log_target=True,
        reduction="batchmean",
    )
    same(losses.distillation(student, teacher, temperature=temperature), theirs, student)


def test_distillation_of_padding_does_not_count():
    student, teacher = leaf(BATCH, SEQ, VOCAB), leaf(BATCH, SEQ, VOCAB)
    mask = some_targets() != -100
    ours = losses.distillation(student, teacher, temperature=2.0, mask=mask)
    theirs = losses.distillation(student[mask], teacher[mask], temperature=2.0)
    same(ours, theirs, student)
    nothing = losses.distillation(student, teacher, temperature=2.0, mask=mask & False)
    assert nothing == 0
    assert torch.autograd.grad(nothing, student)[0].eq(0).all()


def test_distillation_of_one_position_is_not_shared_out():
    student, teacher = leaf(VOCAB), leaf(VOCAB)
    theirs = F.kl_div(student.log_softmax(-1), teacher.softmax(-1).detach(), reduction="sum")
    same(losses.distillation(student, teacher, temperature=1.0), theirs, student)


def test_distillation_teaches_the_student_only():
    student, teacher = leaf(BATCH, VOCAB), leaf(BATCH, VOCAB)
    loss = losses.distillation(student, teacher, temperature=2.0)
    assert torch.autograd.grad(loss, teacher, allow_unused=True, retain_graph=True)[0] is None
    assert torch.autograd.gradcheck(
        lambda x: losses.distillation(x, teacher.detach(), temperature=2.0), student
    )
    # shifts of all logits change nothing: the same probabilities, the loss is 0
    assert_close(losses.distillation(teacher + 5, teacher, temperature=2.0).item(), 0.0)


# ----------------------------------------------------------------------- preferences


def test_dpo_equals_the_formula():
    chosen, rejected, ref_chosen, ref_rejected = (leaf(SEQ) for _ in range(4))
    margin = 0.3 * ((chosen - ref_chosen.detach()) - (rejected - ref_rejected.detach()))
    ours = losses.dpo(chosen, rejected, ref_chosen, ref_rejected, beta=0.3)
    same(ours, -F.logsigmoid(margin).mean(), chosen, rejected)
    grads = torch.autograd.grad(ours, (ref_chosen, ref_rejected), allow_unused=True)
    assert grads == (None, None)
    assert torch.autograd.gradcheck(
        lambda c, r: losses.dpo(c, r, ref_chosen, ref_rejected, beta=0.3), (chosen, rejected)
    )


def test_dpo_starts_at_log_2_and_never_overflows():
    one, other = torch.randn(BATCH, dtype=F64), torch.randn(BATCH, dtype=F64)
    assert_close(losses.dpo(one, other, one, other, beta=0.1).item(), math.log(2))
    zeros = torch.zeros(1, dtype=F64)
    assert losses.dpo(zeros - 1e5, zeros, zeros, zeros, beta=1.0) == 1e5
    assert losses.dpo(zeros + 1e5, zeros, zeros, zeros, beta=1.0) == 0


def test_sequence_log_probability():
    logits, ids = leaf(BATCH, SEQ, VOCAB), torch.randint(VOCAB, (BATCH, SEQ))
    mask = torch.rand(BATCH, SEQ, generator=torch.Generator().manual_seed(3)) > 0.4
    mask[2] = False
    log_p = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)
    assert_close(losses.sequence_log_probability(logits, ids), log_p.sum(-1))
    ours = losses.sequence_log_probability(logits, ids, mask)
    assert_close(ours, (log_p * mask[:, 1:]).sum(-1))
    assert ours[2] == 0


# ----------------------------------------------------------------------- dtypes and devices

CALLS = {
    "cross_entropy": lambda x, ids: losses.cross_entropy(x, ids, label_smoothing=0.1),
    "causal": lambda x, ids: losses.causal_lm_loss(x, ids, pad_id=0),
    "masked": lambda x, ids: losses.masked_lm_loss(x, ids),
    "info_nce": lambda x, ids: losses.info_nce(x[0], x[1], temperature=0.1),
    "distillation": lambda x, ids: losses.distillation(x, x.flip(0), temperature=2.0),
    "sequence": lambda x, ids: losses.sequence_log_probability(x, ids).sum(),
    "dpo": lambda x, ids: losses.dpo(*x[0, :4, :3], beta=0.1),
}
every_loss = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dtypes(call, dtype):
    x, ids = torch.randn(BATCH, SEQ, VOCAB, dtype=F64).to(dtype), some_targets().clamp(min=0)
    x.requires_grad_()
    loss = call(x, ids)
    # 16 bits are summed in 32, so the only difference is float32's
    assert loss.dtype == (F64 if dtype == F64 else torch.float32)
    assert_close(loss.double(), call(x.double(), ids), rtol=1e-5, atol=1e-6)
    loss.backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype


@every_loss
def test_runs_on_the_meta_device(call):
    x = torch.randn(BATCH, SEQ, VOCAB, device="meta")
    assert call(x, torch.empty(BATCH, SEQ, dtype=torch.int64, device="meta")).is_meta


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_corruption_keeps_the_type_of_the_ids(dtype):
    ids = torch.randint(2, VOCAB, (BATCH, SEQ)).to(dtype)
    seen, targets = losses.mask_tokens(ids, mask_id=1, vocab_size=VOCAB, special_ids=[0])
    assert seen.dtype == targets.dtype == dtype


def test_corruption_on_the_course_device_is_that_of_the_cpu():
    ids, device = torch.randint(2, VOCAB, (BATCH, SEQ)), underglass.device()

    def corrupt(ids):
        generator = torch.Generator().manual_seed(0)
        options: dict[str, Any] = dict(mask_id=1, vocab_size=VOCAB, special_ids=[0])
        return losses.mask_tokens(ids, probability=0.5, generator=generator, **options)

    assert_close([x.cpu() for x in corrupt(ids.to(device))], [*corrupt(ids)])


def test_corruption_runs_on_the_meta_device():
    ids = torch.empty(BATCH, SEQ, dtype=torch.int64, device="meta")
    seen, targets = losses.mask_tokens(ids, mask_id=1, vocab_size=VOCAB, special_ids=[0])
    assert seen.is_meta
    assert targets.is_meta
    assert seen.shape == targets.shape == ids.shape


def test_needs_no_ready_made_loss(monkeypatch):
    x, ids = torch.randn(BATCH, SEQ, VOCAB, dtype=F64), some_targets().clamp(min=0)
    expected = {name: call(x, ids) for name, call in CALLS.items()}

    def forbidden(*_, **__):
        raise AssertionError("a ready-made loss was called")

    names = (
        "cross_entropy nll_loss kl_div log_softmax softmax logsigmoid normalize cosine_similarity"
    )
    for name in names.split():
        monkeypatch.setattr(F, name, forbidden)
    for name in ("logsumexp", "log_softmax", "softmax"):
        monkeypatch.setattr(torch, name, forbidden)
        monkeypatch.setattr(torch.Tensor, name, forbidden)
    for name, call in CALLS.items():
        assert_close(call(x, ids), expected[name])


# ----------------------------------------------------------------------- refusals


def refusals():
    x, ids = torch.randn(BATCH, SEQ, VOCAB), torch.zeros(BATCH, SEQ, dtype=torch.int64)
    v = x[0, 0]
    mask = torch.ones(BATCH, SEQ)
    entropy, causal = losses.cross_entropy, losses.causal_lm_loss
    nce, distil, dpo = losses.info_nce, losses.distillation, losses.dpo
    shapes = r"logits \(3, 5, 7\), targets \(3, 4\): expected \[\*batch vocab_size\], \[\*batch\]"
    pair = r"logits \(3, 1, 7\), ids \(3, 1\): .* seq at least 2"
    yield lambda: entropy(x, ids[:, 1:]), ValueError, shapes
    yield lambda: entropy(x[..., :0], ids), ValueError, r"logits \(3, 5, 0\), targets \(3, 5\)"
    yield lambda: entropy(x, ids + 7), ValueError, "targets holds 7: expected ids from 0 to 6, or"
    yield lambda: entropy(x, ids - 1), ValueError, "holds -1: .* ignore_index=-100"
    yield lambda: entropy(x, ids - 1, ignore_index=0), ValueError, "holds -1: .* ignore_index=0"
    yield lambda: entropy(x, ids.float()), TypeError, "targets is torch.float32: expected token ids"
    yield lambda: entropy(x, ids > 0), TypeError, "targets is torch.bool: expected token ids"
    yield lambda: entropy(ids[..., None], ids), TypeError, "logits is torch.int64: expected float"
    for share in (-0.1, 1.1):
        message = f"label_smoothing={share}: expected a share from 0 to 1"
        yield lambda s=share: entropy(x, ids, label_smoothing=s), ValueError, message
    yield lambda: causal(x[:, :1], ids[:, :1]), ValueError, pair
    yield lambda: causal(x[0], ids[0]), ValueError, r"logits \(5, 7\), ids \(5,\): expected"
    yield lambda: causal(x, ids[:2]), ValueError, r"logits \(3, 5, 7\), ids \(2, 5\): expected"
    yield lambda: causal(x, ids + 9), ValueError, "targets holds 9: expected ids from 0 to 6"
    one = ids.index_fill(1, torch.tensor([3]), VOCAB)[:1]  # a single id that is wrong
    yield lambda: entropy(x[:1], one), ValueError, "targets holds 7: expected ids from 0 to 6"
    yield lambda: losses.masked_lm_loss(x, ids + 9), ValueError, "targets holds 9: expected"
    sizes = r"a \(3, 7\), b \(2, 7\): expected the same \[batch d_model\], batch at least 1"
    yield lambda: nce(x[:, 0], x[:2, 0], temperature=1.0), ValueError, sizes
    yield lambda: nce(x[:0, 0], x[:0, 0], temperature=1.0), ValueError, r"a \(0, 7\), b \(0, 7\)"
    yield lambda: nce(x, x, temperature=1.0), ValueError, r"a \(3, 5, 7\), b \(3, 5, 7\): expected"
    yield lambda: nce(ids, ids, temperature=1.0), TypeError, "a is torch.int64: expected floating"
    yield lambda: nce(x[0], ids[..., None][0].expand(5, 7), temperature=1.0), TypeError, "b is"
    for t in (0.0, -1.0, math.nan, math.inf):
        message = f"temperature={t}: expected a finite number above 0"
        yield lambda t=t: nce(x[0], x[0], temperature=t), ValueError, message
        yield lambda t=t: distil(x, x, temperature=t), ValueError, message
        yield (
            lambda t=t: dpo(v, v, v, v, beta=t),
            ValueError,
            message.replace("temperature", "beta"),
        )
    sizes = r"student \(3, 5, 7\), teacher \(2, 5, 7\): expected the same \[\*batch vocab_size\]"
    yield lambda: distil(x, x[:2], temperature=1.0), ValueError, sizes
    yield lambda: distil(x[..., :0], x[..., :0], temperature=1.0), ValueError, r"student \(3, 5, 0"
    yield lambda: distil(x, x.int(), temperature=1.0), TypeError, "teacher is torch.int32: expected"
    yield lambda: distil(x.int(), x, temperature=1.0), TypeError, "student is torch.int32: expected"
    message = "mask is torch.float32: expected torch.bool, True where a position counts"
    yield lambda: distil(x, x, temperature=1.0, mask=mask), TypeError, message
    message = r"mask has shape \(2, 5\): expected \(3, 5\)"
    yield lambda: distil(x, x, temperature=1.0, mask=mask[:2] > 0), ValueError, message
    sequence = losses.sequence_log_probability
    yield lambda: sequence(x, ids, mask), TypeError, "mask is torch.float32: expected torch.bool"
    yield lambda: sequence(x, ids, mask[:2] > 0), ValueError, message
    yield lambda: sequence(x[0], ids[0]), ValueError, r"logits \(5, 7\), ids \(5,\): expected"
    message = r"reference_chosen has shape \(6,\): expected \[batch\], the same for all four"
    yield lambda: dpo(v, v, v[1:], v, beta=1.0), ValueError, message
    yield lambda: dpo(v, v, v, v[:0], beta=1.0), ValueError, "reference_rejected has shape"
    yield lambda: dpo(v[:0], v[:0], v[:0], v[:0], beta=1.0), ValueError, r"policy_chosen .* \(0,\)"
    yield lambda: dpo(v, v.int(), v, v, beta=1.0), TypeError, "policy_rejected is torch.int32"

    def hide(ids=ids, mask_id=1, vocab_size=VOCAB, special_ids=(0,), **options):
        given: dict[str, Any] = dict(vocab_size=vocab_size, special_ids=special_ids, **options)
        return losses.mask_tokens(ids, mask_id=mask_id, **given)

    yield lambda: hide(ids[0]), ValueError, r"ids is torch.int64 \(5,\): expected whole numbers"
    yield lambda: hide(mask), ValueError, r"ids is torch.float32 \(3, 5\): expected whole numbers"
    yield lambda: hide(mask_id=7), ValueError, "mask_id: 7 is out of range: .* 0 to 6"
    yield lambda: hide(special_ids=(0, -1)), ValueError, "special_ids: -1 is out of range"
    yield lambda: hide(special_ids=range(7)), ValueError, "special_ids names all 7 ids: expected"
    yield lambda: hide(probability=1.5), ValueError, "probability=1.5: expected a number from 0"
    yield lambda: hide(probability=-0.5), ValueError, "probability=-0.5: expected a number from 0"


@pytest.mark.parametrize(("call", "error", "message"), list(refusals()))
def test_wrong_arguments_are_refused(call, error, message):
    with refused(error, message):
        call()


def test_a_generator_of_another_device_is_refused():
    class OnTheGPU:
        device = torch.device("cuda")

    with refused(ValueError, "generator is on cuda: expected one on the CPU"):
        losses.mask_tokens(
            torch.zeros(1, 1, dtype=torch.int64),
            mask_id=1,
            vocab_size=VOCAB,
            special_ids=[0],
            generator=OnTheGPU(),  # pyright: ignore[reportArgumentType]
        )
