"""The weighted nonlocal Laplacian (WNLL): labels interpolated from a template to queries over a graph of features.

Shi, Osher, Zhu 2017; Wang et al., arXiv 1809.08516, Eq. 3. With W the weights of the graph, A = W + W^T, c the N
queries, o the M template points with one-hot labels G, and gamma = |X| / |X_te| - 1, |X| = N + M:

    (D - A_cc) U = (A_co + gamma W_oc^T) G,    D = diag(rowsum(A_c.) + gamma rowsum(W_oc^T)).

With C = A_co + gamma W_oc^T this is a Laplacian on the queries that are tied to the template by C:
D = rowsum(A_cc) + rowsum(C). Self weights cancel and are left out.

Ours: every query is also tied, by `tie` times its degree, to a point of which nothing is known (a uniform label).
Where no path leads from a query to the template, Eq. 3 is singular; with the tie it is positive definite, its
maximum principle holds as before, and such a query's U is uniform.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.linalg import solve_triangular

ISOLATED = 1e-30  # degree below which a query counts as tied to nothing; its square root is a float32
CHECK_EVERY = 4  # iterations of conjugate gradients between two looks at the residual, each of which waits for a GPU


@dataclass(frozen=True)
class Graph:
    """What ties N queries to each other, A = A_cc [N, N] with zero diagonal, and to M template points, C [N, M].

    A is None where each query stands alone with the template.
    """

    A: Tensor | None
    C: Tensor


Inverse = Callable[[Tensor], Tensor]


def nearest_neighbor_graph(
    queries: Tensor, template: Tensor, *, neighbors: int, scale_neighbor: int, alone: bool
) -> Graph:
    """Connect every point to its nearest `neighbors`, w = exp(-(d^2 / d_k'^2)^2), k' = `scale_neighbor`.

    As in the authors' code: a quartic with a width per point, and the point itself counts as its first neighbour.
    With `alone`, each query forms a graph of its own with the template.
    """
    nearest, scale = neighbors - 1, scale_neighbor - 1
    if alone:
        return _graphs_of_one(queries, template, nearest=nearest, scale=scale)
    squared, n = _squared_distances(queries, template, alone=False), len(queries)
    values, indices = squared.topk(min(nearest, len(squared) - 1), dim=1, largest=False)
    width = values[:, min(scale, values.shape[1]) - 1, None]
    return _tied(_quartic(values, width, _floor(values[n:, -1])), indices, queries=n)


def gaussian_graph(queries: Tensor, template: Tensor, *, sigma: float | None, alone: bool) -> Graph:
    """Connect all points, w = exp(-d^2 / sigma^2): the paper's kernel, with one width for all.

    The paper gives no sigma. None: the median, over the template, of the distance to the nearest other template point,
    which follows the features' scale and does not depend on the queries. W is symmetric.
    """
    squared, n, m = _squared_distances(queries, template, alone=alone), len(queries), len(template)
    width = squared.new_tensor(sigma).square() if sigma is not None else _spacing(squared[n:, -m:])
    W = torch.exp(-squared[:n].clamp_min(0) / width)
    return Graph(None, (2 + 1 / m) * W) if alone else Graph(2 * W[:, :n], (2 + n / m) * W[:, n:])


def interpolate(graph: Graph, G: Tensor, *, solver: str, tie: float) -> Tensor:
    """Return U [N, K] of Eq. 3 for one-hot template labels G [M, K]: 0 <= U <= 1, and rows sum to 1.

    `solver` is one of SOLVERS. The gradient with respect to the weights is exact: one more solve with the same,
    symmetric matrix.
    """
    B, degree = (graph.C @ torch.cat([G, torch.ones_like(G[:, :1])], 1)).tensor_split([G.shape[1]], dim=1)
    degree = degree if graph.A is None else degree + graph.A.sum(1, keepdim=True)
    loose = tie * degree + ISOLATED
    D, B = degree + loose, B + loose / G.shape[1]
    return B / D if graph.A is None else _Solve.apply(graph.A, D[:, 0], B, solver)


def _squared_distances(queries: Tensor, template: Tensor, *, alone: bool) -> Tensor:
    """Return |x_i - x_j|^2 among all points [N + M, N + M] or, with `alone`, from all to the template's [N + M, M].

    A point's to itself is infinite; rounding may leave a duplicate's below 0. One product of [-2 x, |x|^2, 1] and
    [y, 1, |y|^2] reads and writes the large matrix once; points are seen from the template's mean so that little is
    cancelled.
    """
    points, first = torch.cat([queries, template]) - template.mean(0), len(queries) if alone else 0
    norms = points.square().sum(1, keepdim=True)
    ones = torch.ones_like(norms)
    squared = torch.cat([-2 * points, norms, ones], 1) @ torch.cat([points, ones, norms], 1)[first:].T
    squared[first:].fill_diagonal_(torch.inf)
    return squared


def _tied(weights: Tensor, indices: Tensor, *, queries: int) -> Graph:
    """Return the graph in which point i of N + M gives `weights` [N + M, k] to the points `indices` [N + M, k].

    W_cc and W_co are added where they stand; before, W_cc^T and (1 + gamma) W_oc^T are written through transposed
    indices. Row N takes what is given to the template, which has no place in Eq. 3.
    """
    n, m = queries, len(weights) - queries
    transposed = torch.cat([weights[:n], (1 + n / m) * weights[n:]]).T
    ties = weights.new_zeros(n + 1, n + m).scatter_(0, indices.T.clamp_max(n), transposed)
    ties.scatter_add_(1, indices[:n], weights[:n])
    return Graph(ties[:n, :n], ties[:n, n:])


def _quartic(squared: Tensor, width: Tensor, floor: Tensor) -> Tensor:
    """Return exp(-(squared / width)^2); the floor, far below any distance, keeps duplicates from dividing by 0."""
    return torch.exp(-(squared.clamp_min(0) / torch.maximum(width, floor)).square())


def _floor(typical: Tensor) -> Tensor:
    """Return the rounding error of squared distances such as these [M], and 1e-18 where all are 0."""
    return (torch.finfo(typical.dtype).eps * typical.detach().mean()).clamp_min(1e-18)


def _spacing(among_template: Tensor) -> Tensor:
    """Return the median squared distance to the nearest other point."""
    nearest = among_template.detach().amin(1)
    return torch.maximum(nearest.median(), _floor(nearest))


def _graphs_of_one(queries: Tensor, template: Tensor, *, nearest: int, scale: int) -> Graph:
    """Build the graphs of {query} and template, for all queries at once.

    A template point's nearest others are sorted once. Adding a query at squared distance x makes the k-th smallest the
    median of x and the former (k-1)-th and k-th, and the query is a neighbour if x is below the former last.
    """
    squared, n, m = _squared_distances(queries, template, alone=True), len(queries), len(template)
    x, others, nearest = squared[:n], squared[n:], min(nearest, m)
    ranked = torch.cat([torch.zeros_like(x[:1]), others.topk(nearest, dim=1, largest=False).values.T])
    floor, k = _floor(ranked[min(nearest, m - 1)]), min(scale, nearest)
    values, indices = x.topk(nearest, dim=1, largest=False)
    co = torch.zeros_like(x).scatter_(1, indices, _quartic(values, values[:, k - 1, None], floor))
    width = torch.minimum(torch.maximum(x, ranked[k - 1]), ranked[k])
    oc = torch.where(x < ranked[nearest], _quartic(x, width, floor), torch.zeros_like(x))
    return Graph(None, co + (1 + 1 / m) * oc)


class _Solve(torch.autograd.Function):
    """U = L^-1 B, L = diag(D) - A; backward by the adjoint: grad B = L^-1 grad U = V, grad L = -V U^T."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, D: Tensor, B: Tensor, solver: str) -> Tensor:
        L = -A
        L.diagonal().copy_(D)
        ctx.inverse = SOLVERS[solver](L)
        U = ctx.inverse(B)
        ctx.save_for_backward(U)
        return U

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (U,) = ctx.saved_tensors
        V = ctx.inverse(gradient)
        return V @ U.T, -(V * U).sum(1), V, None


def _cholesky(L: Tensor) -> Inverse:
    factor, _ = torch.linalg.cholesky_ex(L)
    return lambda B: solve_triangular(factor.mT, solve_triangular(factor, B, upper=False), upper=True)


def _conjugate_gradients(L: Tensor) -> Inverse:
    return lambda B: jacobi_cg(L, B)


def jacobi_cg(L: Tensor, B: Tensor) -> Tensor:
    """Solve L U = B for all columns at once, to the precision of the dtype, preconditioned by L's diagonal.

    A column of B is a row here, R L instead of L R: with few columns the product is four times as fast.
    """
    scale = L.diagonal()
    R = B.T.contiguous()
    U, Z = torch.zeros_like(R), R / scale
    P, rho = Z, (R * Z).sum(1, keepdim=True)
    goal = rho * (8 * torch.finfo(B.dtype).eps) ** 2
    for iteration in range(1, 2 * len(L) + 1):
        Q = P @ L
        alpha = _ratio(rho, (P * Q).sum(1, keepdim=True))
        U, R = U + alpha * P, R - alpha * Q
        Z = R / scale
        rho, before = (R * Z).sum(1, keepdim=True), rho
        P = Z + _ratio(rho, before) * P
        if iteration % CHECK_EVERY == 0 and bool((rho <= goal).all()):
            break
    return U.T


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide, giving 0 where a column of B has converged and both have vanished."""
    return torch.where(denominator > 0, numerator / denominator, torch.zeros_like(numerator))


SOLVERS: dict[str, Callable[[Tensor], Inverse]] = {"cholesky": _cholesky, "cg": _conjugate_gradients}
