# SPDX-License-Identifier: Apache-2.0
"""What the stack tells the deployer, read from the function's environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class DeployerSettings:
    """The environment of one deployer.

    Attributes:
        prefix: `<project>-<environment>`, in front of every name that the deployer gives.
        signing_key_arn: Of the KMS key that signs the environment's evidence.
        floor_policy_sha256: Digest of the environment's gate policy, under which a verdict must have been reached.
        inference_repository: URI without tag of the only repository whose images serve.
        ami_version: Of the instances' host, with a newer GPU driver than SageMaker's own choice; None leaves it that.
        kms_key_arn: Of volumes; None where the instances encrypt their own storage, and SageMaker refuses a key.
        latency_alarm_milliseconds: P90 of the model's latency at which an update rolls back.
        canary_percent: Share of the new fleet that takes traffic first, 1 to 50.
        data_capture_percent: Share of production's requests kept under `data-capture/`; 0 turns it off.
    """

    prefix: str
    table: str
    bucket: str
    model_package_group: str
    endpoint_name: str
    topic_arn: str
    instance_type: str
    instance_count: int
    execution_role_arn: str
    signing_key_arn: str
    floor_policy_sha256: str
    inference_repository: str
    ami_version: str | None = None
    kms_key_arn: str | None = None
    latency_alarm_milliseconds: int = 2000
    canary_percent: int = 10
    callback_queue_url: str | None = None
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    data_capture_percent: int = 0

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> DeployerSettings:
        """Read the settings; a missing one is a KeyError that names it."""
        return cls(
            prefix=environment["PREFIX"],
            table=environment["TABLE"],
            bucket=environment["BUCKET"],
            model_package_group=environment["MODEL_PACKAGE_GROUP"],
            endpoint_name=environment["ENDPOINT_NAME"],
            topic_arn=environment["TOPIC_ARN"],
            instance_type=environment["INFERENCE_INSTANCE_TYPE"],
            instance_count=int(environment["INFERENCE_INSTANCE_COUNT"]),
            execution_role_arn=environment["EXECUTION_ROLE_ARN"],
            signing_key_arn=environment["SIGNING_KEY_ARN"],
            floor_policy_sha256=environment["FLOOR_POLICY_SHA256"],
            inference_repository=environment["INFERENCE_REPOSITORY"],
            ami_version=environment.get("INFERENCE_AMI_VERSION") or None,
            kms_key_arn=environment.get("KMS_KEY_ARN") or None,
            latency_alarm_milliseconds=int(environment.get("LATENCY_ALARM_MILLISECONDS") or 2000),
            canary_percent=int(environment.get("CANARY_PERCENT") or 10),
            callback_queue_url=environment.get("CALLBACK_QUEUE_URL") or None,
            subnet_ids=_names(environment, "SUBNET_IDS"),
            security_group_ids=_names(environment, "SECURITY_GROUP_IDS"),
            data_capture_percent=int(environment.get("DATA_CAPTURE_PERCENT") or 0),
        )

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which Studio groups a project's resources."""
        project, _, stage = self.prefix.rpartition("-")
        return {"sagemaker:project-name": project, "sagemaker:deployment-stage": stage}


def _names(environment: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in environment.get(key, "").split(",") if name.strip())
