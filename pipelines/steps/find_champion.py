# SPDX-License-Identifier: Apache-2.0
"""FindChampion: which version production serves now, and which that ever served was best, by the deployer's records."""

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import LambdaOutput, LambdaStep, TrainingStep

from pipelines.placeholders import ENDPOINT, FIND_CHAMPION, INFERENCE_IMAGE, MODEL_PACKAGE_GROUP

OUTPUTS = (
    "ChampionModelPackageArn",
    "ChampionModelUri",
    "ChampionRuntime",
    "ChampionWaiver",
    "BestModelPackageArn",
    "BestModelUri",
    "BestRuntime",
    "InferenceImageDigest",
    "Sentence",
)


def find_champion(session: PipelineSession, *, after: TrainingStep) -> LambdaStep:
    """Return the step; without a champion, or another version that served, outputs are `none` and the default object.

    It waits for `after`, which may take a day: what production serves then is what the challenger has to beat. It also
    reads the digest of the image that is about to measure, for PublishDossier to compare. A step has at most 50
    outputs of 1,024 characters:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_LambdaStepMetadata.html
    """
    return LambdaStep(
        "FindChampion",
        lambda_func=Lambda(function_arn=FIND_CHAMPION, session=session),
        inputs={
            "model_package_group": MODEL_PACKAGE_GROUP,
            "endpoint_name": ENDPOINT,
            "inference_image": INFERENCE_IMAGE,
        },
        outputs=[LambdaOutput(output_name=name) for name in OUTPUTS],
        depends_on=[after],
    )
