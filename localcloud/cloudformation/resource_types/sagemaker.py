# SPDX-License-Identifier: Apache-2.0
"""SageMaker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.cloudformation.resource_types.registry import ResourceType, Target, resource_type


@resource_type(
    "AWS::SageMaker::ModelPackageGroup", name="ModelPackageGroupName", gives={"ModelPackageGroupArn": "{id}"}
)
class ModelPackageGroup(ResourceType):
    """A group of model versions. SageMaker does not delete one that holds versions."""

    def exists(self, it: Target, name: str) -> bool:
        return it.finds("sagemaker", "DescribeModelPackageGroup", {"ModelPackageGroupName": name})

    def adopt(self, it: Target, identifier: Mapping[str, str]) -> str:
        return self.update(it.named(super().adopt(it, identifier)))

    def create(self, it: Target) -> str:
        plain = it.without("ModelPackageGroupPolicy")
        arn = it.call("sagemaker", "CreateModelPackageGroup", plain)["ModelPackageGroupArn"]
        it.claim(arn)
        return self.update(it.named(arn))

    def update(self, it: Target) -> str:
        name = it.picked("ModelPackageGroupName")
        if "ModelPackageGroupPolicy" in it.properties:
            policy = it.properties["ModelPackageGroupPolicy"]
            it.call("sagemaker", "PutModelPackageGroupPolicy", {**name, "ResourcePolicy": policy})
        group = it.call("sagemaker", "DescribeModelPackageGroup", name)
        status, created = group["ModelPackageGroupStatus"], str(group["CreationTime"])
        it.told.update(ModelPackageGroupStatus=status, CreationTime=created)
        return it.physical_id

    def delete(self, it: Target) -> None:
        it.drop("sagemaker", "DeleteModelPackageGroup", {"ModelPackageGroupName": it.short_id})


@resource_type("AWS::SageMaker::Pipeline", name="PipelineName", deletes=("sagemaker", "DeletePipeline", "PipelineName"))
class Pipeline(ResourceType):
    """A pipeline; its definition is text or an S3 object."""

    def create(self, it: Target) -> str:
        it.call("sagemaker", "CreatePipeline", _pipeline(it))
        return str(it.properties["PipelineName"])

    def update(self, it: Target) -> str:
        it.call("sagemaker", "UpdatePipeline", {key: value for key, value in _pipeline(it).items() if key != "Tags"})
        return it.physical_id


def _pipeline(it: Target) -> dict[str, Any]:
    definition = it.properties["PipelineDefinition"]
    plain = it.without("PipelineDefinition")
    if "PipelineDefinitionBody" in definition:
        return {**plain, "PipelineDefinition": definition["PipelineDefinitionBody"]}
    location = definition["PipelineDefinitionS3Location"]
    where = {"Bucket": location["Bucket"], "ObjectKey": location["Key"]}
    if "Version" in location:
        where["VersionId"] = location["Version"]
    return {**plain, "PipelineDefinitionS3Location": where}
