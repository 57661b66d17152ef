# SPDX-License-Identifier: Apache-2.0
"""Estimators of SageMaker's SDK as published notebooks make them; runs in the SDK's own environment, of version 2 or 3.

`python sdk_estimators.py KIND SOURCE_DIR IMAGE ROLE PREFIX`: a key of `ESTIMATORS`, the folder with the config and the
checkpoint, and the S3 prefix below which `train` and `val` lie and TensorBoard's events go. Ends with the job's name.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import boto3

HYPERPARAMETERS = {
    "model_dir": "/opt/training",
    "pipeline_config_path": "pipeline.config",
    "num_train_steps": "2",
    "sample_1_of_n_eval_examples": "1",
}
BUILT_IN = {"epochs": "1", "batch_size": "8", "optimizer": "adam", "learning_rate": "0.001", "beta_1": "0.9"}


def notebook(source: str, image: str, role: str, prefix: str, **further: Any) -> str:
    """The framework of one's own of AWS's blog and of the notebooks that follow it, in version 2."""
    from sagemaker import Session
    from sagemaker.debugger import TensorBoardOutputConfig
    from sagemaker.estimator import Framework

    class CustomFramework(Framework):  # type: ignore[misc]
        framework_version = py_version = None

        def create_model(self, **_: Any) -> None: ...

    estimator = CustomFramework(
        entry_point="run_training.sh",
        source_dir=source,
        hyperparameters=HYPERPARAMETERS,
        image_uri=image,
        role=role,
        instance_count=1,
        instance_type="ml.m5.large",
        tensorboard_output_config=TensorBoardOutputConfig(
            s3_output_path=f"{prefix}/board", container_local_output_path="/opt/training/"
        ),
        base_job_name="tf2-object-detection",
        sagemaker_session=Session(default_bucket="bucket"),
        **further,
    )
    estimator.fit({"train": f"{prefix}/train", "val": f"{prefix}/val"})
    return str(estimator.latest_training_job.name)


def isolated(source: str, image: str, role: str, prefix: str) -> str:
    """The same with network isolation, for which the SDK gives the code as a channel, and checkpoints of a place."""
    kept = {"checkpoint_s3_uri": f"{prefix}/kept", "checkpoint_local_path": "/tmp/checkpoints"}  # noqa: S108
    return notebook(source, image, role, prefix, enable_network_isolation=True, disable_profiler=True, **kept)


def built_in(source: str, image: str, role: str, prefix: str) -> str:
    """The built-in algorithm's estimator, whose script lies beside the model in AWS's own bucket."""
    from sagemaker import Session
    from sagemaker.estimator import Estimator

    estimator = Estimator(
        image_uri=image,
        role=role,
        source_dir=source,
        entry_point="run_training.sh",
        instance_count=1,
        instance_type="ml.m5.large",
        max_run=3600,
        hyperparameters=BUILT_IN,
        output_path=f"{prefix}/out",
        sagemaker_session=Session(default_bucket="bucket"),
    )
    estimator.fit({"training": f"{prefix}/train", "validation": f"{prefix}/val"}, logs=True)
    return str(estimator.latest_training_job.name)


def trainer(source: str, image: str, role: str, prefix: str) -> str:
    """What version 3 has in an estimator's place, with the same folder as a channel."""
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData, OutputDataConfig, StoppingCondition, TensorBoardOutputConfig

    made = ModelTrainer(
        training_image=image,
        role=role,
        sagemaker_session=Session(boto3.Session(region_name="us-east-1"), default_bucket="bucket"),
        base_job_name="tf2-object-detection",
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
        output_data_config=OutputDataConfig(s3_output_path=f"{prefix}/out"),
        hyperparameters=HYPERPARAMETERS,
    ).with_tensorboard_output_config(
        TensorBoardOutputConfig(s3_output_path=f"{prefix}/board", local_path="/opt/training/")
    )
    channels = {"train": f"{prefix}/train", "val": f"{prefix}/val", "code": source}
    made.train(
        input_data_config=[InputData(channel_name=name, data_source=place) for name, place in channels.items()],
        wait=True,
    )
    return str(made._latest_training_job.training_job_name)


ESTIMATORS: Mapping[str, Callable[[str, str, str, str], str]] = {
    "notebook": notebook,
    "isolated": isolated,
    "built-in": built_in,
    "trainer": trainer,
}


def one_address(make: Callable[..., Any]) -> Callable[..., Any]:
    """Version 2 gives STS an address of AWS's own, whatever the environment says."""

    def made(session: Any, service: str, *arguments: Any, **options: Any) -> Any:
        if service == "sts":
            options.pop("endpoint_url", None)
        return make(session, service, *arguments, **options)

    return made


if __name__ == "__main__":
    setattr(boto3.Session, "client", one_address(boto3.Session.client))  # noqa: B010
    print("JOB", ESTIMATORS[sys.argv[1]](*sys.argv[2:]))
