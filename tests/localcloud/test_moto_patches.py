# SPDX-License-Identifier: Apache-2.0
"""Every patch still mends something: plain moto, without ours, has the defect yet.

When moto catches up a test here fails and names what to delete from `localcloud/moto_patches.py`.
"""

from __future__ import annotations

import inspect
import io
import json
import time
import tomllib
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest
from botocore.exceptions import ClientError
from moto import backends, mock_aws

import localcloud
from localcloud.dispatch import backend
from localcloud.moto_patches import MOTO_VERSION

BUCKET = "plain-bucket"


@pytest.fixture(autouse=True)
def _plain_moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


def client(service: str) -> Any:
    made: Any = boto3.client
    return made(service, region_name="us-east-1")


def caught_up(patch: str) -> str:
    return f"moto {moto.__version__} does this itself now: delete {patch} from localcloud/moto_patches.py"


def make_role() -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return str(client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"])


def make_function(**settings: Any) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("index.py", "def handler(event, context):\n    pass\n")
    return str(
        client("lambda").create_function(
            FunctionName="f",
            Runtime="python3.13",
            Role=make_role(),
            Handler="index.handler",
            Code={"ZipFile": archive.getvalue()},
            **settings,
        )["FunctionArn"]
    )


def test_the_patches_are_for_the_version_that_is_installed_and_pinned() -> None:
    package = Path(localcloud.__file__).with_name("pyproject.toml")
    assert moto.__version__ == MOTO_VERSION
    assert f"moto[server]=={MOTO_VERSION}" in tomllib.loads(package.read_text())["project"]["dependencies"]


def test_moto_reads_its_own_folder_for_each_request() -> None:
    assert inspect.isgeneratorfunction(backends.list_of_moto_modules), caught_up("_list_services_once")


def test_bodies_are_text() -> None:
    from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

    assert not SageMakerRuntimeResponse.use_raw_body, caught_up("_let_bodies_be_binary")


def test_managed_policies_are_unknown() -> None:
    make_role()
    attach = client("iam").attach_role_policy
    with pytest.raises(ClientError, match="NoSuchEntity"):
        attach(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
        pytest.fail(caught_up("_know_managed_policies"))


def test_functions_forget_their_dead_letter_queue() -> None:
    make_function(DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:123456789012:q"})
    configuration = client("lambda").get_function_configuration(FunctionName="f")
    assert "DeadLetterConfig" not in configuration, caught_up("_keep_all_of_functions")


def test_functions_want_docker() -> None:
    from moto.awslambda.models import LambdaFunction

    assert "docker" in inspect.getsource(LambdaFunction._invoke_lambda), caught_up("invoke_functions_through")


def test_queues_run_functions_while_a_message_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.awslambda.models import LambdaBackend

    ran = []

    def run(*arguments: Any) -> bool:
        ran.append(arguments)
        return True

    monkeypatch.setattr(LambdaBackend, "send_sqs_batch", run)
    make_function()
    url = client("sqs").create_queue(QueueName="q")["QueueUrl"]
    source = "arn:aws:sqs:us-east-1:123456789012:q"
    client("lambda").create_event_source_mapping(EventSourceArn=source, FunctionName="f")
    client("sqs").send_message(QueueUrl=url, MessageBody="m")
    assert ran, caught_up("_leave_queues_to_their_pollers")


def test_receiving_waits_inside_the_backend() -> None:
    client("sqs").create_queue(QueueName="q")
    started = time.monotonic()
    backend("sqs", "123456789012", "us-east-1").receive_message("q", 1, 1, 30)
    assert time.monotonic() - started >= 1, caught_up("_wait_for_messages_unlocked")


def test_a_bucket_has_no_encryption_until_it_is_given_one() -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    with pytest.raises(ClientError, match="encryption configuration was not found"):
        s3.get_bucket_encryption(Bucket=BUCKET)
        pytest.fail(caught_up("_encrypt_every_bucket"))


def test_conditions_of_bucket_policies_are_not_looked_at() -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Condition": insecure}]}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"")
        pytest.fail(caught_up("_leave_bucket_policies_to_their_evaluator"))


def test_logging_wants_the_policy_first() -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.create_bucket(Bucket="logs-bucket")
    enabled = {"LoggingEnabled": {"TargetBucket": "logs-bucket", "TargetPrefix": ""}}
    with pytest.raises(ClientError, match="InvalidTargetBucketForLogging"):
        s3.put_bucket_logging(Bucket=BUCKET, BucketLoggingStatus=enabled)
        pytest.fail(caught_up("_let_buckets_log"))


def test_access_logs_come_at_once() -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.create_bucket(Bucket="logs-bucket")
    principal = {"Service": "logging.s3.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "s3:PutObject"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": "arn:aws:s3:::logs-bucket/*"}]}
    s3.put_bucket_policy(Bucket="logs-bucket", Policy=json.dumps(policy))
    enabled = {"LoggingEnabled": {"TargetBucket": "logs-bucket", "TargetPrefix": ""}}
    s3.put_bucket_logging(Bucket=BUCKET, BucketLoggingStatus=enabled)
    s3.list_objects_v2(Bucket=BUCKET)
    delivered = s3.list_objects_v2(Bucket="logs-bucket").get("Contents")
    assert delivered, caught_up("log_requests_through")


def test_different_images_have_one_digest() -> None:
    ecr = client("ecr")
    ecr.create_repository(repositoryName="images")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
    digests = {
        ecr.put_image(
            repositoryName="images", imageTag=tag, imageManifest=json.dumps({**manifest, "annotations": {"tag": tag}})
        )["image"]["imageId"]["imageDigest"]
        for tag in ("a", "b")
    }
    assert len(digests) == 1, caught_up("_know_images_by_their_manifest")


def test_objects_lie_in_memory() -> None:
    from moto.s3.models import FakeKey

    key = FakeKey("k", b"content", account_id="123456789012", region_name="us-east-1")
    assert key.__getstate__()["value"] == b"content", caught_up("keep_objects_in")
    key.dispose()


def test_rules_cannot_call_functions() -> None:
    events = client("events")
    events.put_rule(Name="r", EventPattern='{"source": ["s"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "f", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:f"}])
    with pytest.raises(NotImplementedError):
        events.put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}])
        pytest.fail(caught_up("send_events_through"))


