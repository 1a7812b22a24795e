"""The losses and the prototypes' steps against naive loops, closed forms and autograd, in float64."""

import functools

import pytest
import torch
from torch.nn.functional import cross_entropy

from trainables.defenses.pcl.prototype_loss import (
    AuxiliaryClassifier,
    Prototypes,
    Rule,
    at_label,
    capped,
    capped_paper_loss,
    center_loss,
    center_step,
    code_loss,
    code_step,
    contrastive_loss,
    joint_logits,
    joint_loss,
    paper_loss,
    paper_step,
    pull_gradient,
    push_gradient,
    separation_gradient,
    squared_distances,
    triplet_loss,
)

B, K, D = 7, 4, 5
WEIGHTS = {"pull_weight": 0.7, "push_weight": 0.2}
CODE = functools.partial(code_loss, **WEIGHTS)


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def f():
    return normal(B, D, seed=0).requires_grad_()


@pytest.fixture
def y():
    """Class 2 has no example, class 1 three."""
    return torch.tensor([0, 1, 1, 3, 1, 0, 3])


@pytest.fixture
def w():
    return normal(K, D, seed=1).requires_grad_()


@pytest.fixture
def v():
    return normal(K, D, seed=2).requires_grad_()


# --- naive loops: one example, one prototype at a time


def distance(a, b):
    return sum((x - z) ** 2 for x, z in zip(a, b, strict=True))


def naive_code(f, y, w, v):
    losses = []
    for features, label in zip(f, y, strict=True):
        others = [distance(features, v[j]) for j in range(K) if j != label]
        losses.append(WEIGHTS["pull_weight"] * distance(features, w[label]) - WEIGHTS["push_weight"] * sum(others) / 3)
    return sum(losses) / B


def naive_paper(f, y, w):
    losses = []
    for features, label in zip(f, y, strict=True):
        others = [distance(features, w[j]) + distance(w[label], w[j]) for j in range(K) if j != label]
        losses.append(distance(features, w[label]) - sum(others) / (K - 1))
    return sum(losses) / B


def naive_center(f, y, w):
    return sum(distance(features, w[label]) for features, label in zip(f, y, strict=True)) / (2 * B)


def gradients(loss, *of):
    return torch.autograd.grad(loss, of)


@pytest.mark.parametrize(
    ("fast", "naive", "sets"),
    [
        pytest.param(CODE, naive_code, 2, id="code"),
        pytest.param(paper_loss, naive_paper, 1, id="Eq. 5"),
        pytest.param(center_loss, naive_center, 1, id="center"),
    ],
)
def test_losses_and_their_gradients_are_those_of_a_loop_over_samples(fast, naive, sets, f, y, w, v):
    of = (f, *(w, v)[:sets])
    ours, theirs = at_label(fast(*of), y).mean(), naive(f, y, *of[1:])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, *of), gradients(theirs, *of))


def test_contrastive_loss_and_its_gradient_are_those_of_a_loop_over_pairs(f, y):
    pairs = [(i, j) for i in range(B) for j in range(i)]
    losses = [
        distance(f[i], f[j]) if y[i] == y[j] else (3.0 - distance(f[i], f[j]).sqrt()).clamp_min(0) ** 2
        for i, j in pairs
    ]
    ours, theirs = contrastive_loss(f, y, 3.0), sum(losses) / (2 * len(pairs))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, f), gradients(theirs, f))


def test_triplet_loss_and_its_gradient_are_those_of_a_loop_over_anchors(f, y):
    losses = []
    for i in range(B):
        farthest = max(distance(f[i], f[j]) for j in range(B) if y[j] == y[i])
        nearest = min(distance(f[i], f[j]) for j in range(B) if y[j] != y[i])
        losses.append((farthest - nearest + 0.5).clamp_min(0))
    ours, theirs = triplet_loss(f, y, 0.5), sum(losses) / B
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, f), gradients(theirs, f))


@pytest.mark.parametrize("loss", [contrastive_loss, triplet_loss])
@pytest.mark.parametrize("size", [1, 3])
def test_pair_losses_are_finite_where_a_batch_has_one_class(loss, size):
    f = torch.zeros(size, D, requires_grad=True)
    value = loss(f, torch.zeros(size, dtype=torch.int64), 1.0)
    (gradient,) = gradients(value, f)
    assert value == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


# --- Eq. 6 and the prototypes' gradients


def test_the_gradient_of_eq_5_in_f_is_eq_6(f, y, w):
    (gradient,) = gradients(at_label(paper_loss(f, w), y).sum(), f)
    for row, label in zip(gradient, y, strict=True):
        others = [j for j in range(K) if j != label]
        eq_6 = 2 * (f[0] - w[label]) - 2 / (K - 1) * sum(f[0] - w[j] for j in others)
        torch.testing.assert_close(row, eq_6)
        torch.testing.assert_close(row, 2 * (w[others].mean(0) - w[label]))


@pytest.mark.parametrize(
    ("closed_form", "loss"),
    [
        pytest.param(pull_gradient, lambda f, y, w: at_label(squared_distances(f, w), y).mean(), id="pull"),
        pytest.param(
            push_gradient,
            lambda f, y, w: -at_label(code_loss(f, w, w, pull_weight=0, push_weight=1), y).mean(),
            id="push",
        ),
        pytest.param(
            lambda f, y, w: separation_gradient(y, w),
            lambda f, y, w: sum(squared_distances(w, w)[label].sum() for label in y) / (B * (K - 1)),
            id="separation",
        ),
    ],
)
def test_closed_form_prototype_gradients_are_autograds(closed_form, loss, f, y, w):
    torch.testing.assert_close(closed_form(f, y, w), *gradients(loss(f, y, w), w))


