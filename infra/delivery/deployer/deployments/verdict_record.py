# SPDX-License-Identifier: Apache-2.0
"""What PublishDossier recorded of a verdict, once: the root of all that the deployer believes of a version.

The registry's metadata, the evaluation's file and the artifact can be written by others; this item can not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class VerdictRecord:
    """The item `verdict#000003` of production's partition.

    Attributes:
        image: With its tag, as the registry names it.
        image_digest: `sha256:...`, of its manifest.
        gate_policy_sha256: Of the execution's own policy; empty where it brought none.
        champion_arn: The version with which this one was compared; `none` where nothing served.
        best_arn: The best version that ever served, with which it was compared besides; `none` where there was none, or
            the champion was it.
        waiver: What an administrator wrote to go on without that champion; empty where nobody did.
        mean_ap: mAP, 0 to 1.
        statement_uri: Where the signed verdict lies.
        statement_sha256: Of the bytes of its envelope.
    """

    version: int
    arn: str
    execution_arn: str
    evaluation_uri: str
    evaluation_sha256: str
    model_uri: str
    model_sha256: str
    image: str
    image_digest: str
    floor_policy_sha256: str
    gate_policy_sha256: str
    test_set: str
    dataset_sha256: str
    champion_arn: str
    best_arn: str
    waiver: str
    mean_ap: float
    runtime: str
    precision: str
    statement_uri: str
    statement_sha256: str
    published_at: str = ""

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> VerdictRecord:
        """Read an item; a KeyError names an attribute that is missing."""
        found = {name: item[attribute] for name, attribute in _ATTRIBUTES.items()}
        found |= {"version": int(item["Version"]), "mean_ap": float(item["MeanAP"])}
        return cls(**found, published_at=str(item.get("PublishedAt", "")))


_ATTRIBUTES = {
    "version": "Version",
    "arn": "ModelPackageArn",
    "execution_arn": "PipelineExecutionArn",
    "evaluation_uri": "EvaluationUri",
    "evaluation_sha256": "EvaluationSha256",
    "model_uri": "ModelUri",
    "model_sha256": "ModelSha256",
    "image": "Image",
    "image_digest": "ImageDigest",
    "floor_policy_sha256": "FloorPolicySha256",
    "gate_policy_sha256": "GatePolicySha256",
    "test_set": "TestSet",
    "dataset_sha256": "DatasetSha256",
    "champion_arn": "ChampionArn",
    "best_arn": "BestArn",
    "waiver": "Waiver",
    "mean_ap": "MeanAP",
    "runtime": "Runtime",
    "precision": "Precision",
    "statement_uri": "StatementUri",
    "statement_sha256": "StatementSha256",
}
