"""The names of an epoch's metrics that other code reads; a defense adds its own, such as `loss`."""

EPOCH = "epoch"  # counted from 1
SECONDS = "seconds"  # of the epoch's training, without validation
PREPARE_SECONDS = "prepare_seconds"  # of the preparation before the first epoch, which alone has it
VALIDATION_ACCURACY = "validation_accuracy"
