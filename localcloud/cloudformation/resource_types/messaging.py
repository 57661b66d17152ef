# SPDX-License-Identifier: Apache-2.0
"""SNS, SQS and EventBridge rules."""

from __future__ import annotations

import json
from typing import Any

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

_TOPIC_ATTRIBUTES = ("DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig", "DeliveryPolicy")
_QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DelaySeconds",
    "FifoQueue",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


@resource_type("AWS::SNS::Topic", name="TopicName")
class Topic(ResourceType):
    """A topic with its subscriptions."""

    also_given = frozenset({"TopicName"})

    def create(self, it: Target) -> Made:
        name = self.name_of(it, 256)
        attributes = {key: _text(it.properties[key]) for key in _TOPIC_ATTRIBUTES if key in it.properties}
        tags = [{"Key": key, "Value": value} for key, value in tag_map(it.properties).items()]
        arn = it.client("sns").create_topic(Name=name, Attributes=attributes, Tags=tags)["TopicArn"]
        it.claim(arn)
        for one in it.properties.get("Subscription", []):
            it.client("sns").subscribe(TopicArn=arn, Protocol=one["Protocol"], Endpoint=one["Endpoint"])
        return Made(arn, {"TopicArn": arn, "TopicName": name})

    def update(self, it: Target) -> Made:
        for key in _TOPIC_ATTRIBUTES:
            if it.properties.get(key) != it.before.get(key):
                value = _text(it.properties.get(key, ""))
                it.client("sns").set_topic_attributes(TopicArn=it.physical_id, AttributeName=key, AttributeValue=value)
        return Made(it.physical_id, {"TopicArn": it.physical_id, "TopicName": it.physical_id.rsplit(":", 1)[1]})

    def delete(self, it: Target) -> None:
        sns = it.client("sns")
        try:
            subscriptions = sns.list_subscriptions_by_topic(TopicArn=it.physical_id)["Subscriptions"]
        except sns.exceptions.NotFoundException:
            return
        for subscription in subscriptions:
            ignoring_absence(sns.unsubscribe, SubscriptionArn=subscription["SubscriptionArn"])
        ignoring_absence(sns.delete_topic, TopicArn=it.physical_id)


@resource_type("AWS::SNS::Subscription")
class Subscription(ResourceType):
    """One subscriber of a topic."""

    def create(self, it: Target) -> Made:
        attributes = {
            key: _text(it.properties[key])
            for key in ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy")
            if key in it.properties
        }
        arn = it.client("sns").subscribe(
            TopicArn=it.properties["TopicArn"],
            Protocol=it.properties["Protocol"],
            Endpoint=it.properties["Endpoint"],
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return Made(arn, {"Arn": arn})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("sns").unsubscribe, SubscriptionArn=it.physical_id)


@resource_type("AWS::SNS::TopicPolicy")
class TopicPolicy(ResourceType):
    """The policy of some topics."""

    def create(self, it: Target) -> Made:
        name = it.name()
        return self.update(it.named(name))

    def update(self, it: Target) -> Made:
        document = json.dumps(it.properties["PolicyDocument"])
        for topic in it.properties["Topics"]:
            it.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document)
        return Made(it.physical_id, {"Id": it.physical_id})


@resource_type("AWS::SQS::Queue", name="QueueName")
class Queue(ResourceType):
    """A queue; Ref gives its URL."""

    also_given = frozenset({"QueueName"})

    def create(self, it: Target) -> Made:
        fifo = ".fifo" if it.properties.get("FifoQueue") else ""
        name = it.properties.get("QueueName") or it.name(80 - len(fifo)) + fifo
        attributes = {key: _text(it.properties[key]) for key in _QUEUE_ATTRIBUTES if key in it.properties}
        url = it.client("sqs").create_queue(QueueName=name, Attributes=attributes, tags=tag_map(it.properties))
        return Made(url["QueueUrl"], {"Arn": it.arn("sqs", name), "QueueName": name, "QueueUrl": url["QueueUrl"]})

    def update(self, it: Target) -> Made:
        attributes = {
            key: _text(it.properties.get(key, ""))
            for key in _QUEUE_ATTRIBUTES
            if it.properties.get(key) != it.before.get(key) and key in it.properties
        }
        if attributes:
            it.client("sqs").set_queue_attributes(QueueUrl=it.physical_id, Attributes=attributes)
        name = it.physical_id.rsplit("/", 1)[1]
        return Made(it.physical_id, {"Arn": it.arn("sqs", name), "QueueName": name, "QueueUrl": it.physical_id})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("sqs").delete_queue, QueueUrl=it.physical_id)


@resource_type("AWS::SQS::QueuePolicy")
class QueuePolicy(ResourceType):
    """The policy of some queues."""

    def create(self, it: Target) -> Made:
        return self.update(it.named(it.name()))

    def update(self, it: Target) -> Made:
        document = json.dumps(it.properties["PolicyDocument"])
        for queue in it.properties["Queues"]:
            it.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document})
        return Made(it.physical_id, {"Id": it.physical_id})

    def delete(self, it: Target) -> None:
        for queue in it.properties["Queues"]:
            ignoring_absence(it.client("sqs").set_queue_attributes, QueueUrl=queue, Attributes={"Policy": ""})


@resource_type("AWS::Events::Rule", name="Name")
class Rule(ResourceType):
    """A rule and its targets."""

    def create(self, it: Target) -> Made:
        return self.update(it.named(self.name_of(it, 64)))

    def update(self, it: Target) -> Made:
        events = it.client("events")
        bus = picked(it.properties, "EventBusName")
        plain = without(it.properties, "Targets", "EventPattern")
        if "EventPattern" in it.properties:
            plain["EventPattern"] = json.dumps(it.properties["EventPattern"])
        arn = it.call("events", "PutRule", {**plain, "Name": it.physical_id})["RuleArn"]
        it.claim(it.physical_id)
        wanted = it.properties.get("Targets", [])
        gone = {target["Id"] for target in it.before.get("Targets", [])} - {target["Id"] for target in wanted}
        if gone:
            events.remove_targets(Rule=it.physical_id, Ids=sorted(gone), **bus)
        if wanted:
            it.call("events", "PutTargets", {**bus, "Rule": it.physical_id, "Targets": wanted})
        return Made(it.physical_id, {"Arn": arn})

    def delete(self, it: Target) -> None:
        events = it.client("events")
        bus = picked(it.properties, "EventBusName")
        ids = [target["Id"] for target in it.properties.get("Targets", [])]
        if ids:
            ignoring_absence(events.remove_targets, Rule=it.physical_id, Ids=ids, **bus)
        ignoring_absence(events.delete_rule, Name=it.physical_id, **bus)
