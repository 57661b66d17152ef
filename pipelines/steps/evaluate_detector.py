# SPDX-License-Identifier: Apache-2.0
"""EvaluateDetector: COCO metrics of what was served, compared with the SavedModel; the gate's verdict; the report.

A job's environment variable holds at most 256 characters, an address more: CheckPlan refuses a longer GatePolicyUri.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
"""

from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow import LambdaStep, ProcessingStep, TrainingStep

from pipelines.parameters import Parameters
from pipelines.placeholders import FLOOR_POLICY, TRAINING_IMAGE
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
    """Return the step with the output `evaluation`, whose evaluation.json a condition may read.

    `floor_policy` is the environment's and always there; `gate_policy` is the execution's own, where it has one. Whose
    the test set is, `MAPGATE_TEST_SET` says: an environment may put its own in the place of the execution's.
    """
    outputs = champion.properties.Outputs
    return processing_step(
        "EvaluateDetector",
        session=session,
        image=TRAINING_IMAGE,
        entrypoint=["python", "-m", "training_src", "evaluate"],
        environment={
            "MAPGATE_MAP_THRESHOLD": parameters.map_threshold.to_string(),
            "MAPGATE_CHAMPION_ARN": outputs["ChampionModelPackageArn"],
            "MAPGATE_CHAMPION_RUNTIME": outputs["ChampionRuntime"],
            "MAPGATE_CHAMPION_WAIVER": outputs["ChampionWaiver"],
            "MAPGATE_BEST_ARN": outputs["BestModelPackageArn"],
            "MAPGATE_BEST_RUNTIME": outputs["BestRuntime"],
            "MAPGATE_FLOOR_POLICY_URI": FLOOR_POLICY,
            "MAPGATE_GATE_POLICY_URI": parameters.gate_policy_uri,
            "MAPGATE_TEST_SET": "execution",
        },
        inputs={
            "measurements": output_of(measure, "measurements"),
            "test": output_of(prepare, "test"),
            "metadata": output_of(prepare, "metadata"),
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
            # A champion that its version's own image serves by TensorFlow is answered here.
            "champion": outputs["ChampionModelUri"],
            "best": outputs["BestModelUri"],
            "gate_policy": parameters.gate_policy_uri,
            "floor_policy": FLOOR_POLICY,
        },
        outputs=["evaluation"],
        property_files=[EVALUATION],
    )
