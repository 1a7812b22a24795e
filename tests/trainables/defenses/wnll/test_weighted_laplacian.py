"""The interpolation against Eq. 3 written with loops, a k-d tree, dense solves and finite differences."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch.nn.functional import one_hot

from trainables.defenses.wnll.weighted_laplacian import (
    SOLVERS,
    gaussian_graph,
    interpolate,
    jacobi_cg,
    nearest_neighbor_graph,
)

CLASSES = 4
code = partial(nearest_neighbor_graph, neighbors=15, scale_neighbor=8)
dense = partial(gaussian_graph, sigma=2.0)
KERNELS = {"code": code, "wider code": partial(code, neighbors=30, scale_neighbor=12), "gaussian": dense}
each_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
each_solver = pytest.mark.parametrize("solver", SOLVERS)


def points(queries=40, template=60, *, width=6, dtype=torch.float64, seed=0):
    """Queries, template and one-hot labels: overlapping clusters, one a class."""
    generator = torch.Generator().manual_seed(seed)
    centres = 1.5 * torch.randn(CLASSES, width, generator=generator, dtype=torch.float64)
    labels = torch.arange(queries + template) % CLASSES
    X = centres[labels] + torch.randn(queries + template, width, generator=generator, dtype=torch.float64)
    return X[:queries].to(dtype), X[queries:].to(dtype), one_hot(labels[queries:], CLASSES).to(dtype)


def answer(kernel, X, X_te, G, *, solver="cholesky", tie=1e-5, alone=False):
    return interpolate(kernel(X, X_te, alone=alone), G, solver=solver, tie=tie)


def quartic_weights(X):
    """The code's kernel, point by point, by a k-d tree whose first answer is the point itself."""
    W = np.zeros((len(X), len(X)))
    distances, indices = cKDTree(X).query(X, k=15)
    for i in range(len(X)):
        for d, j in zip(distances[i], indices[i], strict=True):
            W[i, j] = np.exp(-((d**2 / distances[i, 7] ** 2) ** 2))
    return W


def gaussian_weights(X):
    return np.array([[np.exp(-((x - y) @ (x - y)) / 2.0**2) for y in X] for x in X])


def equation_3(W, n, G):
    """Eq. 3 as the paper writes it, self weights and all, without our tie."""
    A, gamma = W + W.T, len(W) / len(G) - 1
    W_oc = W[n:, :n]
    D = np.diag(A[:n].sum(1) + gamma * W_oc.T.sum(1))
    return np.linalg.solve(D - A[:n, :n], (A[:n, n:] + gamma * W_oc.T) @ G)


@pytest.mark.parametrize(("kernel", "weights"), [(code, quartic_weights), (dense, gaussian_weights)])
def test_interpolation_is_equation_3(kernel, weights):
    X, X_te, G = points()
    expected = equation_3(weights(torch.cat([X, X_te]).numpy()), len(X), G.numpy())
    np.testing.assert_allclose(answer(kernel, X, X_te, G, tie=1e-13), expected, atol=1e-9)


@pytest.mark.parametrize(("kernel", "weights"), [(code, quartic_weights), (dense, gaussian_weights)])
def test_graph_is_that_of_a_loop_over_points(kernel, weights):
    X, X_te, _ = points()
    graph, n = kernel(X, X_te, alone=False), len(X)
    W = weights(torch.cat([X, X_te]).numpy())
    np.fill_diagonal(W, 0)
    A, gamma = W + W.T, len(W) / (len(W) - n) - 1
    for block, expected in [(graph.A, A[:n, :n]), (graph.C, A[:n, n:] + gamma * W[n:, :n].T)]:
        np.testing.assert_allclose(block, expected, atol=1e-12)


def test_tie_moves_connected_queries_by_little():
    X, X_te, G = points()
    moved = answer(code, X, X_te, G, tie=1e-5) - answer(code, X, X_te, G, tie=1e-13)
    assert 0 < moved.abs().max() < 1e-4


@each_kernel
@pytest.mark.parametrize("template", [5, 60], ids=["fewer template points than neighbors", "more"])
def test_query_alone_is_a_batch_of_one(kernel, template):
    X, X_te, G = points(template=template)
    one_by_one = [answer(kernel, x[None], X_te, G) for x in X]
    torch.testing.assert_close(answer(kernel, X, X_te, G, alone=True), torch.cat(one_by_one), rtol=0, atol=1e-12)


@each_kernel
@each_solver
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("alone", [False, True])
def test_maximum_principle_holds_and_rows_sum_to_one(kernel, solver, dtype, alone):
    U = answer(kernel, *points(dtype=dtype), solver=solver, alone=alone)
    rounding = 300 * torch.finfo(dtype).eps
    assert U.min() >= -rounding
    assert U.max() <= 1 + rounding
    torch.testing.assert_close(U.sum(1), torch.ones_like(U[:, 0]), rtol=0, atol=rounding)


@each_kernel
def test_permuted_classes_permute_the_answer(kernel):
    X, X_te, G = points()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(answer(kernel, X, X_te, G[:, order]), answer(kernel, X, X_te, G)[:, order])


