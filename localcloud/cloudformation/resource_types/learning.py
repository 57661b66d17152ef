# SPDX-License-Identifier: Apache-2.0
"""SageMaker."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from localcloud.cloudformation.resource_types.registry import (
    Made,
    Properties,
    ReplacementNeeded,
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


@resource_type("AWS::SageMaker::Model", name="ModelName")
class Model(ResourceType):
    """A model."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 63)
        arn = it.call("sagemaker", "CreateModel", {**it.properties, "ModelName": name})["ModelArn"]
        return Made(arn, {"ModelName": name, "Id": arn})

    def delete(self, it: Target) -> None:
        name = it.physical_id.rsplit("/", 1)[1]
        ignoring_absence(it.client("sagemaker").delete_model, ModelName=name)


@resource_type("AWS::SageMaker::EndpointConfig", name="EndpointConfigName")
class EndpointConfig(ResourceType):
    """An endpoint configuration; never changed in place."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 63)
        parameters = {**it.properties, "EndpointConfigName": name}
        arn = it.call("sagemaker", "CreateEndpointConfig", parameters)["EndpointConfigArn"]
        return Made(arn, {"EndpointConfigName": name, "Id": arn})

    def delete(self, it: Target) -> None:
        name = it.physical_id.rsplit("/", 1)[1]
        ignoring_absence(it.client("sagemaker").delete_endpoint_config, EndpointConfigName=name)


@resource_type("AWS::SageMaker::Endpoint", name="EndpointName", replaced_by=("Tags",))
class Endpoint(ResourceType):
    """An endpoint; CloudFormation waits until it is in service."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 63)
        plain = without(it.properties, "ExcludeRetainedVariantProperties", "RetainAllVariantProperties")
        arn = it.call("sagemaker", "CreateEndpoint", {**plain, "EndpointName": name})["EndpointArn"]
        it.claim(arn)
        return self._await(it, name, arn)

    def update(self, it: Target) -> Made:
        name = it.physical_id.rsplit("/", 1)[1]
        arn = it.call("sagemaker", "UpdateEndpoint", {**without(it.properties, "Tags"), "EndpointName": name})
        return self._await(it, name, arn["EndpointArn"])

    def delete(self, it: Target) -> None:
        sagemaker = it.client("sagemaker")
        name = it.physical_id.rsplit("/", 1)[1]
        ignoring_absence(sagemaker.delete_endpoint, EndpointName=name)
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})

    def _await(self, it: Target, name: str, arn: str) -> Made:
        sagemaker = it.client("sagemaker")
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
        return Made(arn, {"EndpointName": name, "Id": arn})


class _Simple(ResourceType):
    """A SageMaker resource whose properties are its Create operation's parameters."""

    noun = ""

    def create(self, it: Target) -> Made:
        name_key = f"{self.noun}Name"
        name = it.properties.get(name_key) or it.name(63)
        answer = it.call("sagemaker", f"Create{self.noun}", {**it.properties, name_key: name})
        arn = str(answer.get(f"{self.noun}Arn", name))
        return Made(arn, {f"{self.noun}Arn": arn, name_key: name})

    def update(self, it: Target) -> Made:
        name = it.physical_id.rsplit("/", 1)[-1]
        plain = {**without(it.properties, "Tags"), f"{self.noun}Name": name}
        try:
            it.call("sagemaker", f"Update{self.noun}", plain)
        except (ClientError, ValueError) as error:
            raise ReplacementNeeded from error
        return Made(it.physical_id, {f"{self.noun}Arn": it.physical_id, f"{self.noun}Name": name})

    def delete(self, it: Target) -> None:
        name = it.physical_id.rsplit("/", 1)[-1]
        operation = getattr(it.client("sagemaker"), f"delete_{_snake(self.noun)}")
        ignoring_absence(operation, **{f"{self.noun}Name": name})


def _snake(noun: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in noun).lstrip("_")


for _noun in ("MonitoringSchedule", "DataQualityJobDefinition", "ModelQualityJobDefinition"):
    resource_type(f"AWS::SageMaker::{_noun}", name=f"{_noun}Name")(type(_noun, (_Simple,), {"noun": _noun}))
