"""Losses over inner features: the Prototype Conformity Loss of Mustafa et al., TPAMI 2020, and its rivals of Sec. 4.

Symbols: features f [B, D], labels y [B], k classes, prototypes (centres) w [k, D]. A loss that compares f with
prototypes is given for every label at once, [B, k]: training reads the column of the true label, an attacker that
raises cross-entropy and this loss together may read any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, relu

TINY = 1e-12  # keeps the gradient of a square root finite at 0


def squared_distances(f: Tensor, w: Tensor) -> Tensor:
    """Return |f - w|^2 [B, k] by one matrix product: |f|^2 + |w|^2 - 2 f w^T."""
    return f.square().sum(1, keepdim=True) + w.square().sum(1) - 2 * f @ w.T


def mean_of_others(distances: Tensor) -> Tensor:
    """Return for every label y the mean over j != y of distances [B, k]."""
    return (distances.sum(1, keepdim=True) - distances) / (distances.shape[1] - 1)


def code_loss(f: Tensor, pull: Tensor, push: Tensor, *, pull_weight: float, push_weight: float) -> Tensor:
    """Return the loss of the authors' code, for every label [B, k].

    `pull` and `push` are prototypes of their own, and no term holds prototypes apart:
    pull_weight |f - pull_y|^2 - push_weight mean_{j != y} |f - push_j|^2.
    """
    away = mean_of_others(squared_distances(f, push))
    return pull_weight * squared_distances(f, pull) - push_weight * away


def paper_loss(f: Tensor, w: Tensor) -> Tensor:
    """Return Eq. 5 for every label [B, k]: |f - w_y|^2 - mean_{j != y} (|f - w_j|^2 + |w_y - w_j|^2).

    The paper sums it over the batch; here its mean is weighed. Its gradient in f, Eq. 6, is
    2 (mean_{j != y} w_j - w_y), whatever f is: the loss has no lower bound.
    """
    to_f, between = squared_distances(f, w), squared_distances(w, w)
    return to_f - mean_of_others(to_f) - between.sum(1) / (len(w) - 1)


def capped_paper_loss(f: Tensor, w: Tensor, *, cap: float) -> Tensor:
    """Return Eq. 5 for every label [B, k] with f and w drawn back into a ball of radius `cap`, which bounds it.

    The cap is ours. On w alone it would not do: features then grow for ever along the constant of Eq. 6.
    """
    return paper_loss(capped(f, cap), capped(w, cap))


def center_loss(f: Tensor, w: Tensor) -> Tensor:
    """Return |f - w_y|^2 / 2 for every label [B, k] (Eq. 11; Wen et al., ECCV 2016)."""
    return squared_distances(f, w) / 2


def contrastive_loss(f: Tensor, y: Tensor, margin: float) -> Tensor:
    """Return the mean over the batch's pairs of half of d^2 (one class) or relu(margin - d)^2 (two classes).

    Eq. 14, after Hadsell et al., CVPR 2006; every pair of the batch counts.
    """
    first, second = torch.triu_indices(len(f), len(f), offset=1, device=f.device)
    squared = squared_distances(f, f)[first, second].clamp_min(0)
    apart = relu(margin - (squared + TINY).sqrt()).square()
    # An empty sum over max(1, pairs) keeps a last batch of one example at 0.
    return torch.where(y[first] == y[second], squared, apart).sum() / (2 * max(1, len(first)))


def triplet_loss(f: Tensor, y: Tensor, margin: float) -> Tensor:
    """Return the mean of relu(|a - p|^2 - |a - n|^2 + margin) over anchors a.

    Eq. 15, after Schroff et al., CVPR 2015. Which triplets is left open: each anchor's farthest positive p and
    nearest negative n of the batch (Hermans et al. 2017). An anchor without a negative counts as 0.
    """
    squared, same = squared_distances(f, f), y[:, None] == y
    positive = squared.masked_fill(~same, -torch.inf).amax(1)
    negative = squared.masked_fill(same, torch.inf).amin(1)
    return relu(positive - negative + margin).mean()


def at_label(per_label: Tensor, y: Tensor) -> Tensor:
    """Return the loss [B] that each example has with its own label, from the loss [B, k] with every label."""
    return per_label.gather(1, y[:, None]).squeeze(1)


def joint_loss(output: Tensor, y: Tensor) -> Tensor:
    """Return cross-entropy plus prototype loss [B], from the output [B, 2k] of a view that gives both.

    No logits o could stand for the sum: exp(-cross_entropy(o, y)) adds up to 1 over y, exp(-joint_loss) does not.
    """
    logits, per_label = output.chunk(2, dim=1)
    return cross_entropy(logits, y, reduction="none") + at_label(per_label, y)


def joint_logits(output: Tensor) -> Tensor:
    """Return the logits [B, k], by which an example is judged, of such a view's output [B, 2k]."""
    return output.chunk(2, dim=1)[0]


