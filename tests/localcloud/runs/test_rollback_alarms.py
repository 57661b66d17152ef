# SPDX-License-Identifier: Apache-2.0
"""Alarms on what an endpoint measures: of all its fleets, or of the new one, while an update bakes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.runs.test_endpoints import invoke, upload_model

Until = Callable[..., Any]
MINUTE = 0.5
"""Seconds for which a minute of baking and of monitoring passes here."""


@pytest.fixture(scope="module")
def cloud(raise_cloud: Callable[..., Any]) -> Iterator[Any]:
    """A cloud in which minutes pass quickly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAPGATE_BAKE_SCALE", str(MINUTE / 60))
        started = raise_cloud(None)
    started.furnish()
    yield started


@pytest.fixture
def configure(cloud: Any) -> Callable[..., str]:
    """Makes a model and an endpoint configuration of one name."""

    def make(name: str, **environment: str) -> str:
        sagemaker = cloud.client("sagemaker")
        upload_model(cloud, f"weights of {name}", f"{name}/model.tar.gz")
        container = {"Image": cloud.image, "ModelDataUrl": f"s3://bucket/served/{name}/model.tar.gz"}
        sagemaker.create_model(
            ModelName=name, PrimaryContainer=container | {"Environment": environment}, ExecutionRoleArn=cloud.role
        )
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 2}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant | {"InstanceType": "ml.m5.large"}]
        )
        return name

    return make


@pytest.fixture
def settle(cloud: Any, until: Until) -> Callable[[str], dict[str, Any]]:
    def wait(name: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            described = cloud.client("sagemaker").describe_endpoint(EndpointName=name)
            return described if described["EndpointStatus"] not in ("Creating", "Updating") else None

        return dict(until(look))

    return wait


@pytest.fixture
def make_endpoint(cloud: Any, configure: Any, settle: Any) -> Callable[..., str]:
    """Makes an endpoint in service, named like its configuration."""

    def make(**environment: str) -> str:
        name: str = configure(f"watched-{os.urandom(3).hex()}", **environment)
        cloud.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=name)
        assert settle(name)["EndpointStatus"] == "InService"
        return name

    return make


def watch_errors(cloud: Any, name: str, endpoint: str, **more: str) -> None:
    named = {"EndpointName": endpoint, "VariantName": "AllTraffic", **more}
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": key, "Value": value} for key, value in named.items()],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.05,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )


def update(cloud: Any, endpoint: str, config: str, alarm: str) -> None:
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    cloud.client("sagemaker").update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName=config,
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 300},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
        },
    )


@pytest.fixture
def traffic(cloud: Any) -> Iterator[Callable[[str], None]]:
    """Keeps an endpoint busy until the test ends."""
    ended, threads = threading.Event(), list[threading.Thread]()

    def send(name: str) -> None:
        def keep_on() -> None:
            while not ended.wait(0.02):
                try:
                    invoke(cloud, name)
                except ClientError as error:
                    assert error.response["Error"]["Code"] == "ModelError"

        threads.append(threading.Thread(target=keep_on))
        threads[-1].start()

    yield send
    ended.set()
    for thread in threads:
        thread.join()


def state_of(cloud: Any, alarm: str) -> str:
    return str(cloud.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"])


def test_an_invocation_counts_for_the_endpoint_and_for_its_fleet(
    cloud: Any, make_endpoint: Callable[..., str], until: Until
) -> None:
    """sagemaker/latest/dg/monitoring-cloudwatch.html; EndpointConfigName: deployment-guardrails-configuration.html."""
    endpoint = make_endpoint()
    for body in (b"", b"status 429", b"status 503"):
        try:
            invoke(cloud, endpoint, body)
        except ClientError:
            continue
    whole = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}]
    fleet = [*whole, {"Name": "EndpointConfigName", "Value": endpoint}]

    def measured(metric: str, dimensions: list[Any]) -> dict[str, float]:
        now = datetime.now(UTC)
        points = cloud.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker", MetricName=metric, Dimensions=dimensions, Period=3600,
            StartTime=now - timedelta(hours=1), EndTime=now + timedelta(minutes=1), Statistics=["Sum", "Average"],
        )["Datapoints"]  # fmt: skip
        return {name: round(points[0][name], 3) for name in ("Sum", "Average")} if points else {}

    for dimensions in (whole, fleet):
        assert until(lambda named=dimensions: measured("Invocations", named) == {"Sum": 3, "Average": 1})
        assert measured("Invocation4XXErrors", dimensions) == {"Sum": 1, "Average": 0.333}
        assert measured("Invocation5XXErrors", dimensions) == {"Sum": 1, "Average": 0.333}
        assert measured("InvocationsPerInstance", dimensions)["Average"] == 0.5
        assert measured("ModelLatency", dimensions)["Average"] > 0
    assert measured("Invocations", whole[:1]) == {}
    assert measured("Invocations", []) == {}


