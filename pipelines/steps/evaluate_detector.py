# SPDX-License-Identifier: Apache-2.0
"""EvaluateDetector: COCO metrics of what was served, compared with the SavedModel; the gate's verdict; the report."""

from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow import LambdaStep, ProcessingStep, TrainingStep

from pipelines.parameters import Parameters
from pipelines.placeholders import TRAINING_IMAGE
from pipelines.steps.processing import output_of, processing_step

EVALUATION = PropertyFile(name="Evaluation", output_name="evaluation", path="evaluation.json")


def evaluate_detector(
    session: PipelineSession,
    parameters: Parameters,
    *,
    prepare: ProcessingStep,
    train: TrainingStep,
    champion: LambdaStep,
    measure: ProcessingStep,
) -> ProcessingStep:
    """Return the step with the output `evaluation`, whose evaluation.json a condition may read."""
    return processing_step(
        "EvaluateDetector",
        session=session,
        image=TRAINING_IMAGE,
        entrypoint=["python", "-m", "training_src", "evaluate"],
        environment={
            "MAPGATE_MAP_THRESHOLD": parameters.map_threshold.to_string(),
            "MAPGATE_CHAMPION_RUNTIME": champion.properties.Outputs["ChampionRuntime"],
            "MAPGATE_CHAMPION_WAIVER": champion.properties.Outputs["ChampionWaiver"],
        },
        inputs={
            "measurements": output_of(measure, "measurements"),
            "test": output_of(prepare, "test"),
            "metadata": output_of(prepare, "metadata"),
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
            # A champion that its version's own image serves by TensorFlow is answered here.
            "champion": champion.properties.Outputs["ChampionModelUri"],
            "gate_policy": parameters.gate_policy_uri,
        },
        outputs=["evaluation"],
        property_files=[EVALUATION],
    )
