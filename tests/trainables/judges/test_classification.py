"""The judge of classes, function by function, against answers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from trainables.judges import CLASSIFICATION, JUDGES


def logits_of(*probabilities):
    """Return logits whose softmax is exactly these probabilities, shifted so that the logits are not normalised."""
    return torch.tensor(probabilities, dtype=torch.float64).log() + 3


def test_it_is_registered_by_its_name_and_scores_accuracy():
    assert JUDGES["classification"] is CLASSIFICATION
    assert CLASSIFICATION.metric == "accuracy"


def test_the_prediction_is_the_class_of_the_largest_logit():
    outputs = torch.tensor([[0.1, 0.7, 0.2], [-1.0, -5.0, -0.5], [9.0, 8.0, 7.0]])
    assert CLASSIFICATION.predict(outputs).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("draws", "agreed"),
    [
        pytest.param([3, 3, 3], 3, id="all agree"),
        pytest.param([2, 7, 2], 2, id="the majority"),
        pytest.param([9, 1, 9, 1, 9], 9, id="the majority, whatever its number"),
        pytest.param([7, 2], 2, id="a tie goes to the smallest class"),
        pytest.param([2, 7], 2, id="a tie does not depend on the order"),
        pytest.param([5, 4, 3], 3, id="a tie of all"),
        pytest.param([0, 6, 6, 8, 8], 6, id="a tie above a class that is smaller but rarer"),
        pytest.param([4], 4, id="one draw"),
    ],
)
def test_draws_agree_on_their_most_frequent_class(draws, agreed):
    assert CLASSIFICATION.agree(torch.tensor(draws)[:, None]).tolist() == [agreed]


def test_each_example_agrees_by_itself():
    draws = torch.tensor([[0, 1, 2], [0, 2, 2], [1, 2, 1]])
    assert CLASSIFICATION.agree(draws).tolist() == [0, 2, 2]


def test_the_expected_output_is_the_log_of_the_mean_probability():
    """(0.8 + 0.4) / 2 = 0.6 and (0.2 + 0.6) / 2 = 0.4; the mean of the logs would give sqrt(0.32), not 0.6."""
    draws = torch.stack([logits_of([0.8, 0.2], [0.5, 0.5]), logits_of([0.4, 0.6], [0.9, 0.1])])
    expected = torch.tensor([[0.6, 0.4], [0.7, 0.3]], dtype=torch.float64).log()
    torch.testing.assert_close(CLASSIFICATION.expect(draws), expected)


def test_the_expected_output_of_one_draw_is_its_log_softmax():
    draw = logits_of([0.25, 0.75])
    torch.testing.assert_close(CLASSIFICATION.expect(draw[None]).exp(), torch.tensor([[0.25, 0.75]]).double())


def test_the_expected_output_does_not_overflow_where_a_probability_underflows():
    draws = torch.tensor([[[0.0, 2000.0]], [[0.0, 4000.0]]])
    expected = torch.tensor([[-2000.0 - math.log(2), 0.0]])
    torch.testing.assert_close(CLASSIFICATION.expect(draws), expected)


def test_a_right_answer_scores_one_and_a_wrong_one_is_broken():
    predictions, targets = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 2, 2, 0])
    scores = CLASSIFICATION.score(predictions, targets)
    assert scores.dtype == torch.float32
    assert scores.tolist() == [1, 0, 1, 0]
    assert CLASSIFICATION.broken(predictions, targets).tolist() == [False, True, False, True]


def test_predictions_that_equal_the_targets_are_perfect():
    targets = torch.arange(10)
    assert CLASSIFICATION.score(targets, targets).eq(1).all()
    assert not CLASSIFICATION.broken(targets, targets).any()


@pytest.mark.parametrize(
    ("labels", "outputs"), [([0, 1, 2], 3), ([4, 0, 4], 5), ([0], 1)], ids=["all", "with gaps", "one class"]
)
def test_a_network_gives_a_number_for_each_class_up_to_the_largest(labels, outputs):
    assert CLASSIFICATION.outputs(np.array(labels)) == outputs