def pull_gradient(f: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Return the gradient [k, D] in w of the batch's mean of |f - w_y|^2."""
    counts, sums = _by_class(f, y, len(w))
    return 2 / len(f) * (counts * w - sums)


def push_gradient(f: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Return the gradient [k, D] in w of the batch's mean of mean_{j != y} |f - w_j|^2."""
    counts, sums = _by_class(f, y, len(w))
    others = (len(f) - counts) * w - (f.sum(0) - sums)
    return 2 / (len(f) * (len(w) - 1)) * others


def separation_gradient(y: Tensor, w: Tensor) -> Tensor:
    """Return the gradient [k, D] in w of the batch's mean of mean_{j != y} |w_y - w_j|^2."""
    counts, sums = _by_class(w[y], y, len(w))
    as_label = counts * (len(w) * w - w.sum(0))
    as_other = len(y) * w - sums.sum(0)
    return 2 / (len(y) * (len(w) - 1)) * (as_label + as_other)


def code_step(f: Tensor, y: Tensor, w: Tensor, *, pull_lr: float, push_lr: float) -> Tensor:
    """Return the prototype sets (pull, push) [2, k, D] after one step of each.

    The code divides each set's gradient by its weight again, so it is that of the unweighted term.
    """
    pull, push = w
    return torch.stack([pull - pull_lr * pull_gradient(f, y, pull), push + push_lr * push_gradient(f, y, push)])


def paper_step(f: Tensor, y: Tensor, w: Tensor, *, lr: float, cap: float) -> Tensor:
    """Return the prototypes [1, k, D] after one step down the gradient of Eq. 5 and back into the ball of `cap`."""
    f, centers = capped(f, cap), capped(w[0], cap)
    gradient = pull_gradient(f, y, centers) - push_gradient(f, y, centers) - separation_gradient(y, centers)
    return capped(centers - lr * gradient, cap)[None]


def center_step(f: Tensor, y: Tensor, w: Tensor, *, lr: float) -> Tensor:
    """Return the centres [1, k, D] after w_j <- w_j - lr sum_{y = j} (w_j - f) / (1 + n_j) (Eq. 12-13)."""
    counts, sums = _by_class(f, y, w.shape[1])
    return w - lr * (counts * w - sums) / (1 + counts)


def capped(w: Tensor, radius: float) -> Tensor:
    """Return w [..., D] with vectors longer than `radius` shortened to it."""
    return w * (radius / w.norm(dim=-1, keepdim=True).clamp_min(TINY)).clamp_max(1)


def _by_class(f: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return each class's number [k, 1] and sum [k, D] of features; a product, so deterministic on a GPU too."""
    members = (y[:, None] == torch.arange(classes, device=y.device)).to(f.dtype)
    return members.sum(0)[:, None], members.T @ f


@dataclass(frozen=True)
class Rule:
    """A loss against S prototype sets: `per_label(f, *sets)` -> [B, k], and `step(f, y, sets)` -> new sets."""

    sets: int
    per_label: Callable[..., Tensor]
    step: Callable[[Tensor, Tensor, Tensor], Tensor]


class Prototypes(nn.Module):
    """The prototypes w [S, k, D] of one layer, starting at N(0, I), and the loss against them.

    In training mode a forward pass also moves them by the rule's step, as BatchNorm moves its statistics.
    """

    w: Tensor

    def __init__(self, rule: Rule, classes: int, dimension: int) -> None:
        super().__init__()
        self.rule = rule
        self.register_buffer("w", torch.randn(rule.sets, classes, dimension))

    def forward(self, f: Tensor, y: Tensor) -> Tensor:
        """Return the batch's mean loss."""
        loss = at_label(self.per_label(f), y).mean()
        if self.training:
            # Not in place: the loss's graph still holds the prototypes that it was computed with.
            self.w = self.rule.step(f.detach(), y, self.w)
        return loss

    def per_label(self, f: Tensor) -> Tensor:
        """Return the loss with every label [B, k]."""
        return self.rule.per_label(f, *self.w)


class AuxiliaryClassifier(nn.Module):
    """Softmax supervision: cross-entropy of a linear classifier of the features."""

    def __init__(self, classes: int, dimension: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension, classes)

    def forward(self, f: Tensor, y: Tensor) -> Tensor:
        """Return the batch's mean loss."""
        return cross_entropy(self.linear(f), y)

    def per_label(self, f: Tensor) -> Tensor:
        """Return the loss with every label [B, k]."""
        return -log_softmax(self.linear(f), 1)


class PairLoss(nn.Module):
    """A loss that compares the batch's features with each other, so that no example has one by itself."""

    def __init__(self, loss: Callable[[Tensor, Tensor, float], Tensor], margin: float) -> None:
        super().__init__()
        self.loss, self.margin = loss, margin

    def forward(self, f: Tensor, y: Tensor) -> Tensor:
        """Return the batch's mean loss."""
        return self.loss(f, y, self.margin)
