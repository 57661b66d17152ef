# SPDX-License-Identifier: Apache-2.0
"""CheckPlan: what needs no model is judged before a model is paid for.

A job would take minutes to say what this says in seconds. The judging is the training source's own, `training_src.plan`
with what it imports, so that a laptop and EvaluateDetector judge by the same lines; here stands only where the gate
policy and `dataset.json` come from.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from champion import LostChampionError, find_champion, waiver_of
from services import client, is_absent, split, table

from training_src.evaluation.errors import PolicyError
from training_src.evaluation.policy import GatePolicy, policy_of
from training_src.plan import judge_dataset, judge_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class PlanError(Exception):
    """The execution could not end well; every sentence says what to do."""


def handler(event: dict[str, Any], context: object) -> dict[str, str]:  # noqa: ARG001
    """Answer the Lambda step.

    Args:
        event: The step's inputs `metadata_uri` (prefix of PrepareDataset's output), `gate_policy_uri`,
            `training_settings`, `map_threshold` and `endpoint_name`.
        context: Unused.

    Raises:
        PlanError: With a sentence for everything that is wrong.
    """
    faults = judge_settings(event["training_settings"], float(event["map_threshold"]))
    try:
        policy = read_policy(client("s3"), event["gate_policy_uri"])
        faults += judge_dataset(policy, read_dataset(client("s3"), event["metadata_uri"]))
    except PolicyError as error:
        faults.append(f"{error}.")
    faults += champion_faults(event["endpoint_name"])
    if faults:
        raise PlanError(" ".join(faults))
    return {"Sentence": "Nothing that needs no model stands in the way."}


def champion_faults(endpoint_name: str) -> list[str]:
    """Return why nothing could be compared with what production serves; FindChampion asks the same once more."""
    champion = find_champion(table(os.environ["TABLE"]), endpoint_name)
    try:
        if champion is not None:
            waiver_of(champion, client("s3"), client("ssm"), os.environ["WAIVER"])
    except LostChampionError as error:
        return [str(error)]
    return []


def read_dataset(s3: S3Client, metadata_uri: str) -> dict[str, Any]:
    """Return the content of PrepareDataset's `dataset.json`.

    Raises:
        PlanError: It is gone.
    """
    uri = f"{metadata_uri.rstrip('/')}/dataset.json"
    bucket, key = split(uri)
    try:
        content: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if not is_absent(error):
            raise
        raise PlanError(f"{uri} is gone; change DatasetUri or its data, so that it is prepared again.") from error
    return content


def read_policy(s3: S3Client, uri: str) -> GatePolicy:
    """Return the gate policy of a prefix, as a job is handed it: every object below comes, one must be YAML.

    Raises:
        PolicyError: There is not exactly one, or it is no policy.
    """
    bucket, prefix = split(uri)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    found = [key for key in keys if key.endswith((".yaml", ".yml"))]
    if len(found) != 1:
        names = ", ".join(keys[:5]) or "nothing"
        raise PolicyError(f"GatePolicyUri {uri}: one YAML file is needed, there is {names}")
    text = s3.get_object(Bucket=bucket, Key=found[0])["Body"].read()
    return policy_of(text, f"s3://{bucket}/{found[0]}")
