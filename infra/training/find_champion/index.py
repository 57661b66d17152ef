# SPDX-License-Identifier: Apache-2.0
"""FindChampion: tell the pipeline which version production serves, so that the challenger is measured against it."""

from __future__ import annotations

import os
from typing import Any

from champion import find_champion, waiver_of
from services import client, table

NONE = "none"


def handler(event: dict[str, Any], context: object) -> dict[str, str]:  # noqa: ARG001
    """Answer the Lambda step.

    Args:
        event: The step's inputs `model_package_group` and `endpoint_name`.
        context: Unused.

    Returns:
        The champion, or `none` and the object that stands for no model, which it is too where an administrator has
        waived the comparison with a champion whose artifact is gone.
    """
    no_model = f"s3://{os.environ['BUCKET']}/defaults/none/"
    champion = find_champion(table(os.environ["TABLE"]), event["endpoint_name"])
    if champion is None:
        arn, uri, runtime, waiver = NONE, no_model, NONE, None
    else:
        waiver = waiver_of(champion, client("s3"), client("ssm"), os.environ["WAIVER"])
        arn, uri, runtime = champion.arn, no_model if waiver else champion.uri, champion.runtime
    return {
        "ChampionModelPackageArn": arn,
        "ChampionModelUri": uri,
        "ChampionRuntime": runtime,
        "ChampionWaiver": waiver or NONE,
    }
