# SPDX-License-Identifier: Apache-2.0
"""CheckPlan: what needs no model is judged before a model is paid for.

A job would take minutes to say what this says in seconds. The judging is the training source's own, `training_src.plan`
with what it imports, so that a laptop and EvaluateDetector judge by the same lines; here stands only where the gate
policy and `dataset.json` come from.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from training_src.evaluation.errors import PolicyError
from training_src.evaluation.policy import GatePolicy, policy_of
from training_src.plan import judge_dataset, judge_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_s3 import S3Client

ABSENT = frozenset({"404", "NoSuchBucket", "NoSuchKey", "NotFound"})


class PlanError(Exception):
    """The execution could not end well; every sentence says what to do."""


def handler(event: dict[str, Any], context: object) -> dict[str, str]:  # noqa: ARG001
    """Answer the Lambda step.

    Args:
        event: The step's inputs `metadata_uri` (prefix of PrepareDataset's output), `gate_policy_uri`,
            `training_settings` and `map_threshold`.
        context: Unused.
    """
    return check_plan(_s3(), **event)


def check_plan(
    s3: S3Client, *, metadata_uri: str, gate_policy_uri: str, training_settings: str, map_threshold: float | str
) -> dict[str, str]:
    """Judge an execution before its training.

    Raises:
        PlanError: With a sentence for everything that is wrong.
    """
    faults = judge_settings(training_settings, float(map_threshold))
    try:
        policy = read_policy(s3, gate_policy_uri)
        faults += judge_dataset(policy, read_dataset(s3, metadata_uri))
    except PolicyError as error:
        faults.append(f"{error}.")
    refuse(faults)
    return {"Sentence": "Nothing that needs no model stands in the way."}


def refuse(faults: Sequence[str]) -> None:
    """Fail the step where there is any fault.

    Raises:
        PlanError: There is.
    """
    if faults:
        raise PlanError(" ".join(faults))


def read_dataset(s3: S3Client, metadata_uri: str) -> dict[str, Any]:
    """Return the content of PrepareDataset's `dataset.json`.

    Raises:
        PlanError: It is gone.
    """
    uri = f"{metadata_uri.rstrip('/')}/dataset.json"
    bucket, key = _split(uri)
    try:
        content: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] not in ABSENT:
            raise
        raise PlanError(f"{uri} is gone; change DatasetUri or its data, so that it is prepared again.") from error
    return content


def read_policy(s3: S3Client, uri: str) -> GatePolicy:
    """Return the gate policy of a prefix, as a job is handed it: every object below comes, one must be YAML.

    Raises:
        PolicyError: There is not exactly one, or it is no policy.
    """
    bucket, prefix = _split(uri)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    found = [key for key in keys if key.endswith((".yaml", ".yml"))]
    if len(found) != 1:
        names = ", ".join(keys[:5]) or "nothing"
        raise PolicyError(f"GatePolicyUri {uri}: one YAML file is needed, there is {names}")
    text = s3.get_object(Bucket=bucket, Key=found[0])["Body"].read()
    return policy_of(text, f"s3://{bucket}/{found[0]}")


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


@cache
def _s3() -> S3Client:
    return boto3.client("s3")
