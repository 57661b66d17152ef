# SPDX-License-Identifier: Apache-2.0
"""Jobs, functions and pipelines have what their roles have; without it they fail, and say which permission is missing.

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.runs.test_endpoints import upload_model
from tests.localcloud.runs.test_jobs import keys, processing, train, training

Until = Callable[..., Any]
ACCOUNT = "123456789012"
REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/stand-in"
NEEDED: dict[str, str] = {
    "s3:ListBucket": "arn:aws:s3:::bucket",
    "s3:GetObject": "arn:aws:s3:::bucket/data/*",
    "s3:PutObject": "arn:aws:s3:::bucket/*",
    "ecr:GetAuthorizationToken": "*",
    "ecr:BatchCheckLayerAvailability": REPOSITORY,
    "ecr:BatchGetImage": REPOSITORY,
    "ecr:GetDownloadUrlForLayer": REPOSITORY,
    "logs:CreateLogStream": "*",
    "logs:DescribeLogStreams": "*",
    "logs:PutLogEvents": "*",
    "cloudwatch:PutMetricData": "*",
}
VPC = {"Subnets": ["subnet-0a"], "SecurityGroupIds": ["sg-0a"]}
IN_A_VPC = {
    f"ec2:{action}": "*"
    for action in (
        "CreateNetworkInterface",
        "CreateNetworkInterfacePermission",
        "DeleteNetworkInterface",
        "DeleteNetworkInterfacePermission",
        "DescribeDhcpOptions",
        "DescribeNetworkInterfaces",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcs",
    )
}
LOOK = {"Effect": "Allow", "Action": "sagemaker:ListModels"}
LOST = {"logs:CreateLogStream", "logs:PutLogEvents"}
"""Without which a job runs and its log is lost."""


def role_without(cloud: Any, *missing: str, **more: str) -> str:
    allowed = {action: resource for action, resource in (NEEDED | more).items() if action not in missing}
    statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in allowed.items()]
    return str(cloud.create_role(f"r-{secrets.token_hex(4)}", *statements))


def test_a_job_runs_with_what_is_documented(cloud: Any, until: Until) -> None:
    request = {**processing(cloud, "documented"), "RoleArn": role_without(cloud)}

    assert cloud.process(until, request)["ProcessingJobStatus"] == "Completed"


@pytest.mark.parametrize("action", [action for action in NEEDED if action not in LOST])
def test_a_job_without_a_permission_fails_and_names_it(cloud: Any, until: Until, action: str) -> None:
    name = f"without-{secrets.token_hex(4)}"
    request = {**processing(cloud, name), "RoleArn": role_without(cloud, action)}

    described = cloud.process(until, request)

    assert described["ProcessingJobStatus"] == "Failed"
    assert "is not authorized to perform: " in described["FailureReason"]
    assert action in described["FailureReason"]


@pytest.mark.parametrize("missing", ["", *IN_A_VPC])
def test_a_job_in_a_vpc_needs_all_that_is_documented_for_one(cloud: Any, until: Until, missing: str) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createprocessingjob-perms."""
    request = processing(cloud, f"in-a-vpc-{secrets.token_hex(4)}")
    request |= {"NetworkConfig": {"VpcConfig": VPC}, "RoleArn": role_without(cloud, missing, **IN_A_VPC)}

    described = cloud.process(until, request)

    assert described["ProcessingJobStatus"] == ("Failed" if missing else "Completed")
    assert f"is not authorized to perform: {missing} " in described["FailureReason"] if missing else True


def test_a_training_in_a_vpc_needs_the_same(cloud: Any, until: Until) -> None:
    request = training(cloud, "trains-in-a-vpc") | {"VpcConfig": VPC, "RoleArn": role_without(cloud)}

    described = train(cloud, until, request)

    assert described["TrainingJobStatus"] == "Failed"
    assert "is not authorized to perform: ec2:CreateNetworkInterface " in described["FailureReason"]


def test_a_model_in_a_vpc_needs_the_same(cloud: Any, until: Until) -> None:
    sagemaker, name = cloud.client("sagemaker"), "serves-in-a-vpc"
    upload_model(cloud, "weights", f"{name}/model.tar.gz")
    container = {"Image": cloud.image, "ModelDataUrl": f"s3://bucket/served/{name}/model.tar.gz"}
    role = role_without(cloud, **{"s3:GetObject": "arn:aws:s3:::bucket/served/*"})
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role, VpcConfig=VPC)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant | {"InstanceType": "ml.m5.large"}]
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    described = until(
        lambda: (told := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] != "Creating" and told
    )

    assert described["EndpointStatus"] == "Failed"
    assert "is not authorized to perform: ec2:CreateNetworkInterface " in described["FailureReason"]
    sagemaker.delete_endpoint(EndpointName=name)


def test_a_checkpoint_that_the_role_may_not_write_fails_the_job(cloud: Any, until: Until) -> None:
    request = training(cloud, "keeps-checkpoints", steps="2", drop="1")
    request["CheckpointConfig"] = {"S3Uri": "s3://bucket/kept/"}
    request["RoleArn"] = role_without(
        cloud, **{"s3:GetObject": "arn:aws:s3:::bucket/*", "s3:PutObject": "arn:aws:s3:::bucket/models/*"}
    )

    described = train(cloud, until, request)

    assert described["TrainingJobStatus"] == "Failed"
    assert "s3:PutObject on resource: arn:aws:s3:::bucket/kept/" in described["FailureReason"]
    assert not keys(cloud, "kept/")


