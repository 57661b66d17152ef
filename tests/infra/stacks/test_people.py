# SPDX-License-Identifier: Apache-2.0
"""A data scientist's and an approver's sessions can do exactly their own, by the evaluation that IAM documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.authorisation.policies import parse
from localcloud.authorisation.verdicts import Policies, Principal, Request, evaluate

ACCOUNT = "123456789012"
SAGEMAKER = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"
BUCKET = f"arn:aws:s3:::mapgate-dev-data-{ACCOUNT}-us-east-1"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k"
SIGNING_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/s"
PIPELINE = f"{SAGEMAKER}:pipeline/mapgate-dev"
EXECUTION = f"{PIPELINE}/execution/abc"
VERSION = f"{SAGEMAKER}:model-package/mapgate-dev/1"
GROUP = f"{SAGEMAKER}:model-package-group/mapgate-dev"
LOGS = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/sagemaker"
FUNCTIONS = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/mapgate-dev-deployments"
FLOOR = f"{BUCKET}/defaults/gate-policy/{'5f' * 32}/gate_policy.yaml"
PARAMETERS = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/mapgate-dev"
THROUGH_S3: dict[str, tuple[str, ...]] = {"kms:viaservice": ("s3.us-east-1.amazonaws.com",)}
THROUGH_DYNAMODB: dict[str, tuple[str, ...]] = {"kms:viaservice": ("dynamodb.us-east-1.amazonaws.com",)}
EVERYTHING = parse({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}, "identity")

ALARM = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm"
ROLES = ("pipeline", "processing", "training", "model", "publish-dossier-function", "deployer-function")
TO_SAGEMAKER: dict[str, tuple[str, ...]] = {"iam:passedtoservice": ("sagemaker.amazonaws.com",)}

Asked = tuple[str, str] | tuple[str, str, dict[str, tuple[str, ...]]]

READ_BY_BOTH: list[Asked] = [
    ("ssm:GetParametersByPath", PARAMETERS),
    ("ssm:GetParameter", f"{PARAMETERS}/pipeline-name"),
    ("sagemaker:ListModelPackages", "*"),
    ("sagemaker:DescribeModelPackage", VERSION),
    ("s3:GetObject", f"{BUCKET}/executions/abc/EvaluateDetector/output/evaluation/report.html"),
    ("s3:GetObject", f"{BUCKET}/evidence/v000003/verdict.json"),
    ("kms:Decrypt", KEY, THROUGH_S3),
    ("sagemaker:Search", "*"),
    # `mapgate endpoints`, `mapgate models history` and `provenance`
    ("sagemaker:DescribeEndpoint", f"{SAGEMAKER}:endpoint/mapgate-dev"),
    ("dynamodb:GetItem", TABLE),
    ("dynamodb:Query", TABLE),
    ("kms:Decrypt", KEY, THROUGH_DYNAMODB),
    ("kms:Verify", SIGNING_KEY),
    ("kms:GetPublicKey", SIGNING_KEY),
]
TRAINS: list[Asked] = [
    # `mapgate run`
    ("ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mapgate-dev-training"),
    ("ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mapgate-dev-inference"),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ("datasets/0123/",)}),
    ("s3:PutObject", f"{BUCKET}/datasets/0123/a.jpg"),
    ("s3:PutObject", f"{BUCKET}/inputs/0123/pipeline.config"),
    ("s3:AbortMultipartUpload", f"{BUCKET}/datasets/0123/a.tfrecord"),
    ("kms:GenerateDataKey", KEY, THROUGH_S3),
    ("sagemaker:StartPipelineExecution", PIPELINE),
    # `mapgate executions`
    ("sagemaker:ListPipelineExecutions", PIPELINE),
    ("sagemaker:DescribePipelineExecution", EXECUTION),
    ("sagemaker:ListPipelineExecutionSteps", EXECUTION),
    ("sagemaker:StopPipelineExecution", EXECUTION),
    ("sagemaker:DescribeProcessingJob", f"{SAGEMAKER}:processing-job/pipelines-abc-EvaluateDetector-xyz"),
    ("logs:DescribeLogStreams", f"{LOGS}/TrainingJobs"),
    ("logs:GetLogEvents", f"{LOGS}/TrainingJobs:log-stream:pipelines-abc-TrainDetector-xyz/algo-1-1"),
    # Studio's page of a pipeline
    ("sagemaker:DescribePipeline", PIPELINE),
    ("servicequotas:ListAWSDefaultServiceQuotas", "*"),
    ("servicequotas:ListServiceQuotas", "*"),
    ("sagemaker:RetryPipelineExecution", EXECUTION),
    ("sagemaker:DescribeTrainingJob", f"{SAGEMAKER}:training-job/pipelines-abc-TrainDetector-xyz"),
    # What came of it
    ("s3:GetObject", f"{BUCKET}/models/pipelines-abc/output/model.tar.gz"),
    ("s3:GetObject", f"{BUCKET}/tensorboard/pipelines-abc/events"),
    ("s3:GetObject", f"{BUCKET}/released/5f/model.tar.gz"),
    ("s3:GetObject", FLOOR),
]
APPROVED: dict[str, tuple[str, ...]] = {"sagemaker:modelapprovalstatus": ("Approved",)}
APPROVES: list[Asked] = [
    # `mapgate models approve`, `reject`, and taking an approval back
    ("sagemaker:UpdateModelPackage", VERSION, APPROVED),
    ("sagemaker:UpdateModelPackage", VERSION, {"sagemaker:modelapprovalstatus": ("Rejected",)}),
    ("sagemaker:UpdateModelPackage", VERSION, {"sagemaker:modelapprovalstatus": ("PendingManualApproval",)}),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ("executions/abc/",)}),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ("released/0123/model.tar.gz",)}),
    ("s3:ListBucket", BUCKET, {"s3:prefix": ("models/pipelines-abc/output/model.tar.gz",)}),
]
OF_NOBODY: list[Asked] = [
    ("s3:PutObject", f"{BUCKET}/models/pipelines-abc/output/model.tar.gz"),
    ("s3:PutObject", f"{BUCKET}/executions/abc/EvaluateDetector/output/evaluation/evaluation.json"),
    ("s3:PutObject", f"{BUCKET}/checkpoints/ssd/ckpt"),
    ("s3:PutObject", f"{BUCKET}/tensorboard/pipelines-abc/events"),
    ("s3:PutObject", FLOOR),
    ("s3:PutObject", f"{BUCKET}/released/5f/model.tar.gz"),
    ("s3:PutObject", f"{BUCKET}/evidence/v000003/verdict.json"),
    ("s3:DeleteObject", f"{BUCKET}/datasets/0123/a.jpg"),
    ("s3:DeleteObjectVersion", f"{BUCKET}/models/pipelines-abc/output/model.tar.gz"),
    ("s3:PutBucketPolicy", BUCKET),
    ("s3:GetObject", "arn:aws:s3:::another/executions/abc/report.html"),
    ("kms:Decrypt", KEY),
    ("kms:Decrypt", KEY, {"kms:viaservice": ("sqs.us-east-1.amazonaws.com",)}),
    ("kms:ScheduleKeyDeletion", KEY),
    ("sagemaker:CreateModelPackage", VERSION, APPROVED),
    ("sagemaker:DeleteModelPackage", VERSION),
    ("sagemaker:UpdateModelPackage", f"{SAGEMAKER}:model-package/mapgate-prod/1", APPROVED),
    ("sagemaker:UpdateModelPackage", VERSION),
    ("sagemaker:UpdatePipeline", PIPELINE),
    ("sagemaker:StartPipelineExecution", f"{SAGEMAKER}:pipeline/mapgate-prod"),
    ("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/own"),
    ("sagemaker:UpdateEndpoint", f"{SAGEMAKER}:endpoint/mapgate-dev"),
    ("sagemaker:DescribeEndpoint", f"{SAGEMAKER}:endpoint/mapgate-prod"),
    ("ssm:PutParameter", f"{PARAMETERS}/endpoint-name"),
    ("ssm:GetParametersByPath", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/mapgate-prod"),
    ("ssm:GetParametersByPath", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/mapgate-development"),
    ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/mapgate-dev-training"),
    *((f"dynamodb:{write}", TABLE) for write in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")),
    ("lambda:InvokeFunction", f"{FUNCTIONS}:mapgate-dev-find-champion"),
    ("lambda:InvokeFunction", f"{FUNCTIONS}:mapgate-dev-publish-dossier"),
    ("kms:Sign", SIGNING_KEY),
    ("logs:GetLogEvents", f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/lambda/other:log-stream:s"),
]
UNDONE_BY_NO_OTHER: list[Asked] = [
    ("sagemaker:CreateModelPackage", GROUP, APPROVED),
    ("sagemaker:UpdateModelPackage", VERSION, APPROVED),
    ("sagemaker:DeleteModelPackage", VERSION),
    ("s3:PutObject", f"{BUCKET}/models/pipelines-abc/output/model.tar.gz"),
    ("s3:PutObject", FLOOR),
    ("s3:DeleteObjectVersion", f"{BUCKET}/executions/abc/report.html"),
    ("s3:DeleteObjectVersion", f"{BUCKET}/released/5f/model.tar.gz"),
    # Another definition, or another answer to its steps
    ("sagemaker:UpdatePipeline", PIPELINE),
    ("sagemaker:DeletePipeline", PIPELINE),
    ("sagemaker:SendPipelineExecutionStepSuccess", EXECUTION),
    # What serves
    ("sagemaker:CreateEndpoint", f"{SAGEMAKER}:endpoint/mapgate-dev"),
    ("sagemaker:UpdateEndpoint", f"{SAGEMAKER}:endpoint/mapgate-dev"),
    ("sagemaker:DeleteEndpoint", f"{SAGEMAKER}:endpoint/mapgate-dev"),
    # What decides
    *((f"dynamodb:{write}", TABLE) for write in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")),
    ("lambda:InvokeFunction", f"{FUNCTIONS}:mapgate-dev-publish-dossier"),
    ("lambda:InvokeFunction", f"{FUNCTIONS}:mapgate-dev-deployer"),
    ("lambda:UpdateFunctionCode", f"{FUNCTIONS}:mapgate-dev-find-champion"),
    ("ssm:PutParameter", f"{PARAMETERS}/champion-waiver"),
    # Another account, or another role, in whose name all of this is done
    ("sagemaker:PutModelPackageGroupPolicy", GROUP),
    ("lambda:AddPermission", f"{FUNCTIONS}:mapgate-dev-publish-dossier"),
    ("dynamodb:PutResourcePolicy", TABLE),
    ("ecr:SetRepositoryPolicy", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mapgate-dev-inference"),
    ("kms:PutKeyPolicy", SIGNING_KEY),
    ("kms:ScheduleKeyDeletion", KEY),
    ("s3:DeleteBucketPolicy", BUCKET),
    ("s3:PutBucketPolicy", BUCKET),
    ("s3:PutBucketVersioning", BUCKET),
    ("sns:AddPermission", f"arn:aws:sns:us-east-1:{ACCOUNT}:mapgate-dev-notices"),
    ("sqs:SetQueueAttributes", f"arn:aws:sqs:us-east-1:{ACCOUNT}:mapgate-dev-callbacks"),
    ("ssm:DeleteParameters", f"{PARAMETERS}/champion-waiver"),
    # What serves, by the names that the deployer gives
    ("sagemaker:DeleteModel", f"{SAGEMAKER}:model/mapgate-dev-v3-1f9a0c"),
    ("sagemaker:CreateModel", f"{SAGEMAKER}:model/mapgate-dev-v3-1f9a0c"),
    ("sagemaker:CreateEndpointConfig", f"{SAGEMAKER}:endpoint-config/mapgate-dev-v3-1f9a0c"),
    ("sagemaker:DeleteEndpointConfig", f"{SAGEMAKER}:endpoint-config/mapgate-dev-v3-1f9a0c"),
    # The records, by another table of their name
    ("dynamodb:DeleteTable", TABLE),
    # A candidate of their own under the deployer's name, and the alarms that roll an update back
    ("sagemaker:CreateEndpoint", f"{SAGEMAKER}:endpoint/mapgate-dev-candidate-3"),
    ("sagemaker:UpdateEndpoint", f"{SAGEMAKER}:endpoint/mapgate-dev-candidate-3"),
    ("cloudwatch:DeleteAlarms", f"{ALARM}:mapgate-dev-v3-1f9a0c-errors"),
    ("cloudwatch:PutMetricAlarm", f"{ALARM}:mapgate-dev-v3-1f9a0c-latency"),
    ("cloudwatch:SetAlarmState", f"{ALARM}:mapgate-dev-v3-1f9a0c-latency"),
    # Jobs, pipelines and functions of their own as the environment's roles, which write what is judged
    *(("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/mapgate-dev-{role}", TO_SAGEMAKER) for role in ROLES),
    # Images under tags that are measured and served
    ("ecr:PutImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mapgate-dev-inference"),
    ("ecr:BatchDeleteImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mapgate-dev-training"),
    # What the deployer is asked, and people are told
    ("sqs:SendMessage", f"arn:aws:sqs:us-east-1:{ACCOUNT}:mapgate-dev-callbacks"),
    ("sns:Publish", f"arn:aws:sns:us-east-1:{ACCOUNT}:mapgate-dev-notices"),
]
"""What a data scientist may not, although AWS's policies for Studio would let them."""


