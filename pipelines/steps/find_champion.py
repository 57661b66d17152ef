# SPDX-License-Identifier: Apache-2.0
"""FindChampion: which version production serves now, by the record of deployments."""

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import LambdaOutput, LambdaStep, TrainingStep

from pipelines.placeholders import ENDPOINT, FIND_CHAMPION, MODEL_PACKAGE_GROUP


def find_champion(session: PipelineSession, *, after: TrainingStep) -> LambdaStep:
    """Return the step; without a champion its outputs say `none` and point at the default object.

    It waits for `after`, which may take a day: what production serves then is what the challenger has to beat.
    """
    return LambdaStep(
        "FindChampion",
        lambda_func=Lambda(function_arn=FIND_CHAMPION, session=session),
        inputs={"model_package_group": MODEL_PACKAGE_GROUP, "endpoint_name": ENDPOINT},
        outputs=[
            LambdaOutput(output_name="ChampionModelPackageArn"),
            LambdaOutput(output_name="ChampionModelUri"),
            LambdaOutput(output_name="ChampionRuntime"),
            LambdaOutput(output_name="ChampionWaiver"),
        ],
        depends_on=[after],
    )
