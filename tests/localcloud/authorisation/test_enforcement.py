# SPDX-License-Identifier: Apache-2.0
"""Sessions of roles at a running cloud: what their policies allow, what is refused, and in which words."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.authorisation.conftest import ActorWith, document, trust
from tests.localcloud.conftest import Cloud

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}"
METRIC = {"MetricName": "m", "Value": 1.0}
READ_MODELS = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::authorised/models/*"}
LIST = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::authorised"}
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@pytest.fixture(scope="module", autouse=True)
def bucket(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="authorised")
    for key in ("models/m", "datasets/d"):
        s3.put_object(Bucket="authorised", Key=key, Body=b"content")


def refusal(call: Any, **arguments: Any) -> tuple[str, str, int]:
    """Code, message and status with which a call is refused."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    answer: Any = raised.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_session_reads_what_its_role_may_read_and_is_told_what_it_lacks(actor_with: ActorWith) -> None:
    actor = actor_with(READ_MODELS)
    s3 = actor.client("s3")

    assert s3.get_object(Bucket="authorised", Key="models/m")["Body"].read() == b"content"
    code, message, status = refusal(s3.get_object, Bucket="authorised", Key="datasets/d")

    assert (code, status) == ("AccessDenied", 403)
    what = "s3:GetObject on resource: arn:aws:s3:::authorised/datasets/d"
    why = "because no identity-based policy allows the s3:GetObject action"
    assert message == f"User: {actor.arn} is not authorized to perform: {what} {why}"


