import pytest
import torch
from attack_problems import craft

UNIT = {
    "linf": torch.sign,
    "l2": lambda towards: towards / towards.norm(dim=1, keepdim=True),
    "l1": lambda towards: towards.sign() * (towards.abs() == towards.abs().amax(1, keepdim=True)),
}


@pytest.mark.parametrize("norm", UNIT)
def test_one_step_is_the_closed_form(norm, linear):
    """On the boundary of the ball, along the dual of w = d margin / d x."""
    images = linear.images / 255
    normal = linear.model[1].weight[1] - linear.model[1].weight[0]
    towards = torch.where(linear.labels == 1, -1, 1)[:, None] * normal
    expected = images + 0.01 * UNIT[norm](towards).reshape(images.shape)
    found = craft("fgsm", linear.model, images, linear.labels, eps=0.01, norm=norm)
    torch.testing.assert_close(found, expected.detach())
