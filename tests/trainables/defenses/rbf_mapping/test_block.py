"""The block against its formulas, in float64."""

import copy
import itertools

import pytest
import torch

from trainables.defenses.rbf_mapping.block import RbfBlock, inverse_softplus
from trainables.defenses.rbf_mapping.config import RbfMappingConfig
from trainables.runtime.randomness import seeded

K, P, O = 4, 5, 3  # noqa: E741  (the paper's letters)
PSI = ("factor", "cholesky", "identity")
ALL_PSI = (*PSI, "per_channel_code")


def block(**settings) -> RbfBlock:
    """A block in float64 whose parameters are all random."""
    with seeded(0, torch.device("cpu")), torch.no_grad():
        made = RbfBlock(K, RbfMappingConfig(**({"centers": P, "outputs": O} | settings))).double()
        for tensor in (*made.parameters(), *made.buffers()):
            tensor.add_(torch.randn(tensor.shape, dtype=torch.float64) * 0.4)
    return made


def showing_phi(**settings) -> RbfBlock:
    """A block whose g is phi: W is the identity and b is 0."""
    made = block(outputs=K if settings.get("psi") == "per_channel_code" else P, **settings)
    with torch.no_grad():
        made.mix.weight.copy_(torch.eye(made.out_channels - K)[:, :, None, None])
        made.mix.bias.zero_()
    return made


