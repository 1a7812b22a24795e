"""The names of metrics that several files agree on; a defense adds its own to an epoch's, such as `loss`."""

EPOCH = "epoch"  # counted from 1
SECONDS = "seconds"  # of the epoch's training, without validation
PREPARE_SECONDS = "prepare_seconds"  # of the preparation before the first epoch, which alone has it
VALIDATION = "validation_"  # before what the judge calls a score


def validation(metric: str) -> str:
    """Name the score on the validation split: `validation_accuracy` for a judge that calls a score accuracy."""
    return VALIDATION + metric.replace(" ", "_")


def clean_name(metric: str) -> str:
    """Name the mean score without an attack: `clean_accuracy`."""
    return f"clean_{metric.replace(' ', '_')}"


def robust_name(metric: str) -> str:
    """Name the mean score under attack: `robust_accuracy`."""
    return f"robust_{metric.replace(' ', '_')}"
