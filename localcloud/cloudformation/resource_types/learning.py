# SPDX-License-Identifier: Apache-2.0
"""SageMaker."""

from __future__ import annotations

import json
from typing import Any

from localcloud.cloudformation.resource_types.registry import (
    Made,
    Properties,
    ResourceType,
    Target,
    ignoring_absence,
    resource_type,
    without,
)


@resource_type(
    "AWS::SageMaker::ModelPackageGroup",
    name="ModelPackageGroupName",
    replaced_by=("ModelPackageGroupDescription",),
)
class ModelPackageGroup(ResourceType):
    """A group of model versions. SageMaker does not delete one that holds versions."""

    def create(self, it: Target) -> Made:
        plain = without(it.properties, "ModelPackageGroupPolicy")
        name = it.properties["ModelPackageGroupName"]
        arn = it.call("sagemaker", "CreateModelPackageGroup", plain)["ModelPackageGroupArn"]
        it.claim(arn)
        self._set_policy(it, name, it.properties)
        return self._made(it, arn)

    def update(self, it: Target) -> Made:
        self._set_policy(it, it.properties["ModelPackageGroupName"], it.properties)
        return self._made(it, it.physical_id)

    def delete(self, it: Target) -> None:
        name = it.physical_id.rsplit("/", 1)[1]
        ignoring_absence(it.client("sagemaker").delete_model_package_group, ModelPackageGroupName=name)

    def _set_policy(self, it: Target, name: str, properties: Properties) -> None:
        if "ModelPackageGroupPolicy" in properties:
            policy = properties["ModelPackageGroupPolicy"]
            parameters = {"ModelPackageGroupName": name, "ResourcePolicy": policy}
            it.call("sagemaker", "PutModelPackageGroupPolicy", parameters)

    def _made(self, it: Target, arn: str) -> Made:
        name = arn.rsplit("/", 1)[1]
        group = it.client("sagemaker").describe_model_package_group(ModelPackageGroupName=name)
        attributes = {
            "ModelPackageGroupArn": arn,
            "ModelPackageGroupStatus": group["ModelPackageGroupStatus"],
            "CreationTime": str(group["CreationTime"]),
        }
        return Made(arn, attributes)


@resource_type("AWS::SageMaker::Pipeline", name="PipelineName")
class Pipeline(ResourceType):
    """A pipeline; its definition is text or an S3 object."""

    def create(self, it: Target) -> Made:
        token = {"ClientRequestToken": it.name(64).replace("_", "-").rjust(32, "0")}
        it.call("sagemaker", "CreatePipeline", {**_pipeline(it.properties), **token})
        return self._made(it, it.properties["PipelineName"])

    def update(self, it: Target) -> Made:
        it.call("sagemaker", "UpdatePipeline", without(_pipeline(it.properties), "Tags"))
        return self._made(it, it.physical_id)

    def delete(self, it: Target) -> None:
        token = it.name(64).rjust(32, "0")
        delete = it.client("sagemaker").delete_pipeline
        ignoring_absence(delete, PipelineName=it.physical_id, ClientRequestToken=token)

    def _made(self, it: Target, name: str) -> Made:
        return Made(name, {"PipelineArn": it.arn("sagemaker", f"pipeline/{name}"), "PipelineName": name})


def _pipeline(properties: Properties) -> dict[str, Any]:
    definition = properties["PipelineDefinition"]
    plain = without(properties, "PipelineDefinition")
    if "PipelineDefinitionBody" in definition:
        body = definition["PipelineDefinitionBody"]
        return {**plain, "PipelineDefinition": body if isinstance(body, str) else json.dumps(body)}
    location = definition["PipelineDefinitionS3Location"]
    where = {"Bucket": location["Bucket"], "ObjectKey": location["Key"]}
    if "Version" in location:
        where["VersionId"] = location["Version"]
    return {**plain, "PipelineDefinitionS3Location": where}
