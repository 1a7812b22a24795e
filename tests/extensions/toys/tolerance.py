"""A judge: an image has one number in [0, 1], and an answer is the better the nearer it is."""

from trainables.judges import Judge

WITHIN, LENGTH = 0.05, 0.5


def _score(values, targets):
    return (1 - (values - targets).abs() / LENGTH).clamp(0, 1)


TOLERANCE = Judge(
    metric="closeness",
    predict=lambda output: output[:, 0],
    agree=lambda values: values.mean(0),
    expect=lambda outputs: outputs.mean(0),
    score=_score,
    broken=lambda values, targets: (values - targets).abs() > WITHIN,
    outputs=lambda targets: 1,
)
