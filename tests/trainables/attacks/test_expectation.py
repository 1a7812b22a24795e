import torch
from torch import nn

from trainables.attacks.expectation import Expected
from trainables.judges import CLASSIFICATION


class Noisy(nn.Module):
    """Two classes whose logits are shifted by noise, drawn anew at each pass."""

    def forward(self, images):
        logits = images.flatten(1)[:, :2]
        return logits + torch.randn(2)


IMAGES = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def draws(count, images):
    torch.manual_seed(5)
    return torch.stack([Noisy()(images).softmax(1) for _ in range(count)])


def test_it_is_the_log_of_the_mean_softmax_over_the_draws():
    torch.manual_seed(5)
    torch.testing.assert_close(Expected(Noisy(), 7, CLASSIFICATION)(IMAGES).exp(), draws(7, IMAGES).mean(0))


def test_its_gradient_is_that_of_the_mean_over_the_same_draws():
    """A draw is computed again for its gradient, so its noise must come back too."""
    images, again = (IMAGES.clone().requires_grad_() for _ in range(2))
    draws(7, images).mean(0).log()[:, 0].sum().backward()
    torch.manual_seed(5)
    Expected(Noisy(), 7, CLASSIFICATION)(again)[:, 0].sum().backward()
    torch.testing.assert_close(again.grad, images.grad)


def test_of_a_deterministic_view_it_is_the_log_softmax():
    view = nn.Flatten()
    torch.testing.assert_close(Expected(view, 3, CLASSIFICATION)(IMAGES), view(IMAGES).log_softmax(1))