def resolved(value: Any) -> Any:
    """A template's value with the ARNs that stand in other stacks; their exports are named after what they are of."""
    if isinstance(value, list):
        return [resolved(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "Fn::ImportValue" in value:
        of = value["Fn::ImportValue"]
        repositories = [name for name in ("Training", "Inference") if f"{name}Images" in of]
        if repositories:
            return f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mapgate-dev-{repositories[0].lower()}"
        if "GetAttDeployments" in of:
            return TABLE
        if "GetAttSigningKey" in of:
            return SIGNING_KEY
        assert "GetAttKey" in of
        return KEY
    return {name: resolved(each) for name, each in value.items()}


def policies(dev: Any) -> dict[str, dict[str, Any]]:
    found = dev.resources("AWS::IAM::ManagedPolicy", "people").values()
    return {each["Properties"]["ManagedPolicyName"]: resolved(each["Properties"]["PolicyDocument"]) for each in found}


def documents_of(dev: Any, who: str) -> list[dict[str, Any]]:
    """The policies of a kind of people: those that are called after it."""
    return [document for name, document in policies(dev).items() if name.startswith(f"mapgate-dev-{who}")]


def may(dev: Any, who: str, asked: Asked, *others: Any) -> bool:
    action, resource, *context = asked
    session = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/{who}/p", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/{who}")
    identity = [*(parse(document, "identity", who) for document in documents_of(dev, who)), *others]
    return evaluate(Request(session, action, resource, context[0] if context else {}), Policies(identity)).allowed


@pytest.mark.parametrize("asked", READ_BY_BOTH + TRAINS, ids=lambda asked: " ".join(asked[:2]))
def test_a_data_scientist_starts_watches_and_stops_and_reads_what_came_of_it(dev: Any, asked: Asked) -> None:
    assert may(dev, "data-scientist", asked)


@pytest.mark.parametrize("asked", READ_BY_BOTH + APPROVES, ids=lambda asked: " ".join(asked[:2]))
def test_an_approver_reads_the_dossier_and_decides(dev: Any, asked: Asked) -> None:
    assert may(dev, "approver", asked)


@pytest.mark.parametrize("asked", OF_NOBODY + APPROVES[:-3], ids=lambda asked: " ".join(asked[:2]))
def test_a_data_scientist_neither_decides_nor_writes_what_the_pipeline_wrote(dev: Any, asked: Asked) -> None:
    assert not may(dev, "data-scientist", asked)


@pytest.mark.parametrize("asked", OF_NOBODY + TRAINS[3:], ids=lambda asked: " ".join(asked[:2]))
def test_an_approver_starts_and_writes_nothing(dev: Any, asked: Asked) -> None:
    assert not may(dev, "approver", asked)


@pytest.mark.parametrize("asked", UNDONE_BY_NO_OTHER, ids=lambda asked: " ".join(asked[:2]))
def test_no_other_policy_lets_a_data_scientist_decide(dev: Any, asked: Asked) -> None:
    assert not may(dev, "data-scientist", asked, EVERYTHING)


@pytest.mark.parametrize("asked", UNDONE_BY_NO_OTHER, ids=lambda asked: " ".join(asked[:2]))
def test_the_denials_stand_in_the_policy_that_lets_a_data_scientist_begin(dev: Any, asked: Asked) -> None:
    """Whoever was given that one alone, as before there were two, is kept from as much."""
    session = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/d/p", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/d")
    own = parse(policies(dev)["mapgate-dev-data-scientist"], "identity", "d")
    assert not evaluate(Request(session, asked[0], asked[1], {}), Policies([own, EVERYTHING])).allowed


def test_policies_are_as_short_as_iam_wants_them_and_have_a_tenth_of_room(dev: Any) -> None:
    """6,144 characters, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html."""
    longest = "m" * 28  # of which the names of buckets can still be made
    for name, document in policies(dev).items():
        written = json.dumps(document, separators=(",", ":")).replace("mapgate-dev", longest)
        for key in (KEY, SIGNING_KEY):
            written = written.replace(key, f"{key.rpartition('/')[0]}/{'0' * 36}")
        assert len(written) <= 0.9 * 6_144, name


def test_everybody_finds_the_policies_by_their_parameters(dev: Any) -> None:
    published = {
        parameter["Properties"]["Name"]: parameter["Properties"]["Value"]
        for parameter in dev.resources("AWS::SSM::Parameter", "people").values()
    }
    assert set(published) == {
        "/mapgate-dev/data-scientist-policy-arn",
        "/mapgate-dev/data-scientist-reading-policy-arn",
        "/mapgate-dev/approver-policy-arn",
    }
    made = dev.resources("AWS::IAM::ManagedPolicy", "people")
    assert {value["Ref"] for value in published.values()} == set(made)
