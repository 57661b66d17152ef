# SPDX-License-Identifier: Apache-2.0
"""DeployCandidate: a short-lived endpoint of the new version answers a test image before a person approves."""

from sagemaker.mlops.workflow import CallbackOutput, CallbackStep, LambdaStep, ModelStep, ProcessingStep

from pipelines.placeholders import CALLBACK_QUEUE
from pipelines.steps.processing import output_of


def deploy_candidate(*, register: ModelStep, evaluate: ProcessingStep, publish: LambdaStep) -> CallbackStep:
    """Return the step that waits until the deployer has answered; it follows the dossier, which names the runtime."""
    return CallbackStep(
        "DeployCandidate",
        sqs_queue_url=CALLBACK_QUEUE,
        inputs={
            "model_package_arn": register.properties.ModelPackageArn,
            "evaluation_uri": output_of(evaluate, "evaluation"),
        },
        outputs=[CallbackOutput(output_name="LatencyMilliseconds"), CallbackOutput(output_name="Detections")],
        depends_on=[publish],
    )
