# SPDX-License-Identifier: Apache-2.0
"""PublishDossier: the verdict's record and evidence, and what an approver wants to read, written on the version."""

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import LambdaOutput, LambdaStep, ModelStep, ProcessingStep, TrainingStep

from pipelines.parameters import Parameters
from pipelines.placeholders import PUBLISH_DOSSIER
from pipelines.steps.processing import output_of


def publish_dossier(
    session: PipelineSession,
    parameters: Parameters,
    *,
    prepare: ProcessingStep,
    plan: LambdaStep,
    train: TrainingStep,
    champion: LambdaStep,
    measure: ProcessingStep,
    evaluate: ProcessingStep,
    register: ModelStep,
) -> LambdaStep:
    """Return the step that pins what was judged, and by what, and copies metrics and links to the version.

    It is handed the digests of the images as they were before anything was trained and measured, the jobs that wrote
    what the verdict rests on, and what these were given, with which it compares what SageMaker says of them.
    """
    found = champion.properties.Outputs
    return LambdaStep(
        "PublishDossier",
        lambda_func=Lambda(function_arn=PUBLISH_DOSSIER, session=session),
        inputs={
            "model_package_arn": register.properties.ModelPackageArn,
            "evaluation_uri": output_of(evaluate, "evaluation"),
            "execution_arn": ExecutionVariables.PIPELINE_EXECUTION_ARN,
            "metadata_uri": output_of(prepare, "metadata"),
            "model_uri": train.properties.ModelArtifacts.S3ModelArtifacts,
            "champion_arn": found["ChampionModelPackageArn"],
            "champion_uri": found["ChampionModelUri"],
            "champion_runtime": found["ChampionRuntime"],
            "champion_waiver": found["ChampionWaiver"],
            "best_arn": found["BestModelPackageArn"],
            "best_uri": found["BestModelUri"],
            "best_runtime": found["BestRuntime"],
            "inference_image_digest": found["InferenceImageDigest"],
            "training_image_digest": plan.properties.Outputs["TrainingImageDigest"],
            **{f"{split}_uri": output_of(prepare, split) for split in ("train", "validation", "test")},
            "measurements_uri": output_of(measure, "measurements"),
            "gate_policy_uri": parameters.gate_policy_uri,
            "map_threshold": parameters.map_threshold.to_string(),
            "data_job": prepare.properties.ProcessingJobArn,
            "metadata_job": prepare.properties.ProcessingJobArn,
            "model_job": train.properties.TrainingJobArn,
            "measurements_job": measure.properties.ProcessingJobArn,
            "evaluation_job": evaluate.properties.ProcessingJobArn,
        },
        outputs=[LambdaOutput(output_name="ReportUri")],
    )