def test_a_role_that_does_not_trust_sagemaker_is_refused(cloud: Any) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = cloud.client("iam").create_role(RoleName="of-lambda", AssumeRolePolicyDocument=document)["Role"]["Arn"]

    with pytest.raises(ClientError, match=r"allows principal 'sagemaker\.amazonaws\.com' to assume the role"):
        cloud.client("sagemaker").create_processing_job(**{**processing(cloud, "untrusted"), "RoleArn": role})


def test_a_volumes_key_is_granted_by_who_asks_or_by_the_jobs_role(cloud: Any) -> None:
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    only_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    grant = {"Effect": "Allow", "Action": "kms:CreateGrant", "Resource": key, "Condition": only_aws}
    start = {"Effect": "Allow", "Action": ["sagemaker:*", "iam:PassRole"], "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": ["s3:*", "ecr:*", "logs:*", "cloudwatch:*"], "Resource": "*"}

    def outcome(caller_grants: bool, job_grants: bool) -> str:
        own = cloud.create_role(f"r-{secrets.token_hex(4)}", everything, *([grant] if job_grants else []))
        caller = cloud.create_role(f"r-{secrets.token_hex(4)}", start, *([grant] if caller_grants else []))
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        cloud.client("iam").update_assume_role_policy(RoleName=caller.rsplit("/", 1)[-1], PolicyDocument=document)
        request = {**processing(cloud, f"volume-{secrets.token_hex(4)}"), "RoleArn": own}
        request["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] = key
        try:
            cloud.as_role(caller, "sagemaker").create_processing_job(**request)
        except ClientError as error:
            return str(error)
        return ""

    assert "kms:CreateGrant" in outcome(caller_grants=False, job_grants=False)
    assert outcome(caller_grants=True, job_grants=False) == ""
    assert outcome(caller_grants=False, job_grants=True) == ""


def test_a_step_fails_with_what_the_pipelines_role_may_not_do(cloud: Any, until: Until) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-access.html names what such a role needs."""
    sagemaker, role = cloud.client("sagemaker"), cloud.create_role("idle", {**LOOK, "Resource": "*"})
    url = cloud.client("sqs").create_queue(QueueName="asked")["QueueUrl"]
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:none"
    job = {key: value for key, value in processing(cloud, "never").items() if key != "ProcessingJobName"}
    steps = [
        {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": url, "Arguments": {}, "OutputParameters": []},
        {"Name": "Call", "Type": "Lambda", "FunctionArn": function, "Arguments": {}, "OutputParameters": []},
        {"Name": "Process", "Type": "Processing", "Arguments": job},
    ]
    definition = json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": steps})
    sagemaker.create_pipeline(PipelineName="idle", PipelineDefinition=definition, RoleArn=role)
    arn = sagemaker.start_pipeline_execution(PipelineName="idle")["PipelineExecutionArn"]

    until(
        lambda: sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Failed"
    )

    told = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    reasons = {step["StepName"]: step["FailureReason"] for step in told}
    assert f"sqs:SendMessage on resource: arn:aws:sqs:us-east-1:{ACCOUNT}:asked" in reasons["Ask"]
    assert f"lambda:InvokeFunction on resource: {function}" in reasons["Call"]
    assert "sagemaker:CreateProcessingJob on resource: " in reasons["Process"]


def test_a_role_is_passed_by_a_pipeline_that_may_pass_it(cloud: Any, until: Until) -> None:
    create = {"Effect": "Allow", "Action": ["sagemaker:CreateProcessingJob", "sagemaker:AddTags"], "Resource": "*"}
    elsewhere = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": cloud.role, "Condition": elsewhere}
    sagemaker, role = cloud.client("sagemaker"), cloud.create_role("passes-wrongly", create, passing)
    job = {key: value for key, value in processing(cloud, "never").items() if key != "ProcessingJobName"}
    steps = [{"Name": "Process", "Type": "Processing", "Arguments": job}]
    definition = json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": steps})
    sagemaker.create_pipeline(PipelineName="passes-wrongly", PipelineDefinition=definition, RoleArn=role)
    arn = sagemaker.start_pipeline_execution(PipelineName="passes-wrongly")["PipelineExecutionArn"]

    until(
        lambda: sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Failed"
    )

    (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert f"iam:PassRole on resource: {cloud.role} because no identity-based policy allows" in step["FailureReason"]


def test_the_messages_of_a_queue_are_taken_as_the_role_of_the_function(cloud: Any, until: Until) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html names what the role needs."""
    iam, sqs = cloud.client("iam"), cloud.client("sqs")
    role = cloud.create_role("deaf", {**LOOK, "Resource": "*"})
    url = sqs.create_queue(QueueName="unheard", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    function = cloud.create_function("deaf", "def handler(event, context):\n    return 1\n", role)
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:unheard"
    cloud.client("lambda").create_event_source_mapping(FunctionName=function, EventSourceArn=arn)
    sqs.send_message(QueueUrl=url, MessageBody="m")

    def left() -> int:
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(told["ApproximateNumberOfMessages"]) + int(told["ApproximateNumberOfMessagesNotVisible"])

    until(lambda: "sqs:" in (cloud.home / "state" / "permissions.jsonl").read_text().split("role/deaf", 1)[-1])
    assert left() == 1
    polls = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": polls, "Resource": arn}]}
    iam.put_role_policy(RoleName="deaf", PolicyName="inline", PolicyDocument=json.dumps(policy))
    until(lambda: left() == 0)
