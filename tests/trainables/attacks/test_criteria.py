import pytest
import torch
from evaluated import goal_of

from trainables.attacks.criteria import CRITERIA

LOGITS = torch.tensor([[1.0, 4.0, 2.0, 0.0], [3.0, 1.0, -1.0, 2.5]])
LABELS = torch.tensor([1, 2])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("margin", [2.0 - 4.0, 3.0 - -1.0], id="margin: best other minus own"),
        pytest.param("dlr", [(2.0 - 4.0) / (4.0 - 1.0), (3.0 - -1.0) / (3.0 - 1.0)], id="dlr: over first minus third"),
    ],
)
def test_losses_by_hand(name, expected):
    torch.testing.assert_close(CRITERIA[name].loss(LOGITS, LABELS), torch.tensor(expected))


@pytest.mark.parametrize("name", ["margin", "dlr"])
def test_a_positive_value_is_a_misclassification(name):
    goal = goal_of(name)
    assert ((goal.loss(LOGITS, LABELS) > 0) == goal.fooled(LOGITS, LABELS)).all()


def test_dlr_does_not_depend_on_the_scale_of_the_logits():
    dlr = CRITERIA["dlr"].loss
    torch.testing.assert_close(dlr(1000 * LOGITS, LABELS), dlr(LOGITS, LABELS))


def test_dlr_of_two_classes_is_the_margin():
    two = LOGITS[:, :2]
    labels = torch.tensor([1, 0])
    assert torch.equal(CRITERIA["dlr"].loss(two, labels), CRITERIA["margin"].loss(two, labels))
