# SPDX-License-Identifier: Apache-2.0
"""Endpoints as child processes: states, updates with roll-back, invocations."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

Until = Callable[..., Any]


@pytest.fixture
def sagemaker(cloud: Any) -> Any:
    return cloud.client("sagemaker")


@pytest.fixture
def configure(cloud: Any, sagemaker: Any) -> Callable[..., str]:
    """Makes a model and an endpoint configuration of one name."""

    def make(name: str, instances: int = 1, *, role: str = "", capture: Any = None, **environment: str) -> str:
        upload_model(cloud, f"weights of {name}", f"{name}/model.tar.gz")
        container = {
            "Image": cloud.image,
            "ModelDataUrl": f"s3://bucket/served/{name}/model.tar.gz",
            "Environment": environment,
        }
        sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role or cloud.role)
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": instances}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[variant | {"InstanceType": "ml.m5.large"}],
            **({"DataCaptureConfig": capture} if capture else {}),
        )
        return name

    return make


def upload_model(cloud: Any, weights: str, key: str) -> None:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        member = tarfile.TarInfo("weights")
        member.size = len(weights.encode())
        tar.addfile(member, io.BytesIO(weights.encode()))
    cloud.client("s3").put_object(Bucket="bucket", Key=f"served/{key}", Body=body.getvalue())


@pytest.fixture
def settle(sagemaker: Any, until: Until) -> Callable[[str], dict[str, Any]]:
    """Waits until an endpoint is in no passing state, and describes it."""

    def wait(name: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            described = sagemaker.describe_endpoint(EndpointName=name)
            return described if described["EndpointStatus"] not in ("Creating", "Updating", "Deleting") else None

        return dict(until(look))

    return wait


@pytest.fixture
def endpoint(sagemaker: Any, configure: Callable[..., str], settle: Callable[[str], Any]) -> Iterator[str]:
    """An endpoint in service, with two instances, named like its first configuration."""
    name = configure(f"served-{os.urandom(3).hex()}", instances=2, GREETING="hello")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert settle(name)["EndpointStatus"] == "InService"
    yield name
    settle(name)
    sagemaker.delete_endpoint(EndpointName=name)


def invoke(cloud: Any, name: str, body: bytes = b"", **more: str) -> dict[str, Any]:
    return dict(cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **more))


def weights(cloud: Any, name: str) -> str:
    return str(json.loads(invoke(cloud, name)["Body"].read())["model"])


def test_an_invocation_reaches_the_container_and_its_answer_comes_back(cloud: Any, endpoint: str) -> None:
    body = bytes(range(256))
    answer = invoke(cloud, endpoint, body, ContentType="image/jpeg", Accept="application/json", CustomAttributes="id=7")
    assert json.loads(answer["Body"].read()) == {
        "model": f"weights of {endpoint}",
        "content_type": "image/jpeg",
        "accept": "application/json",
        "attributes": "id=7",
        "bytes": body.hex(),
        "greeting": "hello",
    }
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace"


CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://bucket/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
}


def captured(cloud: Any, name: str) -> list[str]:
    found = cloud.client("s3").list_objects_v2(Bucket="bucket", Prefix=f"captured/{name}/")
    return [one["Key"] for one in found.get("Contents", [])]


def test_requests_and_answers_are_kept_where_the_configuration_says(
    cloud: Any, sagemaker: Any, configure: Callable[..., str], settle: Callable[[str], Any], until: Until
) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html shows path and lines."""
    name = configure("captures", capture=CAPTURE)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settle(name)

    answer = invoke(cloud, name, b"\xff\xd8", ContentType="image/jpeg")["Body"].read().decode()
    (key,) = until(lambda: captured(cloud, name))

    assert re.fullmatch(r"captured/captures/AllTraffic/\d{4}/\d\d/\d\d/\d\d/[^/]+\.jsonl", key)
    line = json.loads(cloud.client("s3").get_object(Bucket="bucket", Key=key)["Body"].read())
    assert line["captureData"] == {
        "endpointInput": {
            "observedContentType": "image/jpeg", "mode": "INPUT", "data": "/9g=", "encoding": "BASE64",
        },
        "endpointOutput": {
            "observedContentType": "application/json", "mode": "OUTPUT", "data": answer, "encoding": "JSON",
        },
    }  # fmt: skip
    assert line["eventVersion"] == "0"
    sagemaker.delete_endpoint(EndpointName=name)


