# SPDX-License-Identifier: Apache-2.0
"""What wakes the deployer, what it is told, and what outlives it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from moto.events.models import EventPattern

from infra.floor_policy import BUNDLED
from localcloud.authorisation.enforcement import service_may
from tests.infra.stacks.test_roles import grants


def rule(assembly: Any, name: str) -> dict[str, Any]:
    (found,) = [
        each["Properties"]
        for each in assembly.resources("AWS::Events::Rule").values()
        if each["Properties"]["Name"] == f"mapgate-dev-{name}"
    ]
    return dict(found)


def matches(pattern: dict[str, Any], event: Any) -> bool:
    return bool(EventPattern.load(json.dumps(pattern)).matches_event(event))


def decision(**detail: Any) -> dict[str, Any]:
    return {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Package State Change",
        "detail": {
            "ModelPackageGroupName": "mapgate-dev",
            "ModelApprovalStatus": "Approved",
            "UpdatedModelPackageFields": ["ModelApprovalStatus"],
            **detail,
        },
    }


def test_decisions_wake_the_deployer_and_edits_do_not(dev: Any) -> None:
    pattern = rule(dev, "decisions")["EventPattern"]
    assert matches(pattern, decision())
    assert matches(pattern, decision(ModelApprovalStatus="Rejected"))
    assert matches(pattern, decision(UpdatedModelPackageFields=["ApprovalDescription", "ModelApprovalStatus"]))
    assert not matches(pattern, decision(UpdatedModelPackageFields=["CustomerMetadataProperties"]))
    assert not matches(pattern, decision(ModelPackageGroupName="another"))
    assert matches(pattern, decision(ModelApprovalStatus="PendingManualApproval"))
    assert not matches(
        pattern, decision(ModelApprovalStatus="PendingManualApproval", UpdatedModelPackageFields=["ModelLifeCycle"])
    )


def test_a_clock_wakes_the_deployer_too(dev: Any) -> None:
    clock = rule(dev, "look")
    assert clock["ScheduleExpression"] == "rate(15 minutes)"
    assert "EventPattern" not in clock
    assert clock["Targets"][0]["DeadLetterConfig"]
    permissions = [json.dumps(each["Properties"]) for each in dev.resources("AWS::Lambda::Permission").values()]
    (logical,) = [
        name
        for name, each in dev.resources("AWS::Events::Rule").items()
        if each["Properties"]["Name"].endswith("-look")
    ]
    assert any(logical in permission for permission in permissions)


def test_own_endpoints_wake_the_deployer(dev: Any) -> None:
    pattern = rule(dev, "endpoints")["EventPattern"]

    def event(name: str, kind: str = "SageMaker Endpoint State Change") -> dict[str, Any]:
        return {"source": "aws.sagemaker", "detail-type": kind, "detail": {"EndpointName": name}}

    assert matches(pattern, event("mapgate-dev"))
    assert matches(pattern, event("mapgate-dev", "SageMaker Endpoint Deployment State Change"))
    assert matches(pattern, event("mapgate-dev-candidate-7"))
    assert not matches(pattern, event("mapgate-prod"))
    assert not matches(pattern, event("mapgate-development"))


def test_nothing_that_fails_is_lost(dev: Any) -> None:
    for each in dev.resources("AWS::Events::Rule").values():
        for target in each["Properties"]["Targets"]:
            assert target["DeadLetterConfig"]["Arn"]
    callback = queue(dev, "callback")
    assert callback["RedrivePolicy"]["maxReceiveCount"] >= 5
    deployer = function(dev, "deployer")
    assert callback["VisibilityTimeout"] >= 6 * deployer["Timeout"]
    assert deployer["DeadLetterConfig"]["TargetArn"]


def test_callback_that_nobody_could_handle_fails_its_step(dev: Any) -> None:
    queues = dev.resources("AWS::SQS::Queue", "delivery")
    (abandoned,) = [name for name, each in queues.items() if each["Properties"] == queue(dev, "callback-dead-letters")]
    assert queue(dev, "callback")["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0] == abandoned
    (taker,) = [
        each["Properties"]["FunctionName"]["Ref"]
        for each in dev.resources("AWS::Lambda::EventSourceMapping", "delivery").values()
        if each["Properties"]["EventSourceArn"]["Fn::GetAtt"][0] == abandoned
    ]
    assert dev.resources("AWS::Lambda::Function")[taker]["Properties"] == function(dev, "step-failures")
    (people,) = [name for name, each in queues.items() if each["Properties"] == queue(dev, "delivery-dead-letters")]
    assert queue(dev, "callback-dead-letters")["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0] == people


def queue(assembly: Any, name: str) -> dict[str, Any]:
    (found,) = [
        each["Properties"]
        for each in assembly.resources("AWS::SQS::Queue", "delivery").values()
        if each["Properties"]["QueueName"] == f"mapgate-dev-{name}"
    ]
    return dict(found)


def function(assembly: Any, name: str) -> dict[str, Any]:
    (found,) = [
        each["Properties"]
        for each in assembly.resources("AWS::Lambda::Function").values()
        if each["Properties"]["FunctionName"] == f"mapgate-dev-{name}"
    ]
    return dict(found)


def test_deployer_is_told_what_it_needs(dev: Any) -> None:
    told = function(dev, "deployer")["Environment"]["Variables"]
    assert set(told) == {
        "BUCKET",
        "CALLBACK_QUEUE_URL",
        "CANARY_PERCENT",
        "DATA_CAPTURE_PERCENT",
        "ENDPOINT_NAME",
        "EXECUTION_ROLE_ARN",
        "FLOOR_POLICY_SHA256",
        "INFERENCE_INSTANCE_COUNT",
        "INFERENCE_INSTANCE_TYPE",
        "INFERENCE_REPOSITORY",
        "KMS_KEY_ARN",
        "LATENCY_ALARM_MILLISECONDS",
        "MODEL_PACKAGE_GROUP",
        "PREFIX",
        "SIGNING_KEY_ARN",
        "TABLE",
        "TOPIC_ARN",
    }
    assert told["FLOOR_POLICY_SHA256"] == hashlib.sha256(BUNDLED.read_bytes()).hexdigest()
    (deliveries,) = dev.resources("Custom::Deliveries").values()
    hosting = deliveries["Properties"]["Hosting"]
    assert {"INFERENCE_INSTANCE_TYPE", "INFERENCE_INSTANCE_COUNT", "DATA_CAPTURE_PERCENT", "KMS_KEY_ARN"} <= set(
        hosting
    )
    assert {name: told[name] for name in hosting} == hosting  # so that a change of any of them wakes the deployer


def test_deployer_reads_what_a_verdict_rests_on_and_writes_what_it_releases_and_signs(dev: Any) -> None:
    granted = grants(dev)["deployer-function"]
    prefixes = {
        "s3:GetObject": {"executions", "models", "released", "evidence"},
        "s3:GetObjectVersion": {"models"},
        "s3:PutObject": {"released", "evidence"},
    }
    found = {action: set(re.findall(r"/(\w+)/\*", granted[action])) for action in prefixes}
    assert found == prefixes
    assert "s3:DeleteObject" not in granted
    assert granted["kms:Sign"] == granted["kms:Verify"]
    assert granted["ecr:DescribeImages"].count("InferenceImages") == 1
    for action in ("sagemaker:DescribeModel", "sagemaker:DescribeEndpointConfig"):
        assert "/mapgate-dev-v*" in granted[action] and "/mapgate-dev-candidate-*" in granted[action]


def test_model_reads_released_artifacts_alone(dev: Any) -> None:
    assert re.findall(r"/(\w+)/\*", grants(dev)["model"]["s3:GetObject"]) == ["released"]


def test_deployer_has_time_and_a_processor_to_hash_an_artifact_twice(dev: Any) -> None:
    """1,769 MB come with one processor; less memory comes with a share of one.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
    """
    deployer = function(dev, "deployer")
    assert (deployer["Timeout"], deployer["MemorySize"]) == (600, 1769)


def test_deployer_makes_and_removes_alarms_of_its_own_names_only(dev: Any) -> None:
    statements = [
        statement
        for policy in dev.resources("AWS::IAM::Policy", "delivery").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "cloudwatch:PutMetricAlarm" in statement["Action"]
    ]
    (statement,) = statements
    assert set(statement["Action"]) == {"cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"}
    assert json.dumps(statement["Resource"]).count(":alarm:mapgate-dev-v*") == 1


def test_records_can_be_restored(dev: Any) -> None:
    (table,) = dev.resources("AWS::DynamoDB::Table").values()
    properties = table["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"]["SSEType"] == "KMS"
    assert [(key["AttributeName"], key["KeyType"]) for key in properties["KeySchema"]] == [
        ("EndpointName", "HASH"),
        ("Record", "RANGE"),
    ]


def test_deliveries_go_before_what_their_removal_needs(dev: Any) -> None:
    (logical,) = dev.resources("Custom::Deliveries")
    depends = set(dev.templates["delivery"]["Resources"][logical]["DependsOn"])
    kinds = ("AWS::DynamoDB::Table", "AWS::IAM::Policy", "AWS::Lambda::Function")
    needed = {name for kind in kinds for name in dev.resources(kind, "delivery") if not name.startswith("StepFailures")}
    assert len(needed) >= 3
    assert needed <= depends


def test_everything_that_waits_or_tells_is_encrypted_and_tls_only(dev: Any) -> None:
    (topic,) = dev.resources("AWS::SNS::Topic").values()
    assert topic["Properties"]["KmsMasterKeyId"]
    queues = dev.resources("AWS::SQS::Queue")
    assert all(each["Properties"]["KmsMasterKeyId"] for each in queues.values())
    policies = [*dev.resources("AWS::SQS::QueuePolicy").values(), *dev.resources("AWS::SNS::TopicPolicy").values()]
    assert len(policies) == len(queues) + 1
    for policy in policies:
        conditions = [each.get("Condition") for each in policy["Properties"]["PolicyDocument"]["Statement"]]
        assert {"Bool": {"aws:SecureTransport": "false"}} in conditions


def test_logs_end_and_are_encrypted(dev: Any) -> None:
    groups = dev.resources("AWS::Logs::LogGroup").values()
    assert len(groups) == 7
    assert all(each["Properties"]["RetentionInDays"] == 30 and each["Properties"]["KmsKeyId"] for each in groups)


def test_failed_executions_and_alarms_reach_people(dev: Any) -> None:
    pattern = rule(dev, "failed-executions")["EventPattern"]
    event: dict[str, Any] = {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Building Pipeline Execution Status Change",
        "detail": {
            "pipelineArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev",
            "currentPipelineExecutionStatus": "Failed",
        },
    }
    assert matches(pattern, event)
    assert not matches(pattern, {**event, "detail": {**event["detail"], "currentPipelineExecutionStatus": "Succeeded"}})
    alarms = {
        each["Properties"]["AlarmName"]: each["Properties"] for each in dev.resources("AWS::CloudWatch::Alarm").values()
    }
    assert {"mapgate-dev-deployer-errors", "mapgate-dev-delivery-dead-letters"} <= set(alarms)
    assert all(alarm["AlarmActions"] for alarm in alarms.values())


@pytest.mark.parametrize(("account", "let_in"), [("123456789012", True), ("210987654321", False)])
def test_alarms_of_this_account_alone_may_publish_to_the_encrypted_topic(dev: Any, account: str, let_in: bool) -> None:
    """Judged as the laptop's cloud does it.

    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
    """
    ((logical, topic),) = dev.resources("AWS::SNS::Topic").items()
    ((_, policy),) = dev.resources("AWS::SNS::TopicPolicy").items()
    (key,) = (each for each in dev.resources("AWS::KMS::Key").values() if "KeySpec" not in each["Properties"])
    arn = f"arn:aws:sns:us-east-1:123456789012:{topic['Properties']['TopicName']}"
    whole = json.dumps(policy["Properties"]["PolicyDocument"]).replace(json.dumps({"Ref": logical}), json.dumps(arn))
    alarm = f"arn:aws:cloudwatch:us-east-1:{account}:alarm:mapgate-dev-endpoint-errors"
    source = {"aws:SourceArn": alarm, "aws:SourceAccount": account, "aws:SourceOwner": account}
    assert service_may("cloudwatch.amazonaws.com", "sns:Publish", arn, whole, source) is let_in
    assert topic["Properties"]["KmsMasterKeyId"]
    of_key = json.dumps(key["Properties"]["KeyPolicy"])
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        assert service_may("cloudwatch.amazonaws.com", action, "arn:of:the:key", of_key, source) is let_in