def test_mail_is_not_sent() -> None:
    from moto.sns.models import Subscription

    assert "email" not in inspect.getsource(Subscription.publish), caught_up("mail_through")


def test_the_cdk_cli_cannot_ask_why_something_failed() -> None:
    with pytest.raises(NotImplementedError):
        client("cloudtrail").lookup_events()
        pytest.fail(caught_up("LookupEvents"))


def test_approving_wipes_what_was_known_of_a_version() -> None:
    """Why `registry/actions.py` answers for moto."""
    sagemaker = client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="g")
    card = {"ModelCardContent": "{}", "ModelCardStatus": "Draft"}
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="g", CustomerMetadataProperties={"a": "b"}, ModelCard=card
    )["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    described = sagemaker.describe_model_package(ModelPackageName=arn)
    assert "CustomerMetadataProperties" not in described
    assert "ModelCard" not in described
    with pytest.raises(NotImplementedError):
        sagemaker.delete_model_package(ModelPackageName=arn)


def test_models_forget_their_isolation() -> None:
    """Why `models/actions.py` answers for moto."""
    sagemaker = client("sagemaker")
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=make_role(), EnableNetworkIsolation=True)
    assert not sagemaker.describe_model(ModelName="m").get("EnableNetworkIsolation")


@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_stacks_skip_what_moto_does_not_know() -> None:
    """Why `cloudformation/` stands for moto's CloudFormation."""
    group = {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": "skipped"}}
    body = json.dumps({"Resources": {"Group": group, "Nonsense": {"Type": "AWS::Banana::Tree"}}})
    client("cloudformation").create_stack(StackName="s", TemplateBody=body)
    assert client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"] == []


def put_alarm(watch: Any) -> str:
    watch.put_metric_alarm(
        AlarmName="a", Namespace="N", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    return str(watch.describe_alarms(AlarmNames=["a"])["MetricAlarms"][0]["StateValue"])


def test_metrics_are_taken_for_those_with_more_dimensions() -> None:
    watch, now = client("cloudwatch"), datetime.now(UTC)
    named = [{"Name": name, "Value": "1"} for name in ("a", "b")]
    watch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Dimensions": named, "Value": 9}])
    for asked in (named[:1], []):
        points = watch.get_metric_statistics(
            Namespace="N", MetricName="m", Dimensions=asked, Period=3600, Statistics=["Sum"],
            StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1),
        )["Datapoints"]  # fmt: skip
        assert points, caught_up("_know_metrics_by_all_their_dimensions")


def test_alarms_begin_ok_and_forget_their_state() -> None:
    watch = client("cloudwatch")
    assert put_alarm(watch) == "OK", caught_up("_begin_alarms_without_data")
    watch.set_alarm_state(AlarmName="a", StateValue="ALARM", StateReason="test")
    assert put_alarm(watch) == "OK", caught_up("_begin_alarms_without_data")


def test_alarms_are_not_evaluated() -> None:
    watch = client("cloudwatch")
    put_alarm(watch)
    watch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": 9}])
    told = watch.describe_alarms(AlarmNames=["a"])["MetricAlarms"][0]
    assert told["StateReason"] == "Unchecked: Initial alarm creation", caught_up("metrics_through, with alarms/")


def test_alarms_tell_nobody() -> None:
    watch, sns = client("cloudwatch"), client("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    watch.put_metric_alarm(
        AlarmName="a", Namespace="N", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold", AlarmActions=[topic],
    )  # fmt: skip
    watch.set_alarm_state(AlarmName="a", StateValue="ALARM", StateReason="test")
    told = backend("sns", "123456789012", "us-east-1").topics[topic].sent_notifications
    assert told == [], caught_up("alarm_changes_through, with alarms/notices.py")


def test_details_may_be_lists_and_buses_must_exist() -> None:
    events = client("events")
    entry = {"Source": "s", "DetailType": "d", "Detail": "[]"}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0, caught_up("_put_events_as_eventbridge")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        events.put_events(Entries=[{**entry, "Detail": "{}", "EventBusName": "nowhere"}])


def test_publishing_fails_where_a_queue_is_gone() -> None:
    sns = client("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:gone")
    with pytest.raises(ClientError, match="NonExistentQueue"):
        sns.publish(TopicArn=topic, Message="m")
        pytest.fail(caught_up("_let_topics_lose_what_queues_refuse"))


def test_subscriptions_by_mail_are_confirmed_at_once() -> None:
    sns = client("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    answer = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")
    assert answer["SubscriptionArn"] != "pending confirmation", caught_up("_leave_subscriptions_unconfirmed")


def test_the_latest_version_is_not_found_by_name() -> None:
    from moto.awslambda import urls

    assert not any("$" in path.removesuffix("$") for path in urls.url_paths), caught_up(
        "_know_the_latest_version_by_its_name"
    )


def test_keys_are_for_nothing() -> None:
    key = client("kms").create_key()["KeyMetadata"]
    assert not key.get("KeyUsage"), caught_up("_use_keys_to_encrypt")


def test_keys_are_disabled_by_their_id_alone() -> None:
    kms = client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    for change in (kms.disable_key, kms.enable_key, kms.schedule_key_deletion):
        with pytest.raises(KeyError):
            change(KeyId=arn)
            pytest.fail(caught_up("_know_keys_by_their_arn"))


def test_objects_are_copied_whatever_is_there() -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=b"k")
    s3.copy_object(Bucket="bucket", Key="k", CopySource="bucket/k", IfNoneMatch="*", MetadataDirective="REPLACE")
    s3.copy_object(Bucket="bucket", Key="c", CopySource="bucket/k", CopySourceIfMatch='"0"')
    assert s3.head_object(Bucket="bucket", Key="c"), caught_up("_copy_objects_conditionally")