def test_what_the_models_role_may_not_write_is_not_kept_and_is_answered_all_the_same(
    cloud: Any, sagemaker: Any, configure: Callable[..., str], settle: Callable[[str], Any], until: Until
) -> None:
    allowed = ["ecr:*", "logs:*", "cloudwatch:PutMetricData", "s3:GetObject"]
    role = cloud.create_role("serves-only", {"Effect": "Allow", "Action": allowed, "Resource": "*"})
    name = configure("captures-nothing", role=role, capture=CAPTURE)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert settle(name)["EndpointStatus"] == "InService"

    assert weights(cloud, name) == f"weights of {name}"

    noted = cloud.home / "state" / "permissions.jsonl"
    lines = until(lambda: [line for line in noted.read_text().splitlines() if "captured/captures-nothing/" in line])
    assert (json.loads(lines[0])["action"], json.loads(lines[0])["role"]) == ("s3:PutObject", role)
    assert captured(cloud, name) == []
    sagemaker.delete_endpoint(EndpointName=name)


def test_descriptions_come_late_where_a_test_orders_it(
    cloud: Any, sagemaker: Any, endpoint: str, configure: Callable[..., str], settle: Callable[[str], Any]
) -> None:
    other = configure(f"{endpoint}-next")
    before = sagemaker.describe_endpoint(EndpointName=endpoint)
    cloud.order("faults", service="sagemaker", action="DescribeEndpoint", late=2)
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=other)
    for _ in range(2):
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
        fields = ("EndpointStatus", "EndpointConfigName", "LastModifiedTime")
        assert [described[field] for field in fields] == [before[field] for field in fields]
    cloud.order("faults")
    assert sagemaker.describe_endpoint(EndpointName=endpoint)["LastModifiedTime"] > before["LastModifiedTime"]
    assert settle(endpoint)["EndpointConfigName"] == other


@pytest.mark.parametrize(("status", "side"), [(415, "client"), (500, "server")])
def test_a_refusing_container_is_a_model_error(cloud: Any, endpoint: str, status: int, side: str) -> None:
    with pytest.raises(ClientError) as caught:
        invoke(cloud, endpoint, f"status {status}".encode())
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424
    told: Any = caught.value.response
    assert (told["OriginalStatusCode"], told["OriginalMessage"]) == (status, '{"error": "as you wished"}')
    message = caught.value.response["Error"]["Message"]
    assert f'Received {side} error ({status}) from primary with message "{{"error": "as you wished"}}"' in message


def test_a_body_over_the_limit_is_refused(cloud: Any, endpoint: str) -> None:
    with pytest.raises(ClientError, match="ValidationError"):
        invoke(cloud, endpoint, b"x" * ((25 << 20) + 1))


def test_an_unknown_endpoint_is_a_validation_error(cloud: Any) -> None:
    with pytest.raises(ClientError, match="Endpoint nobody of account 123456789012 not found"):
        invoke(cloud, "nobody")


def test_a_container_that_dies_is_started_again(cloud: Any, endpoint: str, until: Until) -> None:
    with pytest.raises(ClientError, match="ModelError"):
        invoke(cloud, endpoint, b"die")

    def answers() -> bool:
        try:
            return weights(cloud, endpoint) == f"weights of {endpoint}"
        except ClientError:
            return False

    assert until(answers)


