# SPDX-License-Identifier: Apache-2.0
"""TrainDetector: trains, resumes from its checkpoints, and exports model.tar.gz with each runtime's form of it."""

from sagemaker.core.helper.pipeline_variable import PipelineVariable
from sagemaker.core.shapes import MetricDefinition
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import LambdaStep, ProcessingStep, TrainingStep
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import (
    CheckpointConfig,
    Compute,
    InputData,
    OutputDataConfig,
    StoppingCondition,
    TensorBoardOutputConfig,
)

from pipelines.parameters import Parameters
from pipelines.placeholders import BUCKET, TRAINING_IMAGE, TRAINING_ROLE
from pipelines.steps.caching import THIRTY_DAYS
from pipelines.steps.processing import output_of
from pipelines.steps.retries import JOB_RETRIES

NUMBER = "([0-9.eE+-]+)"
# The two kinds of line that training prints; neither expression finds anything in the other kind:
#   step=120/1000 loss=1.2345 classification_loss=.. learning_rate=0.01000 images_per_second=18.3 eta_seconds=85
#   validation step=500 mAP=0.4312 mAP_50=0.7011
METRICS = {
    "train:loss": f"step=[0-9]+/[0-9]+ loss={NUMBER}",
    "train:learning_rate": f"step=[0-9]+/[0-9]+ .* learning_rate={NUMBER}",
    "train:images_per_second": f"step=[0-9]+/[0-9]+ .* images_per_second={NUMBER}",
    "validation:mAP": f"validation step=[0-9]+ mAP={NUMBER}",
    "validation:mAP_50": f"validation step=[0-9]+ mAP=[^ ]+ mAP_50={NUMBER}",
}


def train_detector(
    session: PipelineSession, parameters: Parameters, *, prepare: ProcessingStep, after: LambdaStep
) -> TrainingStep:
    """Return the step; `properties.ModelArtifacts.S3ModelArtifacts` is the URI of its model.tar.gz.

    It begins when `after` has succeeded, of which it takes nothing.
    """
    trainer = ModelTrainer(
        training_image=TRAINING_IMAGE,
        role=TRAINING_ROLE,
        base_job_name="unbound",
        sagemaker_session=session,
        compute=Compute(instance_type=parameters.training_instance_type, instance_count=1, volume_size_in_gb=100),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=24 * 60 * 60),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/models"),
        checkpoint_config=CheckpointConfig(
            # A job downloads all that lies below it, so no execution's checkpoints lie below another's.
            s3_uri=Join(
                on="/",
                values=[f"s3://{BUCKET}/checkpoints", parameters.architecture, parameters.checkpoint_fingerprint],
            ),
            local_path="/opt/ml/checkpoints",
        ),
        hyperparameters={
            "architecture": parameters.architecture,
            # SageMaker's hyperparameters are strings: Std:Join writes the integer as one.
            "num_train_steps": parameters.training_steps.to_string(),
            "settings": parameters.training_settings,
            # A job is not told where its channels lie. What a model says of the images that it has seen is believed
            # by its address, so this is the channel's own:
            # https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
            "initial_checkpoint_uri": parameters.initial_checkpoint_uri,
            "data_bucket": BUCKET,
        },
        input_data_config=[
            _channel("train", output_of(prepare, "train")),
            _channel("validation", output_of(prepare, "validation")),
            _channel("metadata", output_of(prepare, "metadata")),
            _channel("config", parameters.pipeline_config_uri),
            _channel("checkpoint", parameters.initial_checkpoint_uri),
        ],
    )
    trainer.with_metric_definitions([MetricDefinition(name=name, regex=regex) for name, regex in METRICS.items()])
    # Without it SageMaker leaves curves and validation pictures behind in the container.
    trainer.with_tensorboard_output_config(
        TensorBoardOutputConfig(s3_output_path=f"s3://{BUCKET}/tensorboard", local_path="/opt/ml/output/tensorboard")
    )
    return TrainingStep(
        "TrainDetector",
        step_args=trainer.train(),
        depends_on=[after],
        cache_config=THIRTY_DAYS,
        retry_policies=JOB_RETRIES,
    )


def _channel(name: str, uri: PipelineVariable) -> InputData:
    return InputData(channel_name=name, data_source=uri)