def test_a_fleet_that_fails_is_rolled_back_by_an_alarm_on_it(
    cloud: Any, make_endpoint: Callable[..., str], configure: Any, settle: Any, traffic: Callable[[str], None]
) -> None:
    endpoint = make_endpoint()
    new, alarm = configure(f"{endpoint}-2", FAILING="1"), f"{endpoint}-new"
    watch_errors(cloud, alarm, endpoint, EndpointConfigName=new)
    assert state_of(cloud, alarm) == "INSUFFICIENT_DATA"
    traffic(endpoint)
    update(cloud, endpoint, new, alarm)
    described = settle(endpoint)
    assert described["EndpointConfigName"] == endpoint
    assert alarm in described["FailureReason"]


@pytest.mark.parametrize(("only_new", "serves"), [(True, True), (False, False)])
def test_a_broken_fleet_is_replaced_only_where_alarms_leave_it_out(
    cloud: Any,
    make_endpoint: Callable[..., str],
    configure: Any,
    settle: Any,
    traffic: Callable[[str], None],
    until: Until,
    only_new: bool,
    serves: bool,
) -> None:
    """deployment-guardrails-configuration.html: an alarm that sees the old fleet ends the deployment."""
    endpoint = make_endpoint(FAILING="1")
    new, alarm, whole = configure(f"{endpoint}-2"), f"{endpoint}-new", f"{endpoint}-whole"
    watch_errors(cloud, alarm, endpoint, EndpointConfigName=new)
    watch_errors(cloud, whole, endpoint)
    traffic(endpoint)
    until(lambda: state_of(cloud, whole) == "ALARM")
    update(cloud, endpoint, new, alarm if only_new else whole)
    assert settle(endpoint)["EndpointConfigName"] == (new if serves else endpoint)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"Metrics": [{"Id": "e", "Expression": "m / n"}], "ComparisonOperator": "LessThanThreshold"}, "metric math"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "anomaly detection"),
    ],
)
def test_an_alarm_that_nobody_would_evaluate_is_refused(cloud: Any, more: dict[str, Any], what: str) -> None:
    with pytest.raises(ClientError, match=f"does not evaluate .*{what}"):
        cloud.client("cloudwatch").put_metric_alarm(AlarmName="never", EvaluationPeriods=1, Threshold=1, **more)


def test_a_state_that_was_set_lasts_until_the_alarm_is_judged(cloud: Any, until: Until) -> None:
    watch_errors(cloud, "set", "nobody")
    cloud.client("cloudwatch").set_alarm_state(AlarmName="set", StateValue="ALARM", StateReason="test")
    assert state_of(cloud, "set") == "ALARM"
    assert until(lambda: state_of(cloud, "set") == "OK")


def test_samples_that_are_put_are_watched_too(cloud: Any, until: Until) -> None:
    watch = cloud.client("cloudwatch")
    for name, dimensions in (("with", [{"Name": "a", "Value": "1"}]), ("without", [])):
        watch.put_metric_alarm(
            AlarmName=name, Namespace="N", MetricName="m", Dimensions=dimensions, Statistic="Maximum", Period=60,
            EvaluationPeriods=1, Threshold=5, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip

    def put() -> bool:
        watch.put_metric_data(
            Namespace="N", MetricData=[{"MetricName": "m", "Dimensions": [{"Name": "a", "Value": "1"}], "Value": 9}]
        )
        return state_of(cloud, "with") == "ALARM"

    assert until(put)
    assert state_of(cloud, "without") == "INSUFFICIENT_DATA"