def test_an_update_replaces_the_fleet_and_ends_the_old_one(
    cloud: Any, sagemaker: Any, endpoint: str, configure: Callable[..., str], settle: Callable[[str], Any]
) -> None:
    before = servers()
    new = configure(f"{endpoint}-2")
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new)
    assert weights(cloud, endpoint) in (f"weights of {endpoint}", f"weights of {new}")
    described = settle(endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", new)
    assert weights(cloud, endpoint) == f"weights of {new}"
    assert len(servers()) == len(before)
    assert servers() != before


def test_a_fleet_that_does_not_start_is_rolled_back(
    cloud: Any, sagemaker: Any, endpoint: str, configure: Callable[..., str], settle: Callable[[str], Any]
) -> None:
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=configure(f"{endpoint}-b", BROKEN="1"))
    described = settle(endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", endpoint)
    assert "did not pass the ping health check" in described["FailureReason"]
    assert weights(cloud, endpoint) == f"weights of {endpoint}"


def test_an_alarm_while_baking_rolls_back(
    cloud: Any,
    sagemaker: Any,
    endpoint: str,
    configure: Callable[..., str],
    settle: Callable[[str], Any],
    until: Until,
) -> None:
    watch = cloud.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName=f"{endpoint}-errors", MetricName="Errors", Namespace="N", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    watch.set_alarm_state(AlarmName=f"{endpoint}-errors", StateValue="OK", StateReason="test")
    new = configure(f"{endpoint}-c", instances=2)
    size = {"Type": "CAPACITY_PERCENT", "Value": 50}
    sagemaker.update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName=new,
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 60, "CanarySize": size},
                "TerminationWaitInSeconds": 0,
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": f"{endpoint}-errors"}]},
        },
    )

    def baking() -> bool:
        summary = sagemaker.describe_endpoint(EndpointName=endpoint).get("PendingDeploymentSummary", {})
        variants = summary.get("ProductionVariants", [])
        return bool(variants) and variants[0]["VariantStatus"][0]["Status"] == "Baking"

    until(baking)
    assert {weights(cloud, endpoint) for _ in range(40)} == {f"weights of {endpoint}", f"weights of {new}"}
    watch.set_alarm_state(AlarmName=f"{endpoint}-errors", StateValue="ALARM", StateReason="test")
    described = settle(endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", endpoint)
    assert f"{endpoint}-errors" in described["FailureReason"]
    assert {weights(cloud, endpoint) for _ in range(10)} == {f"weights of {endpoint}"}


def test_a_broken_first_fleet_fails_the_endpoint_which_can_only_be_deleted(
    cloud: Any, sagemaker: Any, configure: Callable[..., str], settle: Callable[[str], Any], until: Until
) -> None:
    name = configure("broken", BROKEN="1")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    described = settle(name)
    assert described["EndpointStatus"] == "Failed"
    assert "production variant AllTraffic did not pass the ping health check" in described["FailureReason"]
    with pytest.raises(ClientError, match="in status Failed"):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=name)
    with pytest.raises(ClientError, match="not found"):
        invoke(cloud, name)
    logs = cloud.client("logs")
    group = f"/aws/sagemaker/Endpoints/{name}"
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
    assert [event["message"] for event in events] == ["cannot load the model"]
    sagemaker.delete_endpoint(EndpointName=name)
    until(lambda: not sagemaker.list_endpoints(NameContains=name)["Endpoints"])


def test_a_model_that_is_not_there_fails_the_endpoint(
    cloud: Any, sagemaker: Any, configure: Callable[..., str], settle: Callable[[str], Any]
) -> None:
    name = configure("modelless")
    cloud.client("s3").delete_object(Bucket="bucket", Key=f"served/{name}/model.tar.gz")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert "Failed to download model data" in settle(name)["FailureReason"]
    sagemaker.delete_endpoint(EndpointName=name)


def test_a_serverless_variant_is_refused_by_name(sagemaker: Any, configure: Callable[..., str]) -> None:
    model, name = configure("instances"), "serverless"
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    variant = {"VariantName": "AllTraffic", "ModelName": model, "ServerlessConfig": serverless}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    with pytest.raises(ClientError, match="Variant AllTraffic is serverless"):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)


def test_what_aws_refuses_is_refused(sagemaker: Any, endpoint: str) -> None:
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=endpoint)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName="nothing")
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName="nothing")
    with pytest.raises(ClientError, match="the endpoint configuration that it has"):
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=endpoint)
    size = {"Type": "CAPACITY_PERCENT", "Value": 60}
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 0, "CanarySize": size}
    with pytest.raises(ClientError, match="DataCaptureConfig is not currently supported"):
        sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=endpoint,
            RetainAllVariantProperties=True,
            ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DataCaptureConfig"}],
        )
    with pytest.raises(ClientError, match="1 to 50 percent"):
        sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=endpoint,
            DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
        )


def test_a_scaled_variant_must_be_deregistered_before_it_goes(cloud: Any, sagemaker: Any, endpoint: str) -> None:
    scaling = cloud.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=4)
    with pytest.raises(ClientError, match="must be deregistered as a scalable target"):
        sagemaker.delete_endpoint(EndpointName=endpoint)
    scaling.deregister_scalable_target(**target)


def test_an_endpoint_keeps_its_tags(sagemaker: Any, endpoint: str) -> None:
    arn = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "version", "Value": "3"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "version", "Value": "3"}]


