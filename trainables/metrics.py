"""The names of an epoch's metrics that other code reads; a defense adds its own, such as `loss`."""

EPOCH = "epoch"  # counted from 1
SECONDS = "seconds"  # of the epoch's training, without validation
PREPARE_SECONDS = "prepare_seconds"  # of the preparation before the first epoch, which alone has it
VALIDATION = "validation_"  # before what the judge calls a score


def validation(metric: str) -> str:
    """Name the score on the validation split: `validation_accuracy` for a judge that calls a score accuracy."""
    return VALIDATION + metric
