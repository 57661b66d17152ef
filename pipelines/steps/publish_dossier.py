# SPDX-License-Identifier: Apache-2.0
"""PublishDossier: what an approver wants to read, written on the version."""

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import LambdaOutput, LambdaStep, ModelStep, ProcessingStep

from pipelines.placeholders import PUBLISH_DOSSIER
from pipelines.steps.processing import output_of


def publish_dossier(session: PipelineSession, *, register: ModelStep, evaluate: ProcessingStep) -> LambdaStep:
    """Return the step that copies metrics and links from evaluation.json to the version."""
    return LambdaStep(
        "PublishDossier",
        lambda_func=Lambda(function_arn=PUBLISH_DOSSIER, session=session),
        inputs={
            "model_package_arn": register.properties.ModelPackageArn,
            "evaluation_uri": output_of(evaluate, "evaluation"),
            "execution_arn": ExecutionVariables.PIPELINE_EXECUTION_ARN,
        },
        outputs=[LambdaOutput(output_name="ReportUri")],
    )