def maps(*shape, seed=1):
    return torch.randn(*(shape or (2, K, 3, 2)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def phi_of(made, features):
    return made(features)[:, K:]


def precision(made) -> torch.Tensor:
    """M, which stands between f - c and itself: the inverse of Psi."""
    if made.psi == "identity":
        return torch.eye(K, dtype=torch.float64)
    outer = made.A @ made.A.T
    return outer if made.psi == "factor" else torch.linalg.inv(outer + made.jitter * torch.eye(K, dtype=torch.float64))


def naive_distances(made, features):
    """(f - c_j)^T M (f - c_j), pixel by pixel and centre by centre."""
    batch, _, height, width = features.shape
    distances = torch.empty(batch, P, height, width, dtype=torch.float64)
    for n, j, y, x in itertools.product(range(batch), range(P), range(height), range(width)):
        difference = features[n, :, y, x] - made.centers[j]
        distances[n, j, y, x] = difference @ precision(made) @ difference
    return distances if made.power == 2 else distances.sqrt()


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(
    "settings",
    [{"psi": psi} for psi in PSI] + [{"psi": "factor", "rank": 2}, {"psi": "cholesky", "rank": 2, "jitter": 0.1}],
    ids=lambda settings: " rank ".join(map(str, list(settings.values())[:2])),
)
def test_distances_are_the_quadratic_form(settings, power):
    made, features = block(distance_power=power, **settings), maps()
    torch.testing.assert_close(made.distances(features), naive_distances(made, features), rtol=1e-8, atol=1e-9)


def test_the_block_passes_on_f_and_g():
    """g = phi W + b with phi_j = exp(-beta_j D_j)."""
    made, features = block(), maps()
    phi = torch.exp(-made.beta[:, None, None] * naive_distances(made, features))
    g = torch.einsum("bphw,op->bohw", phi, made.mix.weight[:, :, 0, 0]) + made.mix.bias[:, None, None]
    torch.testing.assert_close(made(features), torch.cat([features, g], 1))
    assert made.out_channels == K + O == made(features).shape[1]


def test_phi_is_1_at_its_centre_and_between_0_and_1_elsewhere():
    made = showing_phi()
    at_centres = made.centers.detach().T.reshape(1, K, P, 1)
    torch.testing.assert_close(
        phi_of(made, at_centres)[0, :, :, 0].diagonal(), torch.ones(P, dtype=torch.float64), atol=1e-9, rtol=0
    )
    elsewhere = phi_of(made, maps())
    assert elsewhere.min() > 0
    assert elsewhere.max() <= 1


# --- the authors' layer


def authors_distances(features, centers, psi, power):
    """s^T (Psi^T * Psi) s with s = f_k - c_.k, pixel by pixel and channel by channel; * is elementwise."""
    distances = []
    for f in features.permute(0, 2, 3, 1).flatten():
        k = len(distances) % K
        s = f - centers[:, k]
        distances.append(s @ (psi.T * psi) @ s)
    batch, _, height, width = features.shape
    form = torch.stack(distances).reshape(batch, height, width, K).permute(0, 3, 1, 2)
    return form if power == 2 else form.sqrt()


@pytest.mark.parametrize("power", [1, 2])
def test_per_channel_distances_are_those_of_the_authors_layer(power):
    made, features = block(psi="per_channel_code", distance_power=power), maps()
    expected = authors_distances(features, made.centers, torch.diag(made.A), power)
    torch.testing.assert_close(made.distances(features), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("psi", "kernels"), [*((psi, P) for psi in PSI), ("per_channel_code", K)])
def test_output_channel_k_depends_on_input_channel_k_only_in_the_authors_layer(psi, kernels):
    made, features = showing_phi(psi=psi), maps(1, K, 1, 1)
    depends = torch.autograd.functional.jacobian(lambda f: phi_of(made, f).flatten(), features).flatten(1) != 0
    alone = psi == "per_channel_code"
    assert torch.equal(depends, torch.eye(K, dtype=torch.bool) if alone else torch.ones(kernels, K, dtype=torch.bool))


@pytest.mark.parametrize("power", [1, 2])
def test_it_trains_as_the_authors_layer_does_with_all_of_psi(power):
    """The latter's Psi starts at I and stays diagonal."""
    made, features, target = showing_phi(psi="per_channel_code", distance_power=power), maps(), maps(seed=2).sigmoid()
    with torch.no_grad():
        made.A.fill_(1)
    centers, beta = (t.detach().clone().requires_grad_() for t in (made.centers, made.raw_beta))
    psi = torch.eye(P, dtype=torch.float64).requires_grad_()

    def theirs():
        width = torch.nn.functional.softplus(beta)[:, None, None]
        return torch.exp(-width * authors_distances(features, centers, psi, power))

    for parameters, phi in (
        ([made.centers, made.raw_beta, made.A], lambda: phi_of(made, features)),
        ([centers, beta, psi], theirs),
    ):
        adam = torch.optim.Adam(parameters, lr=0.05)
        for _ in range(20):
            adam.zero_grad()
            (phi() - target).square().sum().backward()
            adam.step()
    assert (made.A - 1).abs().min() > 0.01
    torch.testing.assert_close(torch.diag(made.A), psi)
    torch.testing.assert_close(phi_of(made, features), theirs())


# --- derivatives, of factor with power 2, at one pixel


@pytest.fixture
def pixel():
    """Block, f, and for centre j the closed form's parts: phi_j, f - c_j."""
    made = showing_phi(psi="factor")
    features = maps(1, K, 1, 1).requires_grad_()
    phi = phi_of(made, features).flatten()
    return made, features, phi, features.detach().flatten() - made.centers.detach()


@pytest.mark.parametrize("j", range(P))
def test_gradient_by_f(pixel, j):
    """dphi/df = -2 beta phi M (f - c)."""
    made, features, phi, difference = pixel
    (gradient,) = torch.autograd.grad(phi[j], features)
    expected = -2 * made.beta[j] * phi[j] * (precision(made) @ difference[j])
    torch.testing.assert_close(gradient.flatten(), expected.detach())


@pytest.mark.parametrize("j", range(P))
def test_gradient_by_beta(pixel, j):
    """dphi/dbeta = -D phi, and dbeta/draw = sigmoid(raw)."""
    made, features, phi, _ = pixel
    (gradient,) = torch.autograd.grad(phi[j], made.raw_beta)
    expected = torch.zeros(P, dtype=torch.float64)
    distance = naive_distances(made, features.detach())[0, j, 0, 0]
    expected[j] = -distance * phi[j] * made.raw_beta[j].sigmoid()
    torch.testing.assert_close(gradient, expected.detach())


@pytest.mark.parametrize("j", range(P))
def test_gradient_by_A(pixel, j):
    """dphi/dA = -2 beta phi (f - c)(f - c)^T A."""
    made, _, phi, difference = pixel
    (gradient,) = torch.autograd.grad(phi[j], made.A)
    expected = -2 * made.beta[j] * phi[j] * torch.outer(difference[j], difference[j]) @ made.A
    torch.testing.assert_close(gradient, expected.detach())


@pytest.mark.parametrize("j", range(P))
def test_gradient_by_centres(pixel, j):
    """dphi/dc_j = +2 beta phi M (f - c_j), and no other centre's phi depends on c_j."""
    made, _, phi, difference = pixel
    (gradient,) = torch.autograd.grad(phi[j], made.centers)
    expected = torch.zeros(P, K, dtype=torch.float64)
    expected[j] = 2 * made.beta[j] * phi[j] * (precision(made) @ difference[j])
    torch.testing.assert_close(gradient, expected.detach())


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("psi", ALL_PSI)
def test_gradients_agree_with_finite_differences(psi, power):
    made, features = block(psi=psi, distance_power=power), maps(1, K, 1, 2)
    parameters = dict(made.named_parameters())

    def function(features, *values):
        return torch.func.functional_call(made, dict(zip(parameters, values, strict=True)), (features,))

    inputs = [features, *(p.detach().clone() for p in parameters.values())]
    assert torch.autograd.gradcheck(function, [i.requires_grad_() for i in inputs])


# --- invariances


@pytest.mark.parametrize("psi", ALL_PSI)
def test_phi_does_not_change_when_features_and_centres_move_together(psi):
    made, features, shift = showing_phi(psi=psi), maps(), maps(K, seed=2)
    before = phi_of(made, features)
    with torch.no_grad():
        made.centers.add_(shift)
    torch.testing.assert_close(phi_of(made, features + shift[:, None, None]), before)


@pytest.mark.parametrize("psi", PSI)
def test_phi_does_not_change_when_features_centres_and_psi_turn_together(psi):
    made, features = showing_phi(psi=psi), maps()
    turn, _ = torch.linalg.qr(maps(K, K, seed=2))
    before = phi_of(made, features)
    with torch.no_grad():
        made.centers.copy_(made.centers @ turn.T)
        if psi != "identity":
            made.A.copy_(turn @ made.A)
    torch.testing.assert_close(phi_of(made, torch.einsum("lk,bkhw->blhw", turn, features)), before)


def test_beta_and_the_scale_of_m_trade_off():
    made, features, s = showing_phi(psi="factor"), maps(), 3.0
    before = phi_of(made, features)
    with torch.no_grad():
        made.raw_beta.copy_(inverse_softplus(s * made.beta))
        made.A.div_(s**0.5)
    torch.testing.assert_close(phi_of(made, features), before)


def test_a_of_the_identity_is_a_plain_radial_basis_network():
    """At the start A = I, so learning Psi starts where not learning it stays."""
    features = maps()
    learned, plain = block(psi="factor", rank=K), block(psi="identity")
    with torch.no_grad():
        learned.A.copy_(torch.eye(K))
        for name, tensor in plain.state_dict().items():
            learned.state_dict()[name].copy_(tensor)
    torch.testing.assert_close(learned(features), plain(features))


@pytest.mark.parametrize(("psi", "start"), [("factor", torch.eye(K)), ("per_channel_code", torch.ones(K))])
def test_a_new_block_starts_at_the_identity(psi, start):
    made = RbfBlock(K, RbfMappingConfig(psi=psi))
    assert torch.equal(made.A, start)
    assert (made.centers >= 0).all()
    assert (made.centers <= 1).all()
    assert torch.equal(made.mix.bias, torch.zeros(K))


@pytest.mark.parametrize("psi", ALL_PSI)
def test_at_beta_zero_no_input_gradient_passes_through_g(psi):
    made, features = block(psi=psi), maps().requires_grad_()
    with torch.no_grad():
        made.raw_beta.fill_(-800.0)
    assert made.beta.max() == 0
    (gradient,) = torch.autograd.grad(made(features)[:, K:].sum(), features)
    assert gradient.abs().max() == 0


def test_float32_loses_little_to_the_expanded_form():
    """|Rf|^2 - 2 Rf.Rc + |Rc|^2 cancels; what is left is within a few ulps of its largest term."""
    exact, features = block(), maps() * 10
    single = copy.deepcopy(exact).float()
    scale = (exact.A.T @ features.flatten(2)).square().sum(1).max().item()
    error = (single.distances(features.float()) - exact.distances(features)).abs().max().item()
    assert error < 20 * torch.finfo(torch.float32).eps * scale


def test_distances_are_never_negative_in_float32():
    made = block().float()
    at_centres = (made.centers.detach().T.reshape(1, K, P, 1) * (1 + 1e-7)).float()
    assert made.distances(at_centres).min() >= 0


def test_a_centre_hit_exactly_has_finite_gradients_at_power_1():
    """The root has an infinite slope at 0."""
    made = block(distance_power=1)
    features = made.centers.detach().T.reshape(1, K, P, 1).clone().requires_grad_()
    made(features).sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in (features, *made.parameters()))


@pytest.mark.parametrize("value", [1e-4, 0.1, 1.0, 2.0, 30.0, 1e4])
def testinverse_softplus(value):
    raw = inverse_softplus(torch.tensor(value, dtype=torch.float64))
    torch.testing.assert_close(torch.nn.functional.softplus(raw), torch.tensor(value, dtype=torch.float64))


# --- which parameters there are


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        pytest.param({}, {"centers", "A", "raw_beta"}, id="both learned"),
        pytest.param({"psi": "identity"}, {"centers", "raw_beta"}, id="psi not learned"),
        pytest.param({"learn_beta": False}, {"centers", "A"}, id="beta not learned"),
        pytest.param({"psi": "identity", "learn_beta": False}, {"centers"}, id="neither"),
        pytest.param({"psi": "cholesky"}, {"centers", "A", "raw_beta"}, id="cholesky"),
        pytest.param({"psi": "per_channel_code"}, {"centers", "A", "raw_beta"}, id="per_channel_code"),
    ],
)
def test_a_block_has_the_parameters_of_its_ablation(settings, names):
    made = RbfBlock(K, RbfMappingConfig(**settings))
    assert {name for name, _ in made.named_parameters()} == names | {"mix.weight", "mix.bias"}
    assert "raw_beta" in made.state_dict()


@pytest.mark.parametrize(
    ("settings", "shapes"),
    [
        pytest.param({}, {"centers": (K, K), "A": (K, K), "mix.weight": (K, K, 1, 1)}, id="as many as channels"),
        pytest.param({"centers": 7}, {"centers": (7, K), "A": (K, 7), "mix.weight": (K, 7, 1, 1)}, id="P"),
        pytest.param({"outputs": 2}, {"centers": (K, K), "A": (K, K), "mix.weight": (2, K, 1, 1)}, id="O"),
        pytest.param({"centers": 7, "rank": 2}, {"A": (K, 2)}, id="r"),
        pytest.param(
            {"centers": 7, "outputs": 2, "psi": "per_channel_code"},
            {"centers": (7, K), "A": (7,), "raw_beta": (K,), "mix.weight": (2, K, 1, 1)},
            id="per_channel_code",
        ),
    ],
)
def test_sizes(settings, shapes):
    state = RbfBlock(K, RbfMappingConfig(**settings)).state_dict()
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
