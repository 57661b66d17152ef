# SPDX-License-Identifier: Apache-2.0
"""Limits of every service's model, refused with the code and in the words in which each service refuses.

Those of `RECORDED` are facts that LocalStack's archived repository (Apache-2.0) has recorded from AWS, under
`tests/aws/services/**/*.snapshot.json`; others have the address where somebody shows AWS's answer.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
FUNCTION = {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {"ZipFile": b""}}
MEMBER = "1 validation error detected: Value"
RECORDED: list[tuple[str, str, dict[str, Any], str, str]] = [
    (
        "events", "put_rule", {"Name": "Invalid Name With Spaces!", "EventPattern": "{}"},
        "ValidationException",
        f"{MEMBER} 'Invalid Name With Spaces!' at 'name' failed to satisfy constraint: Member must satisfy regular "
        r"expression pattern: [\.\-_A-Za-z0-9]+",
    ),
    (
        "events", "put_targets", {"Rule": "r", "Targets": [{"Id": "!@#$@!#$", "Arn": ARN}]},
        "ValidationException", f"{MEMBER} '!@#$@!#$' at 'targets.1.member.id' failed to satisfy constraint",
    ),
    (
        "events", "put_targets", {"Rule": "r", "Targets": [{"Id": "a" * 65, "Arn": ARN}]},
        "ValidationException", "Member must have length less than or equal to 64",
    ),
    (
        "sns", "set_topic_attributes", {"AttributeName": "DisplayName"},
        "ValidationError",
        f"{MEMBER} null at 'topicArn' failed to satisfy constraint: Member must not be null",
    ),
    (
        "sqs", "send_message", {"QueueUrl": "q"},
        "MissingParameter", "The request must contain the parameter MessageBody.",
    ),
    (
        "iam", "update_access_key", {"AccessKeyId": "A" * 16, "Status": "Gone"},
        "ValidationError", "Value at 'status' failed to satisfy constraint: Member must satisfy enum value set",
    ),
    (
        "kms", "generate_random", {"NumberOfBytes": 1025},
        "ValidationException",
        f"{MEMBER} '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal "
        "to 1024",
    ),
    (
        "kms", "encrypt", {"KeyId": "k", "Plaintext": b"p" * 4097},
        "ValidationException",
        f"{MEMBER} at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096",
    ),
    (
        "kms", "create_key", {"KeyUsage": "RANDOM"},
        "ValidationException", f"{MEMBER} 'RANDOM' at 'keyUsage' failed to satisfy constraint: Member must satisfy",
    ),
    (
        "lambda", "create_function", {**FUNCTION, "Role": "r1"},
        "ValidationException", f"{MEMBER} 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular",
    ),
    (
        "lambda", "create_function", {**FUNCTION, "Architectures": ["X86_64"]},
        "ValidationException",
        f"{MEMBER} '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member "
        "must satisfy enum value set: [x86_64, arm64]",
    ),
    (
        "lambda", "create_function", {**FUNCTION, "Architectures": ["x86_64", "arm64"]},
        "ValidationException",
        f"{MEMBER} '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less "
        "than or equal to 1",
    ),
    (
        "lambda", "add_permission",
        {"FunctionName": "f", "StatementId": "example.com", "Action": "lambda:InvokeFunction", "Principal": "s"},
        "ValidationException", f"{MEMBER} 'example.com' at 'statementId' failed to satisfy constraint",
    ),
    (
        "lambda", "create_function", {**FUNCTION, "Runtime": "non-existent-runtime"},
        "InvalidParameterValueException",
        "Value non-existent-runtime at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [",
    ),
    (
        "logs", "get_log_events", {"logGroupName": "g", "logStreamName": "s", "limit": 10001},
        "InvalidParameterException",
        f"{MEMBER} '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000",
    ),
    (
        "cloudwatch", "set_alarm_state", {"AlarmName": "a", "StateValue": "INVALID", "StateReason": "r"},
        "ValidationError",
        f"{MEMBER} 'INVALID' at 'stateValue' failed to satisfy constraint: Member must satisfy enum value set: [",
    ),
    (
        "cloudformation", "create_change_set", {"StackName": "*@da591fa3_$", "ChangeSetName": "c"},
        "ValidationError",
        f"{MEMBER} '*@da591fa3_$' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression",
    ),
    (
        "sts", "assume_role", {"RoleArn": "arn:aws:iam::123456789012:role/assumed", "RoleSessionName": "Session1:2"},
        "ValidationError", f"{MEMBER} 'Session1:2' at 'roleSessionName' failed to satisfy constraint",
    ),
    (
        "s3", "put_bucket_versioning", {"Bucket": "b-1-2", "VersioningConfiguration": {"Status": "On"}},
        "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    (
        "s3", "create_bucket", {"Bucket": "b-1-2", "ObjectOwnership": "RandomValue"},
        "InvalidArgument", "Invalid x-amz-object-ownership header: RandomValue",
    ),
    (
        "s3", "list_objects_v2", {"Bucket": "b-1-2", "EncodingType": "value"},
        "InvalidArgument", "Invalid Encoding Method specified in Request",
    ),
]  # fmt: skip

ELSEWHERE: list[tuple[str, str, dict[str, Any], str, str]] = [
    (  # https://github.com/jenkins-x/jx/issues/1344
        "ecr", "create_repository", {"repositoryName": "Organisation/name"},
        "InvalidParameterException",
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '",
    ),
    (  # https://github.com/aws/aws-dotnet-deploy/issues/549
        "ecr", "create_repository", {"repositoryName": "a"},
        "InvalidParameterException",
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must have length greater than or equal "
        "to 2'",
    ),
    (  # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        "s3", "put_object", {"Bucket": "b-1-2", "Key": "k", "StorageClass": "COLD"},
        "InvalidStorageClass", "The storage class you specified is not valid",
    ),
    (  # https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
        "ssm", "put_parameter", {"Name": "p", "Value": "v", "Type": "Text"},
        "ValidationException", f"{MEMBER} 'Text' at 'type' failed to satisfy constraint",
    ),
    (  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
        "dynamodb", "get_item", {"TableName": "t"},
        "ValidationException", f"{MEMBER} null at 'key' failed to satisfy constraint: Member must not be null",
    ),
    (  # https://docs.aws.amazon.com/autoscaling/application/APIReference/CommonErrors.html
        "application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "sage"},
        "ValidationException", f"{MEMBER} 'sage' at 'serviceNamespace' failed to satisfy constraint",
    ),
    (  # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
        "sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e" * 64, "Body": b""},
        "ValidationError", f"{MEMBER} '{'e' * 64}' at 'endpointName' failed to satisfy constraint",
    ),
]  # fmt: skip


@cache
def client_of(service: str, endpoint_url: str) -> Any:
    """A client that refuses nothing itself."""
    made: Any = boto3.client
    return made(
        service,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  # any key opens the emulated cloud
        config=Config(parameter_validation=False, retries={"max_attempts": 0}),
    )


@pytest.fixture(autouse=True, scope="module")
def assumed_role(cloud: Any) -> None:
    """A role that lets its account in: who may not assume a role learns no more of it."""
    everybody = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
    cloud.client("iam").create_role(RoleName="assumed", AssumeRolePolicyDocument=trust)


@pytest.mark.parametrize(("service", "method", "parameters", "code", "words"), RECORDED + ELSEWHERE)
def test_a_broken_limit_is_refused_as_its_service_refuses_it(
    cloud: Any, service: str, method: str, parameters: dict[str, Any], code: str, words: str
) -> None:
    client = client_of(service, cloud.endpoint_url)
    if service == "s3":  # boto3 looks into a bucket's name before it sends
        client.meta.events.unregister("before-parameter-build.s3")
    with pytest.raises(ClientError) as refused:
        getattr(client, method)(**parameters)
    assert refused.value.response["Error"]["Code"] == code
    assert words in refused.value.response["Error"]["Message"]


def test_a_body_that_fits_no_shape_is_the_callers_fault(cloud: Any) -> None:
    """As in `tests/aws/services/apigateway/test_apigateway_api.snapshot.json` of the same repository."""
    with pytest.raises(ClientError, match="SerializationException"):
        client_of("kms", cloud.endpoint_url).generate_random(NumberOfBytes="many")


def test_an_endpoint_takes_bodies_beyond_its_model(cloud: Any) -> None:
    """25 MB, as https://docs.aws.amazon.com/sagemaker/latest/dg/hosting-faqs.html says; the model has 6 MiB."""
    with pytest.raises(ClientError, match=r"Endpoint e of account \d+ not found"):
        client_of("sagemaker-runtime", cloud.endpoint_url).invoke_endpoint(EndpointName="e", Body=b" " * (7 << 20))


def test_the_former_member_for_attributes_of_messages_takes_those_and_no_others(cloud: Any) -> None:
    """As https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html lists them."""
    url, _ = cloud.create_queue("former-names")
    sqs = client_of("sqs", cloud.endpoint_url)
    sqs.send_message(QueueUrl=url, MessageBody="m")
    (message,) = sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert message["Attributes"] == {"ApproximateReceiveCount": "1"}
    with pytest.raises(ClientError, match="Unknown Attribute ReceiveCount"):
        sqs.receive_message(QueueUrl=url, AttributeNames=["ReceiveCount"])
