# SPDX-License-Identifier: Apache-2.0
"""FindChampion: tell the pipeline which versions the challenger is measured against, and by which image."""

from __future__ import annotations

import os
from typing import Any

from best import find_best
from champion import find_champion, waiver_of
from image_digest import image_digest
from services import client, require, table

NONE = "none"
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OutputParameter.html
VALUE_CHARACTERS = 1024


def handler(event: dict[str, Any], context: object) -> dict[str, str]:  # noqa: ARG001
    """Answer the Lambda step.

    Args:
        event: The step's inputs `model_package_group`, `endpoint_name` and `inference_image`.
        context: Unused.

    Returns:
        The champion, or `none` and the object that stands for no model, which it is too where an administrator has
        waived the comparison with a champion whose artifact is gone. The best version that ever served, likewise, where
        it is not the champion. The digest of the image that is about to measure them. A sentence on what was found.

    Raises:
        LostChampionError: The champion's artifact is gone, and nobody has waived the comparison.
        ImageError: The image is gone.
    """
    require(event, "inference_image")
    no_model = f"s3://{os.environ['BUCKET']}/defaults/none/"
    records = table(os.environ["TABLE"])
    champion = find_champion(records, event["endpoint_name"])
    if champion is None:
        arn, uri, runtime, waiver = NONE, no_model, NONE, None
    else:
        waiver = waiver_of(champion, client("s3"), client("ssm"), os.environ["WAIVER"])
        arn, uri, runtime = champion.arn, no_model if waiver else champion.uri, champion.runtime
    best = find_best(records, event["endpoint_name"], champion, client("s3"))
    print(best.sentence, flush=True)
    return {
        "ChampionModelPackageArn": arn,
        "ChampionModelUri": uri,
        "ChampionRuntime": runtime,
        "ChampionWaiver": waiver or NONE,
        "BestModelPackageArn": best.arn or NONE,
        "BestModelUri": best.uri if best.arn else no_model,
        "BestRuntime": best.runtime if best.arn else NONE,
        "InferenceImageDigest": image_digest(client("ecr"), event["inference_image"]),
        "Sentence": best.sentence[:VALUE_CHARACTERS],
    }
