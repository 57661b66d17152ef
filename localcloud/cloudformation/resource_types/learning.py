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


@resource_type("AWS::SageMaker::ModelPackageGroup", name="ModelPackageGroupName")
class ModelPackageGroup(ResourceType):
    """A group of model versions. SageMaker does not delete one that holds versions."""

    def create(self, it: Target) -> Made:
        plain = without(it.properties, "ModelPackageGroupPolicy")
        arn = it.call("sagemaker", "CreateModelPackageGroup", plain)["ModelPackageGroupArn"]
        it.claim(arn)
        return self.update(it.named(arn))

    def update(self, it: Target) -> Made:
        name = it.properties["ModelPackageGroupName"]
        if "ModelPackageGroupPolicy" in it.properties:
            policy = it.properties["ModelPackageGroupPolicy"]
            parameters = {"ModelPackageGroupName": name, "ResourcePolicy": policy}
            it.call("sagemaker", "PutModelPackageGroupPolicy", parameters)
        group = it.client("sagemaker").describe_model_package_group(ModelPackageGroupName=name)
        attributes = {
            "ModelPackageGroupArn": it.physical_id,
            "ModelPackageGroupStatus": group["ModelPackageGroupStatus"],
            "CreationTime": str(group["CreationTime"]),
        }
        return Made(it.physical_id, attributes)

    def delete(self, it: Target) -> None:
        name = it.physical_id.rsplit("/", 1)[1]
        ignoring_absence(it.client("sagemaker").delete_model_package_group, ModelPackageGroupName=name)


@resource_type("AWS::SageMaker::Pipeline", name="PipelineName")
class Pipeline(ResourceType):
    """A pipeline; its definition is text or an S3 object."""

    def create(self, it: Target) -> Made:
        token = {"ClientRequestToken": it.name(64).replace("_", "-").rjust(32, "0")}
        it.call("sagemaker", "CreatePipeline", {**_pipeline(it.properties), **token})
        return Made(it.properties["PipelineName"])

    def update(self, it: Target) -> Made:
        it.call("sagemaker", "UpdatePipeline", without(_pipeline(it.properties), "Tags"))
        return Made(it.physical_id)

    def delete(self, it: Target) -> None:
        token = it.name(64).rjust(32, "0")
        delete = it.client("sagemaker").delete_pipeline
        ignoring_absence(delete, PipelineName=it.physical_id, ClientRequestToken=token)


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
