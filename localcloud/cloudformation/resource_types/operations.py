# SPDX-License-Identifier: Apache-2.0
"""CloudWatch, its logs, Systems Manager parameters and Application Auto Scaling."""

from __future__ import annotations

from typing import Any

from localcloud.cloudformation.resource_types.registry import (
    Made,
    Properties,
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


@resource_type("AWS::CloudWatch::CompositeAlarm", name="AlarmName")
class CompositeAlarm(Alarm):
    """An alarm on other alarms."""

    def update(self, it: Target) -> Made:
        it.call("cloudwatch", "PutCompositeAlarm", {**it.properties, "AlarmName": it.physical_id})
        return Made(it.physical_id, {"Arn": it.arn("cloudwatch", f"alarm:{it.physical_id}")})


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


@resource_type("AWS::Logs::MetricFilter", name="FilterName", replaced_by=("LogGroupName",))
class MetricFilter(ResourceType):
    """A metric drawn from log lines."""

    def create(self, it: Target) -> Made:
        return self.update(it.named(self.name_of(it, 512)))

    def update(self, it: Target) -> Made:
        it.call("logs", "PutMetricFilter", {**it.properties, "FilterName": it.physical_id})
        return Made(it.physical_id)

    def delete(self, it: Target) -> None:
        remove = it.client("logs").delete_metric_filter
        ignoring_absence(remove, logGroupName=it.properties["LogGroupName"], filterName=it.physical_id)


@resource_type("AWS::Logs::ResourcePolicy", name="PolicyName")
class LogsPolicy(ResourceType):
    """Who may write to log groups."""

    def create(self, it: Target) -> Made:
        return self.update(it.named(it.properties["PolicyName"]))

    def update(self, it: Target) -> Made:
        it.call("logs", "PutResourcePolicy", it.properties)
        return Made(it.physical_id)

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("logs").delete_resource_policy, policyName=it.physical_id)


@resource_type("AWS::SSM::Parameter", name="Name", replaced_by=("Type",))
class Parameter(ResourceType):
    """A parameter."""

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 512)
        plain = {**without(it.properties, "Tags"), "Name": name}
        it.call("ssm", "PutParameter", plain)
        return self._made(name, it.properties)

    def update(self, it: Target) -> Made:
        plain = {**without(it.properties, "Tags"), "Name": it.physical_id, "Overwrite": True}
        it.call("ssm", "PutParameter", plain)
        return self._made(it.physical_id, it.properties)

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("ssm").delete_parameter, Name=it.physical_id)

    def _made(self, name: str, properties: Properties) -> Made:
        return Made(name, {"Type": properties["Type"], "Value": properties["Value"]})


@resource_type(
    "AWS::ApplicationAutoScaling::ScalableTarget",
    replaced_by=("ResourceId", "ScalableDimension", "ServiceNamespace"),
)
class ScalableTarget(ResourceType):
    """Something that may be scaled, and between which bounds."""

    def create(self, it: Target) -> Made:
        plain = without(it.properties, "ScheduledActions", "RoleARN")
        it.call("application-autoscaling", "RegisterScalableTarget", plain)
        key = "|".join(it.properties[part] for part in ("ResourceId", "ScalableDimension", "ServiceNamespace"))
        return Made(key, {"Id": key})

    def update(self, it: Target) -> Made:
        return self.create(it)

    def delete(self, it: Target) -> None:
        target = picked(it.properties, "ResourceId", "ScalableDimension", "ServiceNamespace")
        ignoring_absence(it.client("application-autoscaling").deregister_scalable_target, **target)


@resource_type(
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    name="PolicyName",
    replaced_by=("ResourceId", "ScalableDimension", "ServiceNamespace", "ScalingTargetId"),
)
class ScalingPolicy(ResourceType):
    """When to scale."""

    def create(self, it: Target) -> Made:
        parameters = {**without(it.properties, "ScalingTargetId"), **_target(it.properties)}
        arn = it.call("application-autoscaling", "PutScalingPolicy", parameters)["PolicyARN"]
        return Made(arn, {"Arn": arn})

    def update(self, it: Target) -> Made:
        return self.create(it)

    def delete(self, it: Target) -> None:
        parameters = {"PolicyName": it.properties["PolicyName"], **_target(it.properties)}
        ignoring_absence(it.client("application-autoscaling").delete_scaling_policy, **parameters)


def _target(properties: Properties) -> dict[str, Any]:
    names = ("ResourceId", "ScalableDimension", "ServiceNamespace")
    if "ScalingTargetId" in properties:
        return dict(zip(names, properties["ScalingTargetId"].split("|"), strict=True))
    return picked(properties, *names)
