# SPDX-License-Identifier: Apache-2.0
"""CheckPlan: what needs no model is judged before a model is paid for.

TrainDetector waits for it by DependsOn alone and takes nothing from it, so that step caching, which compares a step's
arguments, prepares and trains nothing anew for another gate policy.
"""

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import LambdaOutput, LambdaStep, ProcessingStep

from pipelines.parameters import Parameters
from pipelines.placeholders import CHECK_PLAN, ENDPOINT, FLOOR_POLICY, TRAINING_IMAGE
from pipelines.steps.processing import output_of


def check_plan(session: PipelineSession, parameters: Parameters, *, prepare: ProcessingStep) -> LambdaStep:
    """Return the step, which fails with a sentence for everything that is wrong.

    Its output `TrainingImageDigest` is ECR's, of the image that trains and judges.
    """
    return LambdaStep(
        "CheckPlan",
        lambda_func=Lambda(function_arn=CHECK_PLAN, session=session),
        inputs={
            "metadata_uri": output_of(prepare, "metadata"),
            "floor_policy_uri": FLOOR_POLICY,
            "gate_policy_uri": parameters.gate_policy_uri,
            "training_settings": parameters.training_settings,
            "map_threshold": parameters.map_threshold,
            "endpoint_name": ENDPOINT,
            "training_image": TRAINING_IMAGE,
        },
        outputs=[LambdaOutput(output_name="Sentence"), LambdaOutput(output_name="TrainingImageDigest")],
    )
