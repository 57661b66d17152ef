# SPDX-License-Identifier: Apache-2.0
"""CheckPlan: what needs no model is judged before a model is paid for.

A job would take minutes to say what this says in seconds. The judging is the training source's own, `training_src.plan`
with what it imports, so that a laptop and EvaluateDetector judge by the same lines; here stands only where the gate
policies and `dataset.json` come from. The execution's own policy can only tighten the environment's, and what of it is
overruled is told.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from champion import LostChampionError, find_champion, waiver_of
from image_digest import ImageError, image_digest
from services import client, is_absent, require, split, table

from training_src.evaluation.errors import PolicyError
from training_src.evaluation.floor import tightened
from training_src.evaluation.policy import GatePolicy, policy_of
from training_src.plan import judge_dataset, judge_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What a job's environment variable holds at most.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
VALUE_CHARACTERS = 256
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OutputParameter.html
OUTPUT_CHARACTERS = 1024


class PlanError(Exception):
    """The execution could not end well; every sentence says what to do."""


def handler(event: dict[str, Any], context: object) -> dict[str, str]:  # noqa: ARG001
    """Answer the Lambda step.

    Args:
        event: The step's inputs `metadata_uri` (prefix of PrepareDataset's output), `floor_policy_uri` (the
            environment's policy), `gate_policy_uri` (the execution's own, or the object that stands for none),
            `training_settings`, `map_threshold`, `endpoint_name` and `training_image`.
        context: Unused.

    Returns:
        A sentence, with what of the execution's policy is overruled, and the digest of the image that is about to train
        and to judge.

    Raises:
        PlanError: With a sentence for everything that is wrong.
    """
    require(event, "floor_policy_uri", "training_image")
    faults = judge_settings(event["training_settings"], float(event["map_threshold"]))
    faults += address_faults(event["gate_policy_uri"])
    dataset = read_dataset(client("s3"), event["metadata_uri"])
    found, overruled = policy_faults(event["floor_policy_uri"], event["gate_policy_uri"], dataset)
    faults += found
    faults += champion_faults(event["endpoint_name"])
    digest = ""
    try:
        digest = image_digest(client("ecr"), event["training_image"])
    except ImageError as error:
        faults.append(str(error))
    if faults:
        raise PlanError(" ".join(dict.fromkeys(faults)))
    sentence = " ".join(["Nothing that needs no model stands in the way.", *overruled])
    return {"Sentence": sentence[:OUTPUT_CHARACTERS], "TrainingImageDigest": digest}


def policy_faults(floor_uri: str, run_uri: str, dataset: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return why no detector could pass, by both policies together, and what of the execution's is overruled."""
    found: list[GatePolicy | None] = []
    faults = []
    for uri in (floor_uri, run_uri):
        try:
            found.append(read_policy(client("s3"), uri))
        except PolicyError as error:
            found.append(None)
            faults.append(f"{error}.")
    floor, run = found
    if floor is None:
        return faults or [f"The environment's gate policy {floor_uri} is gone; deploy the environment again."], []
    policy, overruled, _ = tightened(floor, run)
    return [*faults, *judge_dataset(policy, dataset)], overruled


def address_faults(gate_policy_uri: str) -> list[str]:
    """Return why EvaluateDetector could not be told where the execution's policy lies."""
    if len(gate_policy_uri) <= VALUE_CHARACTERS:
        return []
    return [
        f"GatePolicyUri has {len(gate_policy_uri)} characters, of which a job is told {VALUE_CHARACTERS}; put the "
        "policy under a shorter prefix."
    ]


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


def read_policy(s3: S3Client, uri: str) -> GatePolicy | None:
    """Return the gate policy of a prefix, as a job is handed it: every object below comes, one must be YAML.

    None where the prefix holds but the object that stands for nothing.

    Raises:
        PolicyError: There is not exactly one, or it is no policy.
    """
    bucket, prefix = split(uri)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    found = [key for key in keys if key.endswith((".yaml", ".yml"))]
    if [key.rpartition("/")[2] for key in keys] == ["none"]:
        return None
    if len(found) != 1:
        names = ", ".join(keys[:5]) or "nothing"
        raise PolicyError(f"the gate policy {uri}: one YAML file is needed, there is {names}")
    text = s3.get_object(Bucket=bucket, Key=found[0])["Body"].read()
    return policy_of(text, f"s3://{bucket}/{found[0]}")