def test_events_tell_of_every_state_in_capitals(
    cloud: Any,
    sagemaker: Any,
    configure: Callable[..., str],
    settle: Callable[[str], Any],
    until: Until,
) -> None:
    states = cloud.events("SageMaker Endpoint State Change")
    deployments = cloud.events("SageMaker Endpoint Deployment State Change")
    name, new = configure("told"), configure("told-2")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settle(name)
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=new)
    settle(name)
    sagemaker.delete_endpoint(EndpointName=name)

    def told() -> list[str]:
        return [each["detail"]["EndpointStatus"] for each in states() if each["detail"]["EndpointName"] == name]

    until(lambda: len(told()) >= 6)
    assert set(told()) == {"CREATING", "IN_SERVICE", "UPDATING", "DELETING", "DELETED"}
    summaries = until(lambda: [each["detail"]["PendingDeploymentSummary"] for each in deployments()])
    assert {summary["EndpointConfigName"] for summary in summaries} == {new}


def test_a_deleted_endpoint_leaves_no_process_and_no_record(
    cloud: Any, sagemaker: Any, configure: Callable[..., str], settle: Callable[[str], Any], until: Until
) -> None:
    before, name = servers(), configure("short-lived")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settle(name)
    assert len(servers()) == len(before) + 1
    sagemaker.delete_endpoint(EndpointName=name)
    until(lambda: not sagemaker.list_endpoints(NameContains=name)["Endpoints"])
    assert servers() == before
    assert not (cloud.home / "endpoints" / name).exists()


def servers() -> set[int]:
    """Process ids of the running stand-in servers."""
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if command[1:] == ["stand_in.py", "serve"]:
            found.add(process.pid)
    return found


def capture_of(sagemaker: Any, name: str) -> int:
    described = sagemaker.describe_endpoint(EndpointName=name)
    return int(described.get("DataCaptureConfig", {}).get("CurrentSamplingPercentage", 0))


def test_retained_properties_are_those_of_the_living_fleet(
    sagemaker: Any, configure: Callable[..., str], settle: Callable[[str], Any]
) -> None:
    """API_VariantProperty.html: without ExcludeRetainedVariantProperties nothing of the new configuration counts."""
    one = configure(f"living-{os.urandom(3).hex()}")
    sagemaker.create_endpoint(EndpointName=one, EndpointConfigName=one)
    settle(one)
    for name, retained, excluded, instances, percent in [
        ("kept", True, [], 1, 0),
        ("counted", True, [{"VariantPropertyType": "DesiredInstanceCount"}], 2, 0),
        ("new", False, [], 2, 30),
    ]:
        config, capture = f"{one}-{name}", {"EnableCapture": True, "InitialSamplingPercentage": 30}
        variant = {"VariantName": "AllTraffic", "ModelName": one, "InitialInstanceCount": 2}
        sagemaker.create_endpoint_config(
            EndpointConfigName=config,
            ProductionVariants=[variant | {"InstanceType": "ml.m5.large"}],
            DataCaptureConfig=capture
            | {"DestinationS3Uri": "s3://bucket/capture", "CaptureOptions": [{"CaptureMode": "Input"}]},
        )
        sagemaker.update_endpoint(
            EndpointName=one,
            EndpointConfigName=config,
            RetainAllVariantProperties=retained,
            ExcludeRetainedVariantProperties=excluded,
        )
        assert settle(one)["ProductionVariants"][0]["DesiredInstanceCount"] == instances
        assert capture_of(sagemaker, one) == percent
    sagemaker.delete_endpoint(EndpointName=one)


def test_a_canary_takes_two_living_instances(
    sagemaker: Any, configure: Callable[..., str], settle: Callable[[str], Any]
) -> None:
    """API_TrafficRoutingConfig.html: at most half of the variant's instances, of which one has none."""
    one = configure(f"single-{os.urandom(3).hex()}")
    sagemaker.create_endpoint(EndpointName=one, EndpointConfigName=one)
    settle(one)
    size = {"Type": "CAPACITY_PERCENT", "Value": 50}
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 0, "CanarySize": size}
    with pytest.raises(ClientError, match="at least two instances"):
        sagemaker.update_endpoint(
            EndpointName=one,
            EndpointConfigName=configure(f"{one}-2", instances=2),
            DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
        )
    sagemaker.delete_endpoint(EndpointName=one)
