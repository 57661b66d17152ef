# SPDX-License-Identifier: Apache-2.0
"""CloudWatch, its logs and Systems Manager parameters."""

from __future__ import annotations

from typing import Any

from localcloud.cloudformation.resource_types.registry import PutType, ResourceType, Target, resource_type


@resource_type(
    "AWS::CloudWatch::Alarm", name="AlarmName", gives={"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{id}"}
)
class Alarm(PutType):
    """An alarm on a metric."""

    def exists(self, it: Target, name: str) -> bool:
        return bool(it.call("cloudwatch", "DescribeAlarms", {"AlarmNames": [name]}).get("MetricAlarms"))

    def put(self, it: Target) -> None:
        it.call("cloudwatch", "PutMetricAlarm", {**it.properties, "AlarmName": it.physical_id})

    def delete(self, it: Target) -> None:
        it.drop("cloudwatch", "DeleteAlarms", {"AlarmNames": [it.physical_id]})


@resource_type("AWS::CloudWatch::Dashboard", name="DashboardName")
class Dashboard(PutType):
    """A dashboard."""

    def exists(self, it: Target, name: str) -> bool:
        return it.finds("cloudwatch", "GetDashboard", {"DashboardName": name})

    def put(self, it: Target) -> None:
        it.call("cloudwatch", "PutDashboard", {**it.picked("DashboardBody"), "DashboardName": it.physical_id})

    def delete(self, it: Target) -> None:
        it.drop("cloudwatch", "DeleteDashboards", {"DashboardNames": [it.physical_id]})


@resource_type(
    "AWS::Logs::LogGroup",
    name="LogGroupName",
    gives={"Arn": "arn:aws:logs:{region}:{account}:log-group:{id}:*"},
    deletes=("logs", "DeleteLogGroup", "logGroupName"),
)
class LogGroup(ResourceType):
    """A log group."""

    def create(self, it: Target) -> str:
        name = self.name_of(it, 512)
        parameters: dict[str, Any] = {"logGroupName": name, **it.picked("KmsKeyId", "LogGroupClass")}
        it.call("logs", "CreateLogGroup", {**parameters, **({"tags": it.tag_map} if it.tags else {})})
        it.claim(name)
        return self.update(it.named(name))

    def update(self, it: Target) -> str:
        name = {"logGroupName": it.physical_id}
        if it.properties.get("RetentionInDays"):
            it.call("logs", "PutRetentionPolicy", {**name, **it.picked("RetentionInDays")})
        elif it.before.get("RetentionInDays"):
            it.call("logs", "DeleteRetentionPolicy", name)
        return it.physical_id


@resource_type(
    "AWS::SSM::Parameter",
    name="Name",
    gives={"Type": "{properties[Type]}", "Value": "{properties[Value]}"},
    deletes=("ssm", "DeleteParameter", "Name"),
)
class Parameter(ResourceType):
    """A parameter."""

    def create(self, it: Target) -> str:
        name = self.name_of(it, 512)
        it.call("ssm", "PutParameter", {**it.without("Tags"), "Name": name})
        return name

    def update(self, it: Target) -> str:
        it.call("ssm", "PutParameter", {**it.without("Tags"), "Name": it.physical_id, "Overwrite": True})
        return it.physical_id