@each_kernel
def test_permuted_template_gives_the_same_answer(kernel):
    X, X_te, G = points()
    order = torch.randperm(len(G), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(answer(kernel, X, X_te[order], G[order]), answer(kernel, X, X_te, G))


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("kernel", [code, partial(gaussian_graph, sigma=None)], ids=["code", "gaussian"])
def test_scaled_features_give_the_same_answer(kernel, alone, scale):
    X, X_te, G = points()
    scaled = answer(kernel, scale * X, scale * X_te, G, alone=alone)
    torch.testing.assert_close(scaled, answer(kernel, X, X_te, G, alone=alone), rtol=0, atol=1e-9)


def test_given_sigma_is_a_length():
    X, X_te, G = points()
    scaled = answer(partial(gaussian_graph, sigma=6.0), 3 * X, 3 * X_te, G)
    torch.testing.assert_close(scaled, answer(dense, X, X_te, G), rtol=0, atol=1e-9)
    assert (answer(dense, 3 * X, 3 * X_te, G) - scaled).abs().max() > 0.1


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_agree_with_a_dense_solve(solver):
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(50, 50, generator=generator, dtype=torch.float64)
    L, B = root @ root.T + torch.eye(50), torch.randn(50, 7, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(SOLVERS[solver](L)(B), torch.linalg.solve(L, B), rtol=0, atol=1e-9)


@each_kernel
def test_solvers_agree_on_the_interpolation(kernel):
    X, X_te, G = points()
    by_cg, by_cholesky = (answer(kernel, X, X_te, G, solver=solver) for solver in ("cg", "cholesky"))
    torch.testing.assert_close(by_cg, by_cholesky, rtol=0, atol=1e-12)


def test_conjugate_gradients_leave_a_right_hand_side_of_zeros_at_zero():
    L = torch.diag(torch.arange(1.0, 6.0))
    U = jacobi_cg(L, torch.stack([torch.zeros(5), torch.ones(5)], 1))
    torch.testing.assert_close(U, torch.stack([torch.zeros(5), 1 / torch.arange(1.0, 6.0)], 1))


@pytest.mark.parametrize(
    ("kernel", "alone"),
    [
        (partial(code, scale_neighbor=2), False),
        (partial(gaussian_graph, sigma=0.05), False),
        (partial(gaussian_graph, sigma=0.05), True),
    ],
    ids=["code", "gaussian", "gaussian, alone"],
)
def test_duplicates_of_all_template_points_take_their_labels_where_kernels_are_narrow(kernel, alone):
    _, X_te, G = points()
    U = answer(kernel, X_te.clone(), X_te, G, alone=alone)
    torch.testing.assert_close(U, G, rtol=0, atol=1e-4)


@each_kernel
@pytest.mark.parametrize("alone", [False, True])
def test_duplicate_of_a_template_point_takes_its_label_within_its_cluster(kernel, alone):
    X, X_te, G = points()
    apart = 20 * G @ torch.eye(CLASSES, X.shape[1], dtype=X.dtype)
    U = answer(kernel, (X_te + apart)[:20], X_te + apart, G, alone=alone)
    assert (U.argmax(1) == G[:20].argmax(1)).all()


@each_solver
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_queries_with_no_path_to_the_template_get_the_uniform_answer(solver, dtype):
    X, X_te, G = points(dtype=dtype)
    far = 1e3 + torch.randn(30, X.shape[1], generator=torch.Generator().manual_seed(0)).to(dtype)
    U = answer(partial(code, neighbors=8, scale_neighbor=4), torch.cat([X, far]), X_te, G, solver=solver)
    torch.testing.assert_close(U[len(X) :], torch.full_like(U[len(X) :], 1 / CLASSES), rtol=0, atol=1e-3)


@each_kernel
@each_solver
@pytest.mark.parametrize("alone", [False, True])
def test_gradient_is_that_of_a_dense_solve(kernel, solver, alone):
    X, X_te, G = points()
    weights = torch.randn(len(X), CLASSES, generator=torch.Generator().manual_seed(2), dtype=X.dtype)

    def by_dense_solve(X):
        graph, tie = kernel(X, X_te, alone=alone), 1e-5
        A = torch.zeros(len(X), len(X), dtype=X.dtype) if alone else graph.A
        degree = A.sum(1) + graph.C.sum(1)
        return torch.linalg.solve(torch.diag(degree * (1 + tie)) - A, graph.C @ G + tie * degree[:, None] / CLASSES)

    X.requires_grad_()
    U, expected = answer(kernel, X, X_te, G, solver=solver, alone=alone), by_dense_solve(X)
    (gradient,) = torch.autograd.grad((U * weights).sum(), X)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), X)
    assert expected_gradient.abs().max() > 1e-2
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kernel", [partial(code, neighbors=6, scale_neighbor=3), dense], ids=["code", "gaussian"])
@each_solver
@pytest.mark.parametrize("alone", [False, True])
def test_gradient_is_that_of_finite_differences(kernel, solver, alone):
    X, X_te, G = points(6, 12, width=3)
    X.requires_grad_()
    assert torch.autograd.gradcheck(lambda X: answer(kernel, X, X_te, G, solver=solver, alone=alone), X)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("kernel", [code, partial(gaussian_graph, sigma=None)], ids=["code", "gaussian"])
def test_dead_features_give_a_finite_answer_and_gradient(kernel, alone):
    _, _, G = points()
    X = torch.zeros(40, 6, requires_grad=True)
    U = answer(kernel, X, torch.zeros(60, 6), G.float(), alone=alone)
    U[:, 0].sum().backward()
    assert U.isfinite().all()
    assert X.grad.isfinite().all()