def test_code_prototypes_step_down_their_unweighted_terms(f, y, w, v):
    pulled, pushed = code_step(f, y, torch.stack([w, v]), pull_lr=0.5, push_lr=0.1)
    loss = at_label(CODE(f, w, v), y).mean()
    d_pull, d_push = gradients(loss, w, v)
    torch.testing.assert_close(pulled, w - 0.5 * d_pull / WEIGHTS["pull_weight"])
    torch.testing.assert_close(pushed, v - 0.1 * d_push / WEIGHTS["push_weight"])


def test_paper_prototypes_step_down_eq_5_where_no_cap_binds(f, y, w):
    (gradient,) = gradients(at_label(paper_loss(f, w), y).mean(), w)
    torch.testing.assert_close(paper_step(f, y, w[None], lr=0.3, cap=1e6), (w - 0.3 * gradient)[None])


def test_the_cap_bounds_eq_5_in_features_and_prototypes(y):
    f, w = 100 * normal(B, D, seed=3), normal(1, K, D, seed=4)
    for _ in range(50):
        w = paper_step(f, y, w, lr=0.5, cap=2.0)
    assert w.norm(dim=-1).max() <= 2 + 1e-12
    # |f - w|^2 <= (2 + 2)^2 and so is |w - w|^2: one pull of at least 0, two pushes of at most 16.
    assert capped_paper_loss(f, w[0], cap=2.0).min() >= -32
    assert paper_loss(f, w[0]).min() < -32


def test_the_cap_leaves_short_vectors_alone(f):
    torch.testing.assert_close(capped(f, 1e3), f, rtol=0, atol=0)
    torch.testing.assert_close(capped(f, 0.1).norm(dim=1), torch.full((B,), 0.1, dtype=torch.float64))


def test_centers_step_by_the_mean_offset_with_one_more_example_at_rest(f, y, w):
    expected = w.clone()
    for j in range(K):
        members = f[y == j]
        expected[j] = w[j] - 0.5 * sum((w[j] - m for m in members), torch.zeros(D)) / (1 + len(members))
    torch.testing.assert_close(center_step(f, y, w[None], lr=0.5), expected[None])


# --- invariances


@pytest.mark.parametrize(
    "loss", [lambda f, w, v: CODE(f, w, v), lambda f, w, v: paper_loss(f, w)], ids=["code", "paper"]
)
def test_losses_do_not_change_when_features_and_prototypes_move_together(loss, f, w, v):
    rotation, _ = torch.linalg.qr(normal(D, D, seed=5))
    moved = [points @ rotation.T + normal(D, seed=6) for points in (f, w, v)]
    torch.testing.assert_close(loss(*moved), loss(f, w, v))
    assert not torch.allclose(loss(moved[0], w, v), loss(f, w, v))


@pytest.mark.parametrize("loss", [contrastive_loss, triplet_loss])
def test_pair_losses_do_not_change_when_features_move_together(loss, f, y):
    rotation, _ = torch.linalg.qr(normal(D, D, seed=5))
    torch.testing.assert_close(loss(f @ rotation.T + 3, y, 2.0), loss(f, y, 2.0))


# --- modules


def prototypes(f):
    rule = Rule(2, CODE, functools.partial(code_step, pull_lr=0.5, push_lr=0.1))
    return Prototypes(rule, K, D).to(f.dtype)


def test_a_pass_in_training_mode_moves_the_prototypes_and_leaves_its_graph_valid(f, y):
    made = prototypes(f)
    before = made.w.clone()
    loss = made(f, y)
    torch.testing.assert_close(made.w, made.rule.step(f, y, before))
    torch.testing.assert_close(gradients(loss, f), gradients(at_label(CODE(f, *before), y).mean(), f))


def test_a_pass_in_evaluation_mode_leaves_the_prototypes(f, y):
    made = prototypes(f).eval()
    before = made.w.clone()
    made(f, y)
    assert torch.equal(made.w, before)


def test_pulling_prototypes_arrive_at_their_class_means(f, y):
    made = prototypes(f)
    for _ in range(200):
        made(f, y)
    for label in (0, 1, 3):
        torch.testing.assert_close(made.w[0, label], f[y == label].mean(0))


def test_softmax_supervision_is_cross_entropy_at_the_label(f, y):
    made = AuxiliaryClassifier(K, D).to(f.dtype)
    torch.testing.assert_close(made(f, y), cross_entropy(made.linear(f), y))
    torch.testing.assert_close(at_label(made.per_label(f), y).mean(), made(f, y))


def test_the_joint_loss_adds_the_prototype_loss_of_the_label_to_cross_entropy(f, y, w, v):
    logits, per_label = normal(B, K, seed=7), CODE(f, w, v)
    output = torch.cat([logits, per_label], 1)
    expected = [cross_entropy(logits[i], y[i]) + per_label[i, y[i]] for i in range(B)]
    torch.testing.assert_close(joint_loss(output, y), torch.stack(expected))
    assert torch.equal(joint_logits(output), logits)
