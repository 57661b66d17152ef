# SPDX-License-Identifier: Apache-2.0
"""SNS, SQS and EventBridge rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.cloudformation.resource_types.registry import PutType, ResourceType, Target, resource_type

_TOPIC_ATTRIBUTES = ("DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig", "DeliveryPolicy")


@resource_type("AWS::SNS::Topic", name="TopicName", gives={"TopicArn": "{id}", "TopicName": "{short_id}"})
class Topic(ResourceType):
    """A topic with its subscriptions."""

    def exists(self, it: Target, name: str) -> bool:
        arn = f"arn:aws:sns:{it.stack.region}:{it.stack.account}:{name}"
        return it.finds("sns", "GetTopicAttributes", {"TopicArn": arn})

    def create(self, it: Target) -> str:
        parameters = {"Name": self.name_of(it, 256), "Attributes": it.picked(*_TOPIC_ATTRIBUTES), "Tags": it.tags}
        arn = str(it.call("sns", "CreateTopic", parameters)["TopicArn"])
        it.claim(arn)
        for one in it.properties.get("Subscription", []):
            it.call("sns", "Subscribe", {"TopicArn": arn, **one})
        return arn

    def update(self, it: Target) -> str:
        for key in filter(it.changed, _TOPIC_ATTRIBUTES):
            attribute = {"AttributeName": key, "AttributeValue": it.properties.get(key, "")}
            it.call("sns", "SetTopicAttributes", {"TopicArn": it.physical_id, **attribute})
        return it.physical_id

    def delete(self, it: Target) -> None:
        sns = it.client("sns")
        try:
            subscriptions = sns.list_subscriptions_by_topic(TopicArn=it.physical_id)["Subscriptions"]
        except sns.exceptions.NotFoundException:
            return
        for subscription in subscriptions:
            it.drop("sns", "Unsubscribe", {"SubscriptionArn": subscription["SubscriptionArn"]})
        it.drop("sns", "DeleteTopic", {"TopicArn": it.physical_id})


@resource_type("AWS::SNS::Subscription", gives={"Arn": "{id}"}, deletes=("sns", "Unsubscribe", "SubscriptionArn"))
class Subscription(ResourceType):
    """One subscriber of a topic."""

    def create(self, it: Target) -> str:
        attributes = it.picked("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy")
        where = it.picked("TopicArn", "Protocol", "Endpoint")
        parameters = {**where, "Attributes": attributes, "ReturnSubscriptionArn": True}
        return str(it.call("sns", "Subscribe", parameters)["SubscriptionArn"])


@resource_type("AWS::SNS::TopicPolicy", gives={"Id": "{id}"})
class TopicPolicy(PutType):
    """The policy of some topics."""

    def put(self, it: Target) -> None:
        policy = {"AttributeName": "Policy", "AttributeValue": it.properties["PolicyDocument"]}
        for topic in it.properties["Topics"]:
            it.call("sns", "SetTopicAttributes", {"TopicArn": topic, **policy})


@resource_type(
    "AWS::SQS::Queue",
    name="QueueName",
    gives={"Arn": "arn:aws:sqs:{region}:{account}:{short_id}", "QueueName": "{short_id}", "QueueUrl": "{id}"},
    deletes=("sqs", "DeleteQueue", "QueueUrl"),
)
class Queue(ResourceType):
    """A queue; Ref gives its URL."""

    def exists(self, it: Target, name: str) -> bool:
        return it.finds("sqs", "GetQueueUrl", {"QueueName": name})

    def create(self, it: Target) -> str:
        fifo = ".fifo" if it.properties.get("FifoQueue") else ""
        name = it.properties.get("QueueName") or it.name(80 - len(fifo)) + fifo
        parameters = {"QueueName": name, "Attributes": it.picked(*_queue_attributes(it)), "tags": it.tag_map}
        return str(it.call("sqs", "CreateQueue", parameters)["QueueUrl"])

    def update(self, it: Target) -> str:
        attributes = it.picked(*filter(it.changed, _queue_attributes(it)))
        if attributes:
            it.call("sqs", "SetQueueAttributes", {"QueueUrl": it.physical_id, "Attributes": attributes})
        return it.physical_id


def _queue_attributes(it: Target) -> list[str]:
    """SQS calls a queue's attributes as CloudFormation calls its properties."""
    names: list[str] = it.client("sqs").meta.service_model.shape_for("QueueAttributeName").enum
    return names


@resource_type("AWS::SQS::QueuePolicy", gives={"Id": "{id}"})
class QueuePolicy(PutType):
    """The policy of some queues."""

    def put(self, it: Target) -> None:
        policy = {"Attributes": {"Policy": it.properties["PolicyDocument"]}}
        for queue in it.properties["Queues"]:
            it.call("sqs", "SetQueueAttributes", {"QueueUrl": queue, **policy})

    def delete(self, it: Target) -> None:
        for queue in it.properties["Queues"]:
            it.drop("sqs", "SetQueueAttributes", {"QueueUrl": queue, "Attributes": {"Policy": ""}})


@resource_type("AWS::Events::Rule", name="Name")
class Rule(PutType):
    """A rule and its targets."""

    def exists(self, it: Target, name: str) -> bool:
        return it.finds("events", "DescribeRule", {**it.picked("EventBusName"), "Name": name})

    def put(self, it: Target) -> None:
        made = it.call("events", "PutRule", {**it.without("Targets"), "Name": it.physical_id})
        it.told.update(Arn=made["RuleArn"])
        it.claim(it.physical_id)
        wanted = it.properties.get("Targets", [])
        self._remove_targets(it, _ids(it.before) - _ids(it.properties))
        if wanted:
            bus = it.picked("EventBusName")
            it.call("events", "PutTargets", {**bus, "Rule": it.physical_id, "Targets": wanted})

    def delete(self, it: Target) -> None:
        self._remove_targets(it, _ids(it.properties))
        it.drop("events", "DeleteRule", {**it.picked("EventBusName"), "Name": it.physical_id})

    def _remove_targets(self, it: Target, ids: set[str]) -> None:
        if ids:
            bus = it.picked("EventBusName")
            it.drop("events", "RemoveTargets", {**bus, "Rule": it.physical_id, "Ids": sorted(ids)})


def _ids(properties: Mapping[str, Any]) -> set[str]:
    return {target["Id"] for target in properties.get("Targets", [])}
