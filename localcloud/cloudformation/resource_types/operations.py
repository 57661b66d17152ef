# SPDX-License-Identifier: Apache-2.0
"""CloudWatch, its logs and Systems Manager parameters."""

from __future__ import annotations

from localcloud.cloudformation.resource_types.registry import (
    Made,
    ResourceType,
    Target,
    ignoring_absence,
    picked,
    resource_type,
    tag_map,
    without,
)


@resource_type("AWS::CloudWatch::Alarm", name="AlarmName")
class Alarm(ResourceType):
    """An alarm on a metric."""

    def create(self, it: Target) -> Made:
        return self.update(it.named(self.name_of(it, 255)))

    def update(self, it: Target) -> Made:
        it.call("cloudwatch", "PutMetricAlarm", {**it.properties, "AlarmName": it.physical_id})
        return Made(it.physical_id, {"Arn": it.arn("cloudwatch", f"alarm:{it.physical_id}")})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("cloudwatch").delete_alarms, AlarmNames=[it.physical_id])


@resource_type("AWS::CloudWatch::Dashboard", name="DashboardName")
class Dashboard(ResourceType):
    """A dashboard."""

    def create(self, it: Target) -> Made:
        return self.update(it.named(self.name_of(it, 255)))

    def update(self, it: Target) -> Made:
        body = {"DashboardName": it.physical_id, "DashboardBody": it.properties["DashboardBody"]}
        it.call("cloudwatch", "PutDashboard", body)
        return Made(it.physical_id)

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("cloudwatch").delete_dashboards, DashboardNames=[it.physical_id])


@resource_type("AWS::Logs::LogGroup", name="LogGroupName")
class LogGroup(ResourceType):
    """A log group."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 512)
        parameters = {"logGroupName": name, **picked(it.properties, "KmsKeyId", "LogGroupClass")}
        if tag_map(it.properties):
            parameters["tags"] = tag_map(it.properties)
        it.call("logs", "CreateLogGroup", parameters)
        it.claim(name)
        return self.update(it.named(name))

    def update(self, it: Target) -> Made:
        days = it.properties.get("RetentionInDays")
        if days:
            it.call("logs", "PutRetentionPolicy", {"logGroupName": it.physical_id, "retentionInDays": days})
        elif it.before.get("RetentionInDays"):
            it.client("logs").delete_retention_policy(logGroupName=it.physical_id)
        return Made(it.physical_id, {"Arn": it.arn("logs", f"log-group:{it.physical_id}:*")})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("logs").delete_log_group, logGroupName=it.physical_id)


@resource_type("AWS::SSM::Parameter", name="Name")
class Parameter(ResourceType):
    """A parameter."""

    also_given = frozenset({"Type", "Value"})

    def create(self, it: Target) -> Made:
        return self._put(it, self.name_of(it, 512), overwrite=False)

    def update(self, it: Target) -> Made:
        return self._put(it, it.physical_id, overwrite=True)

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("ssm").delete_parameter, Name=it.physical_id)

    def _put(self, it: Target, name: str, *, overwrite: bool) -> Made:
        it.call("ssm", "PutParameter", {**without(it.properties, "Tags"), "Name": name, "Overwrite": overwrite})
        return Made(name, picked(it.properties, "Type", "Value"))
