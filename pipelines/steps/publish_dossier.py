# SPDX-License-Identifier: Apache-2.0
"""PublishDossier: the verdict's record and evidence, and what an approver wants to read, written on the version."""

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import LambdaOutput, LambdaStep, ModelStep, ProcessingStep, TrainingStep

from pipelines.placeholders import PUBLISH_DOSSIER
from pipelines.steps.processing import output_of


def publish_dossier(
    session: PipelineSession,
    *,
    prepare: ProcessingStep,
    plan: LambdaStep,
    train: TrainingStep,
    champion: LambdaStep,
    evaluate: ProcessingStep,
    register: ModelStep,
) -> LambdaStep:
    """Return the step that pins what was judged, and by what, and copies metrics and links to the version.

    It is handed the digests of the images as they were before anything was trained and measured.
    """
    return LambdaStep(
        "PublishDossier",
        lambda_func=Lambda(function_arn=PUBLISH_DOSSIER, session=session),
        inputs={
            "model_package_arn": register.properties.ModelPackageArn,
            "evaluation_uri": output_of(evaluate, "evaluation"),
            "execution_arn": ExecutionVariables.PIPELINE_EXECUTION_ARN,
            "metadata_uri": output_of(prepare, "metadata"),
            "model_uri": train.properties.ModelArtifacts.S3ModelArtifacts,
            "champion_arn": champion.properties.Outputs["ChampionModelPackageArn"],
            "best_arn": champion.properties.Outputs["BestModelPackageArn"],
            "inference_image_digest": champion.properties.Outputs["InferenceImageDigest"],
            "training_image_digest": plan.properties.Outputs["TrainingImageDigest"],
        },
        outputs=[LambdaOutput(output_name="ReportUri")],
    )
