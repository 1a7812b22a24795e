"""The 32 short trials of the benchmark as a plain Ray Tune script with MLflowLoggerCallback, as Ray documents it.

The training is ours (`TrainingRun`), so that what differs is the orchestration: a function trainable that loads its
data, one process a trial, one synchronous MLflow call a metric.
"""

import sys

from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback


def train_function(config):
    from trainables.data.datasets import load
    from trainables.evaluation.clean import evaluate_clean
    from trainables.specs import TrainingSpec
    from trainables.training import TrainingRun, on_device

    spec = TrainingSpec.model_validate({**config, "network": {"width": 8}})
    splits = load(spec.dataset)
    run = TrainingRun(spec, splits)
    while not run.finished:
        metrics = run.step()
        if run.finished:
            metrics["clean_accuracy"] = float(
                evaluate_clean(run.defense.model, *on_device(splits.test, "cpu")).correct.mean()
            )
        tune.report(metrics)


def main(root: str, trials: int, epochs: int) -> None:
    tuner = tune.Tuner(
        train_function,
        param_space={"defense": "none", "epochs": epochs, "seed": tune.grid_search(list(range(trials)))},
        run_config=tune.RunConfig(
            name="mlflow",
            storage_path=root,
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri=f"sqlite:///{root}/mlflow.db", experiment_name="plain", save_artifact=True
                )
            ],
        ),
    )
    results = tuner.fit()
    accuracies = [result.metrics["clean_accuracy"] for result in results]
    print(f"{len(accuracies)} trials, mean clean accuracy {sum(accuracies) / len(accuracies):.4f}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
