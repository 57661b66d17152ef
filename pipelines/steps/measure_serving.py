# SPDX-License-Identifier: Apache-2.0
"""MeasureServing: the real server answers the test set with each runtime, of each model, unjudged."""

from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import LambdaStep, ProcessingStep, TrainingStep

from pipelines.placeholders import INFERENCE_IMAGE
from pipelines.steps.processing import output_of, processing_step


def measure_serving(
    session: PipelineSession, *, prepare: ProcessingStep, train: TrainingStep, champion: LambdaStep
) -> ProcessingStep:
    """Return the step with the output `measurements`: detections and timings by model and runtime.

    An environment whose gate policy names a test set puts it in the place of the execution's own:
    `infra/training/binding.py`.
    """
    return processing_step(
        "MeasureServing",
        session=session,
        image=INFERENCE_IMAGE,
        entrypoint=["python", "-m", "inference_src", "measure"],
        environment={
            "MAPGATE_CHAMPION_RUNTIME": champion.properties.Outputs["ChampionRuntime"],
            "MAPGATE_BEST_RUNTIME": champion.properties.Outputs["BestRuntime"],
        },
        inputs={
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
            "champion": champion.properties.Outputs["ChampionModelUri"],
            "best": champion.properties.Outputs["BestModelUri"],
            "test": output_of(prepare, "test"),
            "metadata": output_of(prepare, "metadata"),
        },
        outputs=["measurements"],
    )