def test_who_may_not_list_is_not_told_that_an_object_is_missing(actor_with: ActorWith) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html says so of s3:ListBucket."""
    blind, seeing = actor_with(READ_MODELS), actor_with(READ_MODELS, LIST)
    missing = {"Bucket": "authorised", "Key": "models/none"}

    assert refusal(blind.client("s3").get_object, **missing)[0] == "AccessDenied"
    assert refusal(seeing.client("s3").get_object, **missing)[0] == "NoSuchKey"
    assert refusal(blind.client("s3").head_object, **missing)[2] == 403
    assert refusal(seeing.client("s3").head_object, **missing)[2] == 404


@pytest.mark.parametrize(
    ("service", "call", "arguments", "code", "permission"),
    [
        ("s3", "list_objects_v2", {"Bucket": "authorised"}, "AccessDenied", "s3:ListBucket"),
        ("s3", "put_object", {"Bucket": "authorised", "Key": "k", "Body": b""}, "AccessDenied", "s3:PutObject"),
        ("s3", "delete_object", {"Bucket": "authorised", "Key": "k"}, "AccessDenied", "s3:DeleteObject"),
        (
            "s3",
            "delete_objects",
            {"Bucket": "authorised", "Delete": {"Objects": [{"Key": "k", "VersionId": "v"}]}},
            "AccessDenied",
            "s3:DeleteObjectVersion",
        ),
        ("s3", "list_object_versions", {"Bucket": "authorised"}, "AccessDenied", "s3:ListBucketVersions"),
        ("sagemaker", "list_models", {}, "AccessDeniedException", "sagemaker:ListModels"),
        ("sagemaker", "list_apps", {}, "AccessDeniedException", "sagemaker:ListApps"),
        ("dynamodb", "get_item", {"TableName": "t", "Key": {}}, "AccessDeniedException", "dynamodb:GetItem"),
        ("sqs", "send_message", {"QueueUrl": "http://q/1/q", "MessageBody": "m"}, "AccessDenied", "sqs:SendMessage"),
        ("sns", "publish", {"TopicArn": f"{TOPIC}:t", "Message": "m"}, "AuthorizationError", "SNS:Publish"),
        ("lambda", "invoke", {"FunctionName": "f"}, "AccessDeniedException", "lambda:InvokeFunction"),
        ("cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": [METRIC]}, "AccessDenied", "cloudwatch:"),
        ("ssm", "get_parameter", {"Name": "/a/b"}, "AccessDeniedException", "ssm:GetParameter"),
        ("kms", "describe_key", {"KeyId": "alias/none"}, "AccessDeniedException", "kms:DescribeKey"),
        ("iam", "list_roles", {}, "AccessDenied", "iam:ListRoles"),
    ],
)  # fmt: skip
def test_each_service_refuses_in_its_own_words(
    actor_with: ActorWith, service: str, call: str, arguments: dict[str, Any], code: str, permission: str
) -> None:
    actor = actor_with()

    told, message, _ = refusal(getattr(actor.client(service), call), **arguments)

    assert told == code
    assert message.lower().startswith(f"user: {actor.arn} is not authorized to perform: {permission}".lower())


def test_a_bucket_policy_denies_whom_it_does_not_allow(cloud: Cloud, actor_with: ActorWith) -> None:
    name = f"closed-{secrets.token_hex(4)}"
    admin = cloud.client("s3")
    admin.create_bucket(Bucket=name)
    actor, given = actor_with(EVERYTHING), actor_with()
    denied = {"Effect": "Deny", "Principal": {"AWS": actor.role}, "Action": "s3:PutObject"}
    allowed = {"Effect": "Allow", "Principal": {"AWS": given.role}, "Action": "s3:PutObject"}
    insecure = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    resource = {"Resource": f"arn:aws:s3:::{name}/*"}
    policy = document(*({**each, **resource} for each in (denied, allowed, insecure)))
    admin.put_bucket_policy(Bucket=name, Policy=policy)

    told = refusal(actor.client("s3").put_object, Bucket=name, Key="k", Body=b"")
    given.client("s3").put_object(Bucket=name, Key="k", Body=b"")

    assert told[1].endswith("with an explicit deny in a resource-based policy")
    assert actor.client("s3").get_object(Bucket=name, Key="k")["Body"].read() == b""


def test_what_a_bucket_policy_denies_to_all_it_denies_to_the_administrator(cloud: Cloud) -> None:
    name = f"shut-{secrets.token_hex(4)}"
    admin = cloud.client("s3")
    admin.create_bucket(Bucket=name)
    shut = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{name}/*"}
    admin.put_bucket_policy(Bucket=name, Policy=document(shut))

    assert refusal(admin.put_object, Bucket=name, Key="k", Body=b"")[0] == "AccessDenied"
    admin.delete_bucket_policy(Bucket=name)
    admin.put_object(Bucket=name, Key="k", Body=b"")


def test_what_a_key_encrypts_is_read_and_written_by_those_who_may_use_the_key(
    cloud: Cloud, actor_with: ActorWith
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html: GenerateDataKey and Decrypt."""
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    files = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::authorised/*"}
    via = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    use = {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": key, "Condition": via}
    without, with_key = actor_with(files).client("s3"), actor_with(files, use).client("s3")
    place = {"Bucket": "authorised", "Key": "secret"}
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}

    assert "kms:GenerateDataKey" in refusal(without.put_object, **place, **encryption, Body=b"s")[1]
    with_key.put_object(**place, **encryption, Body=b"s")

    assert "kms:Decrypt" in refusal(without.get_object, **place)[1]
    assert with_key.get_object(**place)["Body"].read() == b"s"

    # The condition on kms:ViaService lets the key be used through S3 alone.
    url = cloud.client("sqs").create_queue(QueueName="sealed", Attributes={"KmsMasterKeyId": key})["QueueUrl"]
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    sender = actor_with(use, send).client("sqs")
    assert "kms:GenerateDataKey" in refusal(sender.send_message, QueueUrl=url, MessageBody="m")[1]


def test_passing_a_role_needs_permission_for_the_service(cloud: Cloud, actor_with: ActorWith) -> None:
    create = {"Effect": "Allow", "Action": "sagemaker:CreateModel", "Resource": "*"}

    def passing(service: str) -> dict[str, Any]:
        condition = {"StringEquals": {"iam:PassedToService": service}}
        return {"Effect": "Allow", "Action": "iam:PassRole", "Resource": cloud.role, "Condition": condition}

    request = {"ModelName": f"m-{secrets.token_hex(4)}", "ExecutionRoleArn": cloud.role}
    request["PrimaryContainer"] = {"Image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/none:1"}  # type: ignore[assignment]
    wrong = actor_with(create, passing("lambda.amazonaws.com")).client("sagemaker")
    right = actor_with(create, passing("sagemaker.amazonaws.com")).client("sagemaker")

    assert f"iam:PassRole on resource: {cloud.role}" in refusal(wrong.create_model, **request)[1]
    assert right.create_model(**request)["ModelArn"]


@pytest.mark.parametrize("condition", ["StringEquals", "ForAnyValue:StringEquals"])
def test_an_approval_is_told_from_an_edit_by_its_condition_key(
    cloud: Cloud, actor_with: ActorWith, condition: str
) -> None:
    sagemaker, group = cloud.client("sagemaker"), f"g-{secrets.token_hex(4)}"
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    arn = sagemaker.create_model_package(ModelPackageGroupName=group)["ModelPackageArn"]
    edit = {"Effect": "Allow", "Action": "sagemaker:UpdateModelPackage", "Resource": arn}
    rejecting = {**edit, "Condition": {condition: {"sagemaker:ModelApprovalStatus": "Rejected"}}}
    deciding = {**edit, "Effect": "Deny", "Condition": {"Null": {"sagemaker:ModelApprovalStatus": "false"}}}
    rejecter, editor = actor_with(rejecting).client("sagemaker"), actor_with(edit, deciding).client("sagemaker")

    rejecter.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    editor.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"a": "b"})

    approve = {"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"}
    assert refusal(rejecter.update_model_package, **approve)[0] == "AccessDeniedException"
    assert "explicit deny" in refusal(editor.update_model_package, **approve)[1]


def test_a_role_is_assumed_only_by_whom_it_trusts(cloud: Cloud, actor_with: ActorWith) -> None:
    iam, sts = cloud.client("iam"), cloud.client("sts")
    name = f"trusting-{secrets.token_hex(4)}"
    actor = actor_with()
    of_service = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(Service="lambda.amazonaws.com"))
    arn = of_service["Role"]["Arn"]
    wanted = {"RoleArn": arn, "RoleSessionName": "someone"}

    assert refusal(sts.assume_role, **wanted)[0] == "AccessDenied"
    assert refusal(actor.client("sts").assume_role, **wanted)[0] == "AccessDenied"
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust(AWS=actor.role))
    assert actor.client("sts").assume_role(**wanted)["AssumedRoleUser"]["Arn"].endswith(f"assumed-role/{name}/someone")
    assert refusal(sts.assume_role, RoleArn=f"{arn}x", RoleSessionName="someone")[0] == "AccessDenied"


def test_a_session_knows_who_it_is_and_a_forged_one_is_nobody(actor_with: ActorWith) -> None:
    actor = actor_with()

    assert actor.client("sts").get_caller_identity()["Arn"] == actor.arn
    actor.credentials = {**actor.credentials, "SessionToken": actor.credentials["SessionToken"][:-2] + "00"}
    assert refusal(actor.client("sqs").list_queues)[0] == "InvalidClientTokenId"
    assert refusal(actor.client("s3").list_buckets)[0] == "InvalidClientTokenId"


def test_a_session_policy_and_a_boundary_limit_what_the_role_may(cloud: Cloud, actor_with: ActorWith) -> None:
    limited = actor_with(EVERYTHING, Policy=document(READ_MODELS)).client("s3")
    boundary = cloud.client("iam").create_policy(
        PolicyName=f"b-{secrets.token_hex(4)}", PolicyDocument=document(READ_MODELS)
    )["Policy"]["Arn"]
    bounded = actor_with(EVERYTHING, boundary=boundary)

    for s3, reason in ((limited, "no session policy"), (bounded.client("s3"), "no permissions boundary")):
        assert s3.get_object(Bucket="authorised", Key="models/m")["Body"].read() == b"content"
        assert reason in refusal(s3.get_object, Bucket="authorised", Key="datasets/d")[1]


def test_a_presigned_url_may_what_its_signer_may(actor_with: ActorWith) -> None:
    def answer(*statements: dict[str, Any]) -> int:
        s3 = actor_with(*statements).client("s3")
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "authorised", "Key": "models/m"})
        try:
            with urllib.request.urlopen(url) as read:
                return int(read.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert answer(READ_MODELS) == 200
    assert answer() == 403


def test_a_function_acts_as_its_role(cloud: Cloud) -> None:
    name = f"f-{secrets.token_hex(4)}"
    iam = cloud.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(Service="lambda.amazonaws.com"))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(READ_MODELS))
    source = (
        "import boto3\n"
        "def handler(event, context):\n"
        "    s3 = boto3.client('s3')\n"
        "    who = boto3.client('sts').get_caller_identity()['Arn']\n"
        "    read = s3.get_object(Bucket='authorised', Key='models/m')['Body'].read().decode()\n"
        "    try:\n"
        "        s3.get_object(Bucket='authorised', Key='datasets/d')\n"
        "    except Exception as error:\n"
        "        return [who, read, error.response['Error']['Code']]\n"
    )
    function = cloud.create_function(name, source, Role=role)

    answer = json.loads(cloud.client("lambda").invoke(FunctionName=function)["Payload"].read())

    assert answer == [f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{name}", "content", "AccessDenied"]
