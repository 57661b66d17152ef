# SPDX-License-Identifier: Apache-2.0
"""SageMaker's endpoint state machine, which refuses what AWS refuses, and a world around it for the deployer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Key
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from moto import mock_aws
from moto.s3.models import s3_backends

from infra.delivery.deployer.deployments.clients import Clients
from infra.delivery.deployer.deployments.context import EventContext
from infra.delivery.deployer.deployments.events import route
from infra.delivery.deployer.deployments.hosting import Hosting
from infra.delivery.deployer.deployments.names import production
from infra.delivery.deployer.deployments.settings import DeployerSettings
from infra.delivery.triggers import DECISION, ENDPOINT_CHANGES, LOOK_MINUTES, decisions, endpoint_changes
from localcloud.events.patterns import EventPattern
from tests.infra.delivery.deployer.publishing import FLOOR, Publisher

REGION, ACCOUNT, GROUP, PREFIX, BUCKET = "us-east-1", "123456789012", "mapgate-dev", "mapgate-dev", "mapgate-dev-data"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/mapgate-dev-inference"
APPROVER = f"arn:aws:sts::{ACCOUNT}:assumed-role/approvers/kim"
KEYS: Any = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
WAITING = "0123456789"
BUSY = {"Creating", "Updating", "SystemUpdating"}
CAPITALS = {
    "Creating": "CREATING",
    "Updating": "UPDATING",
    "InService": "IN_SERVICE",
    "Failed": "FAILED",
    "Deleting": "DELETING",
    "UpdateRollbackFailed": "UPDATE_ROLLBACK_FAILED",
}
RULES = [
    EventPattern(json.dumps({"source": ["aws.sagemaker"], "detail-type": kinds, "detail": detail}))
    for kinds, detail in (([DECISION], decisions(GROUP)), (list(ENDPOINT_CHANGES), endpoint_changes(PREFIX)))
]
"""Those that wake the deployer: other events of SageMaker's reach nobody."""
LATEST_SECONDS = 240
"""How long a description may go on telling what was before an order."""
ANSWER = {"normalized_boxes": [[0.1, 0.1, 0.5, 0.6]], "classes": [1], "scores": [0.9], "labels": ["a", "b"]}


def arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


def refusal(operation: str, message: str, code: str = "ValidationException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@cache
def sagemaker_meta() -> Any:
    """Return what boto3 knows of SageMaker's calls."""
    return boto3.client("sagemaker", **KEYS).meta


@cache
def storage() -> tuple[Any, Any, Any]:
    """Return S3, DynamoDB and KMS; making a client takes longer than most tests."""
    return boto3.client("s3", **KEYS), boto3.resource("dynamodb", **KEYS), boto3.client("kms", **KEYS)


def image_digest(image: str) -> str:
    """What ECR says of an image; every tag is there, and each is another image."""
    return f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _version(config: str) -> int:
    """Return the version in the name of an endpoint configuration; 0 where somebody else chose the name."""
    numbers = re.search("-(?:v|candidate-)([0-9]+)", config)
    return int(numbers[1]) if numbers else 0


def nothing(operation: str) -> None:
    """Let a call pass."""


@dataclass
class Package:
    """A version in the registry."""

    version: int
    approval: str = "PendingManualApproval"
    modified: float = 0.0
    image: str = f"{REPOSITORY}:tag"
    metadata: dict[str, str] = field(default_factory=dict)
    modified_by: str = "arn:aws:sts::123456789012:assumed-role/pipeline/jo"
    description: str = ""
    container: dict[str, Any] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return arn("model-package", f"{GROUP}/{self.version}")

    @property
    def model_uri(self) -> str:
        return f"s3://{BUCKET}/models/job-{self.version}/output/model.tar.gz"

    @property
    def evaluation_uri(self) -> str:
        return f"s3://{BUCKET}/executions/execution{self.version}/evaluation"


@dataclass
class Endpoint:
    """An endpoint, and where it is heading."""

    config: str
    status: str = "Creating"
    pending: str | None = None
    reason: str = ""
    instances: int = 1
    pending_instances: int = 1
    modified: float = 0.0
    created: float = 0.0


class FakeSageMaker:
    """The calls that the deployer makes of SageMaker, checked against botocore's model.

    Attributes:
        events: EventBridge events that nobody handled yet.
        doomed: Versions, and configurations, whose fleet does not come up.
        stuck: Versions whose roll-out can be neither finished nor rolled back.
        alarms: What PutMetricAlarm was asked, by name.
        tokens: Answer by callback token; None while the pipeline waits.
        before_call: Called before each call; it may fail, or do something else in between.
        violations: What SageMaker would let pass although its documentation forbids it.
        lacking: What SageMaker says that the account lacks, when a fleet does not come up.
        containers: How many each version has.
        lag: How many descriptions within minutes of an order are those of before it: consistency is not promised.
    """

    def __init__(self) -> None:
        self.now = 1_790_000_000.0
        self.packages: dict[int, Package] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.events: list[dict[str, Any]] = []
        self.doomed: set[int | str | None] = set()
        self.stuck: set[int] = set()
        self.tokens: dict[str, Any] = {}
        self.updates: list[dict[str, Any]] = []
        self.alarms: dict[str, dict[str, Any]] = {}
        self.before_call: Callable[[str], None] = nothing
        self.violations: list[str] = []
        self.lacking = ""
        self.lag = 0
        self.containers = 1
        self._before: dict[str, tuple[Endpoint | None, int, float]] = {}
        self._request: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        meta = sagemaker_meta()
        operation = meta.method_to_api_mapping[name]
        shape = meta.service_model.operation_model(operation).input_shape
        assert shape is not None

        def call(**parameters: Any) -> Any:
            report = ParamValidator().validate(parameters, shape)
            assert not report.has_errors(), report.generate_report()
            self.before_call(operation)
            self._request = parameters
            return getattr(self, f"_{name}")(**{xform_name(key): value for key, value in parameters.items()})

        return call

    def get_paginator(self, name: str) -> Any:
        fake = self

        class Paginator:
            def paginate(self, **parameters: Any) -> Iterator[Any]:
                yield getattr(fake, name)(**parameters)

        return Paginator()

    # What people and time do.

    def register(self) -> Package:
        version = len(self.packages) + 1
        self.packages[version] = Package(version)
        self._touch(version, [])
        return self.packages[version]

    def review(self, version: int, approval: str, description: str = "", by: str = APPROVER) -> None:
        package = self.packages[version]
        package.approval, package.description, package.modified_by = approval, description, by
        self._touch(version, ["ModelApprovalStatus"])

    def annotate(self, version: int) -> None:
        self.packages[version].metadata["note"] = str(self.now)
        self._touch(version, ["CustomerMetadataProperties"])

    def progress(self, name: str) -> None:
        """Let SageMaker finish what it is doing with an endpoint; one at rest is reported once more, unchanged."""
        endpoint = self.endpoints[name]
        version = _version(endpoint.pending or endpoint.config)
        match endpoint.status:
            case "Creating":
                broken = version in self.doomed | self.stuck
                endpoint.status = "Failed" if broken else "InService"
                unhealthy = self.lacking or "The container did not pass the ping health check."
                endpoint.reason = unhealthy if broken else ""
            case "Updating":
                if version in self.stuck:
                    endpoint.status = "UpdateRollbackFailed"
                else:
                    endpoint.status = "InService"
                    endpoint.reason = self.lacking
                    if not {version, endpoint.pending} & self.doomed:
                        endpoint.config, endpoint.instances = str(endpoint.pending), endpoint.pending_instances
                        endpoint.reason = ""
                endpoint.pending = None
            case "Deleting":
                del self.endpoints[name]
                return
            case _:
                self._report(name)  # Nothing modifies an endpoint at rest, but an event may come twice.
                return
        self._announce(name)

    # The calls.

    def _describe_model_package(self, model_package_name: str) -> dict[str, Any]:
        found = [package for package in self.packages.values() if package.arn == model_package_name]
        if not found:
            raise refusal("DescribeModelPackage", f"ModelPackage {model_package_name} does not exist.")
        package = found[0]
        statistics = {"ContentType": "application/json", "S3Uri": f"{package.evaluation_uri}/evaluation.json"}
        moment = datetime.fromtimestamp(package.modified, UTC)
        return {
            "ModelPackageVersion": package.version,
            "ModelApprovalStatus": package.approval,
            "CreationTime": moment,
            "LastModifiedTime": moment,
            "InferenceSpecification": {
                "Containers": [{"Image": package.image, "ModelDataUrl": package.model_uri, **package.container}]
                * self.containers,
                "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.xlarge"],
            },
            "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
            "CustomerMetadataProperties": dict(package.metadata),
            "ApprovalDescription": package.description,
            "LastModifiedBy": {"IamIdentity": {"Arn": package.modified_by}} if package.modified_by else {},
        }

    def _list_model_packages(self, model_approval_status: str | None = None, **_: Any) -> dict[str, Any]:
        chosen = [one for one in self.packages.values() if model_approval_status in (None, one.approval)]
        summaries = [{"ModelPackageArn": one.arn, "ModelApprovalStatus": one.approval} for one in chosen]
        return {"ModelPackageSummaryList": summaries}

    def _delete_model_package(self, model_package_name: str) -> None:
        del self.packages[int(model_package_name.rpartition("/")[2])]

    def _create_model(self, model_name: str, **_: Any) -> dict[str, Any]:
        if model_name in self.models:
            raise refusal("CreateModel", f'Cannot create already existing model "{arn("model", model_name)}".')
        self.models[model_name] = self._request
        return {"ModelArn": arn("model", model_name)}

    def _describe_model(self, model_name: str) -> dict[str, Any]:
        if model_name not in self.models:
            raise refusal("DescribeModel", f'Could not find model "{arn("model", model_name)}".')
        return self.models[model_name]

    def _delete_model(self, model_name: str) -> None:
        if model_name not in self.models:
            raise refusal("DeleteModel", f'Could not find model "{arn("model", model_name)}".')
        used = {self._variant(config)["ModelName"] for config in self._configs_in_use()}
        if model_name in used:
            self.violations.append(f"model {model_name} was deleted under an endpoint")
        del self.models[model_name]

    def _create_endpoint_config(
        self, endpoint_config_name: str, production_variants: list[Any], **_: Any
    ) -> dict[str, Any]:
        if endpoint_config_name in self.configs:
            name = arn("endpoint-config", endpoint_config_name)
            raise refusal("CreateEndpointConfig", f'Cannot create already existing endpoint configuration "{name}".')
        model = production_variants[0]["ModelName"]
        if model not in self.models:
            raise refusal("CreateEndpointConfig", f'Could not find model "{arn("model", model)}".')
        self.configs[endpoint_config_name] = self._request
        return {"EndpointConfigArn": arn("endpoint-config", endpoint_config_name)}

    def _describe_endpoint_config(self, endpoint_config_name: str) -> dict[str, Any]:
        if endpoint_config_name not in self.configs:
            raise self._no_config("DescribeEndpointConfig", endpoint_config_name)
        return self.configs[endpoint_config_name]

    def _delete_endpoint_config(self, endpoint_config_name: str) -> None:
        if endpoint_config_name not in self.configs:
            raise self._no_config("DeleteEndpointConfig", endpoint_config_name)
        if endpoint_config_name in self._configs_in_use():
            self.violations.append(f"configuration {endpoint_config_name} was deleted under an endpoint")
        del self.configs[endpoint_config_name]

    def _create_endpoint(self, endpoint_name: str, endpoint_config_name: str, **_: Any) -> dict[str, Any]:
        if endpoint_name in self.endpoints:
            name = arn("endpoint", endpoint_name)
            raise refusal("CreateEndpoint", f'Cannot create already existing endpoint "{name}".')
        if endpoint_config_name not in self.configs:
            raise self._no_config("CreateEndpoint", endpoint_config_name)
        self._order(endpoint_name)
        count = self._variant(endpoint_config_name)["InitialInstanceCount"]
        self.endpoints[endpoint_name] = Endpoint(endpoint_config_name, instances=count, created=self.now)
        self._announce(endpoint_name)
        return {"EndpointArn": arn("endpoint", endpoint_name)}

    def _update_endpoint(
        self,
        endpoint_name: str,
        endpoint_config_name: str,
        deployment_config: dict[str, Any],
        retain_all_variant_properties: bool,
    ) -> dict[str, Any]:
        endpoint = self._endpoint("UpdateEndpoint", endpoint_name)
        if endpoint.status not in {"InService", "UpdateRollbackFailed"}:
            raise refusal("UpdateEndpoint", f'Cannot update in-progress endpoint "{arn("endpoint", endpoint_name)}".')
        if endpoint_config_name not in self.configs:
            raise self._no_config("UpdateEndpoint", endpoint_config_name)
        if endpoint_config_name == endpoint.config:
            # "To update an endpoint, you must create a new EndpointConfig" (API_UpdateEndpoint.html).
            raise refusal("UpdateEndpoint", f"{endpoint_name} has the configuration {endpoint_config_name} already.")
        count = self._variant(endpoint_config_name)["InitialInstanceCount"]
        coming = endpoint.instances if retain_all_variant_properties else count
        routing = deployment_config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
        if routing["Type"] == "CANARY" and min(endpoint.instances, coming) < 2:
            raise refusal("UpdateEndpoint", "A canary is at most half of the variant's instances.")
        alarms = {each["AlarmName"] for each in deployment_config["AutoRollbackConfiguration"]["Alarms"]}
        if not alarms <= set(self.alarms):
            self.violations.append(f"an update is watched by alarms that are not there: {alarms}")
        self._order(endpoint_name)
        endpoint.status, endpoint.pending, endpoint.pending_instances = "Updating", endpoint_config_name, coming
        self.updates.append(self._request)
        self._announce(endpoint_name)
        return {"EndpointArn": arn("endpoint", endpoint_name)}

    def _describe_endpoint(self, endpoint_name: str) -> dict[str, Any]:
        before, left, ordered_at = self._before.get(endpoint_name, (None, 0, 0.0))
        left = left if self.now - ordered_at < LATEST_SECONDS else 0
        if left:
            self._before[endpoint_name] = (before, left - 1, ordered_at)
        endpoint = before if left else self.endpoints.get(endpoint_name)
        if endpoint is None:
            raise refusal("DescribeEndpoint", f'Could not find endpoint "{arn("endpoint", endpoint_name)}".')
        answer = {
            "EndpointStatus": endpoint.status,
            "ProductionVariants": [
                {"CurrentInstanceCount": endpoint.instances, "DesiredInstanceCount": endpoint.instances}
            ],
            "EndpointConfigName": endpoint.config,
            "CreationTime": datetime.fromtimestamp(endpoint.created, UTC),
            "LastModifiedTime": datetime.fromtimestamp(endpoint.modified, UTC),
        }
        return answer | ({"FailureReason": endpoint.reason} if endpoint.reason else {})

    def _delete_endpoint(self, endpoint_name: str) -> None:
        endpoint = self._endpoint("DeleteEndpoint", endpoint_name)
        if endpoint.status in BUSY:
            raise refusal("DeleteEndpoint", f'Cannot update in-progress endpoint "{arn("endpoint", endpoint_name)}".')
        if endpoint_name == PREFIX and endpoint.status == "InService":
            self.violations.append("production was deleted while it served")
        endpoint.status = "Deleting"

    def _list_endpoints(self, name_contains: str) -> dict[str, Any]:
        return {"Endpoints": [{"EndpointName": name} for name in self.endpoints if name_contains in name]}

    def _list_endpoint_configs(self, name_contains: str) -> dict[str, Any]:
        return {"EndpointConfigs": [{"EndpointConfigName": name} for name in self.configs if name_contains in name]}

    def _list_models(self, name_contains: str) -> dict[str, Any]:
        return {"Models": [{"ModelName": name} for name in self.models if name_contains in name]}

    def _send_pipeline_execution_step_success(self, callback_token: str, output_parameters: list[Any]) -> None:
        self._take_answer("SendPipelineExecutionStepSuccess", callback_token)
        self.tokens[callback_token] = {one["Name"]: one["Value"] for one in output_parameters}

    def _send_pipeline_execution_step_failure(self, callback_token: str, failure_reason: str) -> None:
        assert len(failure_reason) <= 256
        self._take_answer("SendPipelineExecutionStepFailure", callback_token)
        self.tokens[callback_token] = failure_reason

    def _take_answer(self, operation: str, token: str) -> None:
        if self.tokens.get(token, "unknown") is not None:
            raise refusal(operation, f"Callback token {token} is not waited for", "ResourceNotFound")

    def _touch(self, version: int, fields: list[str]) -> None:
        self.now += 10
        package = self.packages[version]
        package.modified = self.now
        detail = {
            "ModelPackageGroupName": GROUP,
            "ModelPackageVersion": version,
            "ModelPackageArn": package.arn,
            "LastModifiedTime": round(package.modified * 1000),
            "ModelApprovalStatus": package.approval,
            "UpdatedModelPackageFields": fields,
        }
        self._emit("SageMaker Model Package State Change", detail)

    def _order(self, name: str) -> None:
        """Remember how an endpoint was before an order, which some descriptions go on telling."""
        present = self.endpoints.get(name)
        self._before[name] = (replace(present) if present else None, self.lag, self.now)

    def _announce(self, name: str) -> None:
        self.now += 1
        self.endpoints[name].modified = self.now
        self._report(name)

    def _report(self, name: str) -> None:
        endpoint = self.endpoints[name]
        detail = {
            "EndpointName": name,
            "EndpointConfigName": endpoint.config,
            "EndpointStatus": CAPITALS[endpoint.status],
        }
        self._emit("SageMaker Endpoint State Change", detail)

    def _emit(self, kind: str, detail: dict[str, Any]) -> None:
        self.events.append({"source": "aws.sagemaker", "detail-type": kind, "detail": detail})

    def _endpoint(self, operation: str, name: str) -> Endpoint:
        if name not in self.endpoints:
            raise refusal(operation, f'Could not find endpoint "{arn("endpoint", name)}".')
        return self.endpoints[name]

    def _no_config(self, operation: str, name: str) -> ClientError:
        return refusal(operation, f'Could not find endpoint configuration "{arn("endpoint-config", name)}".')

    def _configs_in_use(self) -> set[str]:
        live = [endpoint for endpoint in self.endpoints.values() if endpoint.status not in {"Deleting", "Failed"}]
        return {name for endpoint in live for name in (endpoint.config, endpoint.pending) if name in self.configs}

    def _variant(self, config: str) -> dict[str, Any]:
        return dict(self.configs[config]["ProductionVariants"][0])


class FakeCloudWatch:
    """Alarms, put and deleted."""

    def __init__(self, sagemaker: FakeSageMaker) -> None:
        self._sagemaker = sagemaker

    def put_metric_alarm(self, **alarm: Any) -> None:
        self._sagemaker.before_call("PutMetricAlarm")
        self._sagemaker.alarms[alarm["AlarmName"]] = alarm

    def delete_alarms(self, AlarmNames: list[str]) -> None:  # noqa: N803  # boto3's name
        for name in AlarmNames:
            self._sagemaker.alarms.pop(name, None)


class FakeRuntime:
    """Endpoints that answer a fixed answer."""

    def __init__(self, sagemaker: FakeSageMaker) -> None:
        self.sagemaker = sagemaker
        self.answer: Any = ANSWER
        self.requests: list[dict[str, Any]] = []
        self.before_call: Callable[[str], None] = nothing

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.before_call("InvokeEndpoint")
        self.requests.append(request)
        endpoint = self.sagemaker.endpoints.get(request["EndpointName"])
        if endpoint is None or endpoint.status not in {"InService", "Updating"}:
            raise refusal("InvokeEndpoint", f"Endpoint {request['EndpointName']} of account {ACCOUNT} not found.")
        return {"Body": BytesIO(json.dumps(self.answer).encode())}


class Outbox:
    """Keeps what is sent to people or to the queue.

    Attributes:
        returns: Messages that are to come back, and when.
        failures: How many of the next messages are not taken.
    """

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.returns: list[dict[str, Any]] = []
        self.failures = 0
        self.before_call: Callable[[str], None] = nothing

    @property
    def faults(self) -> list[dict[str, Any]]:
        """What was sent of anything but decisions and versions that serve or wait for a decision."""
        return [message for message in self.sent if not _ORDINARY.search(message["Subject"])]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Kind and version of each message to people."""
        said = [message["MessageAttributes"] for message in self.sent]
        return [(each["kind"]["StringValue"], each["version"]["StringValue"]) for each in said]

    def publish(self, **message: Any) -> None:
        assert len(message["Subject"]) <= 100
        self.before_call("Publish")
        if self.failures:
            self.failures -= 1
            raise refusal("Publish", "The request could not be served.", "InternalError")
        self.sent.append(message)

    def change_message_visibility(self, **change: Any) -> None:
        self.returns.append(change)

    def send_message(self, **message: Any) -> None:
        assert 0 <= message["DelaySeconds"] <= 900
        self.sent.append(message)


_ORDINARY = re.compile("was approved|was rejected|lost its approval|serves production|waits for approval")


class FakeEcr:
    """Every tag is there."""

    def __init__(self) -> None:
        self.moved: dict[str, str] = {}

    def describe_images(self, registryId: str, repositoryName: str, imageIds: list[Any]) -> dict[str, Any]:  # noqa: N803
        image = f"{registryId}.dkr.ecr.{REGION}.amazonaws.com/{repositoryName}:{imageIds[0]['imageTag']}"
        return {"imageDetails": [{"imageDigest": self.moved.get(image) or image_digest(image)}]}


class Disturbed:
    """A service whose calls can be disturbed as SageMaker's can."""

    def __init__(self, service: Any, sagemaker: FakeSageMaker) -> None:
        self._service, self._sagemaker = service, sagemaker

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        if not callable(found):
            return found

        def call(**parameters: Any) -> Any:
            self._sagemaker.before_call(name)
            return found(**parameters)

        return call


class ConditionalS3(Disturbed):
    """moto's S3 with conditions on copies, which it lacks."""

    def copy_object(self, **parameters: Any) -> Any:
        self._sagemaker.before_call("copy_object")
        free = parameters.pop("IfNoneMatch") == "*"
        source = self._service.head_object(**parameters["CopySource"])
        taken = free and "Contents" in self._service.list_objects_v2(
            Bucket=parameters["Bucket"], Prefix=parameters["Key"]
        )
        if taken or source["ETag"] != parameters["CopySourceIfMatch"]:
            raise refusal("CopyObject", "At least one of the pre-conditions did not hold", "PreconditionFailed")
        return self._service.copy_object(**parameters)


class World:
    """The deployer's surroundings: fake SageMaker, moto's S3 and DynamoDB, and the queues between them."""

    def __init__(self, **settings: Any) -> None:
        self._closed = False
        self._mock = mock_aws()
        self._mock.start()
        self.s3, dynamodb, self.kms = storage()
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        keys = {"EndpointName": "HASH", "Record": "RANGE"}
        self.table: Any = dynamodb.create_table(
            TableName="deployments",
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        self.sagemaker = FakeSageMaker()
        self.runtime = FakeRuntime(self.sagemaker)
        self.topic, self.queue, self.ecr = Outbox(), Outbox(), FakeEcr()
        self.topic.before_call = lambda operation: self.sagemaker.before_call(operation)
        self.clients = Clients(
            {
                "sagemaker": self.sagemaker,
                "sagemaker-runtime": self.runtime,
                "cloudwatch": FakeCloudWatch(self.sagemaker),
                "s3": ConditionalS3(self.s3, self.sagemaker),
                "kms": Disturbed(self.kms, self.sagemaker),
                "ecr": self.ecr,
                "sns": self.topic,
                "sqs": self.queue,
                "table": Disturbed(self.table, self.sagemaker),
            },
            clock=lambda: self.sagemaker.now,
        )
        given: dict[str, Any] = {
            "prefix": PREFIX,
            "table": "deployments",
            "bucket": BUCKET,
            "model_package_group": GROUP,
            "endpoint_name": PREFIX,
            "topic_arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:mapgate-dev",
            "instance_type": "ml.m5.xlarge",
            "instance_count": 1,
            "execution_role_arn": f"arn:aws:iam::{ACCOUNT}:role/mapgate-dev",
            "callback_queue_url": "https://queue",
            "signing_key_arn": self.make_key(),
            "floor_policy_sha256": FLOOR,
            "inference_repository": REPOSITORY,
        }
        self.settings = DeployerSettings(**(given | settings))
        self.publisher = Publisher(
            s3=self.s3,
            kms=self.kms,
            table=self.table,
            bucket=BUCKET,
            endpoint_name=PREFIX,
            key_arn=self.settings.signing_key_arn,
        )

    def close(self) -> None:
        if not self._closed:
            self._mock.stop()
        self._closed = True

    def make_key(self) -> str:
        """Make a key that signs."""
        answer = self.kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        return str(answer["KeyMetadata"]["Arn"])

    def register(
        self, *, passed: bool = True, tag: str = "tag", recorded: dict[str, Any] | None = None, **evaluation: Any
    ) -> Package:
        """Register a version with its artifact, its evaluation and the verdict, of which `recorded` is another."""
        package = self.sagemaker.register()
        package.image = f"{REPOSITORY}:{tag}"
        artifact = f"model {package.version}".encode()
        judged: dict[str, Any] = {
            "model": {"sha256": hashlib.sha256(artifact).hexdigest(), "uri": package.model_uri},
            "serving": {"runtime": "openvino", "precision": "f32"},
            "gate": {"passed": passed, "sentence": "mAP 0.7 is at least 0.5" if passed else "mAP 0.1", "mAP": 0.7},
            "policy": {"floor": {"sha256": (recorded or {}).get("floor", FLOOR)}},
        } | evaluation
        body = json.dumps(judged).encode()
        self.put(package.model_uri, artifact)
        self.put(f"{package.evaluation_uri}/evaluation.json", body)
        self.put(f"{package.evaluation_uri}/sample.jpg", b"\xff\xd8jpeg")
        found = {"Runtime": judged["serving"]["runtime"], "Precision": judged["serving"]["precision"]}
        self.publisher.publish(
            version=package.version,
            arn=package.arn,
            execution_arn=arn("pipeline", f"{PREFIX}/execution/{package.version:012d}"),
            evaluation_uri=f"{package.evaluation_uri}/evaluation.json",
            evaluation=body,
            model_uri=package.model_uri,
            model_sha256=hashlib.sha256(artifact).hexdigest(),
            image=package.image,
            image_digest=image_digest(package.image),
            passed=passed,
            **(found | (recorded or {})),
        )
        return package

    def forget_verdict(self, package: Package) -> None:
        """Let a version be one that no PublishDossier recorded."""
        self.table.delete_item(Key={"EndpointName": PREFIX, "Record": f"verdict#{package.version:06d}"})

    def die_between_order_and_record(self) -> None:
        """Handle the last event with a function that times out between UpdateEndpoint and what it records of it."""

        def die(operation: str) -> None:
            if operation == "put_item" and self.sagemaker.updates:
                raise RuntimeError("the function timed out")

        self.sagemaker.before_call = die
        with pytest.raises(RuntimeError):
            self.handle(self.sagemaker.events[-1])
        self.sagemaker.before_call = nothing

    def put(self, uri: str, body: bytes) -> None:
        """Write an object at the time of this world."""
        key = uri.removeprefix(f"s3://{BUCKET}/")
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        written = s3_backends[ACCOUNT]["aws"].buckets[BUCKET].keys[key]
        written.last_modified = datetime.fromtimestamp(self.sagemaker.now, UTC).replace(tzinfo=None)

    def get(self, uri: str) -> bytes:
        answer = self.s3.get_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))
        return bytes(answer["Body"].read())

    def context(self) -> EventContext:
        """Return what an event has at hand."""
        return EventContext.begin(self.settings, self.clients, "test")

    def remove(self, uri: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))

    def approve(self, package: Package, why: str = "override: whatever serves") -> None:
        """Approve a version; what it was compared with matters only where a test says so."""
        self.sagemaker.review(package.version, "Approved", why)

    def reject(self, package: Package) -> None:
        self.sagemaker.review(package.version, "Rejected")

    def handle(self, event: dict[str, Any]) -> None:
        route(event, self.clients, self.settings)

    def ask(self, package: Package, status: str = "Executing", token: str = WAITING) -> None:
        """Deliver a message of the Callback step."""
        if status == "Executing":
            self.sagemaker.tokens.setdefault(token, None)
        body = {
            "token": token,
            "pipelineExecutionArn": arn("pipeline", f"{PREFIX}/execution/{package.version:012d}"),
            "arguments": {"model_package_arn": package.arn, "evaluation_uri": package.evaluation_uri},
            "status": status,
        }
        self.handle({"Records": [{"messageId": "1", "body": json.dumps(body), "eventSource": "aws:sqs"}]})

    def deliver(self) -> None:
        """Deliver every event that a rule of the stack's matches, and every reminder that is waiting."""
        while self.sagemaker.events or self.queue.sent:
            if not self.sagemaker.events:
                self.remind()
                continue
            event = self.sagemaker.events.pop(0)
            if any(rule.matches(event) for rule in RULES):
                self.handle(event)

    def remind(self) -> None:
        """Let a minute pass: what was being deleted is gone, and the reminder arrives."""
        self.sagemaker.now += 60
        for name in [name for name, endpoint in self.sagemaker.endpoints.items() if endpoint.status == "Deleting"]:
            self.sagemaker.progress(name)
        self.handle({"Records": [{"body": self.queue.sent.pop(0)["MessageBody"]}]})

    def look(self) -> None:
        """Let the rule fire that fires at regular intervals."""
        self.sagemaker.now += 60 * LOOK_MINUTES
        self.handle({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})

    def settle(self) -> None:
        """Deliver events and let SageMaker work until neither has anything left to do."""
        for _ in range(200):
            self.deliver()
            busy = [name for name, one in self.sagemaker.endpoints.items() if one.status in {*BUSY, "Deleting"}]
            if not busy:
                return
            self.sagemaker.progress(busy[0])
        raise AssertionError("the world does not come to rest")

    def named(self, version: int) -> str:
        """Return the name of the configuration that serves a version with the settings of now."""
        hosting = Hosting(self.sagemaker, self.clients.cloudwatch, self.settings)  # type: ignore[arg-type]
        return production(PREFIX, version, hosting.fingerprint)

    def change(self, **settings: Any) -> None:
        """Deploy the stack with other settings."""
        self.settings = replace(self.settings, **settings)
        self.queue.send_message(MessageBody=json.dumps({"endpoint": PREFIX}), DelaySeconds=0)

    def serving(self) -> str | None:
        endpoint = self.sagemaker.endpoints.get(PREFIX)
        return endpoint.config if endpoint and endpoint.status == "InService" else None

    def record(self, key: str = "endpoint", endpoint: str = PREFIX) -> dict[str, Any]:
        item: dict[str, Any] = self.table.get_item(Key={"EndpointName": endpoint, "Record": key}).get("Item", {})
        return item

    def released(self, package: Package) -> str:
        """Return where a version is served from."""
        digest = hashlib.sha256(f"model {package.version}".encode()).hexdigest()
        return f"s3://{BUCKET}/released/{digest}/model.tar.gz"

    def history(self) -> list[dict[str, Any]]:
        """Return the endpoint's history, oldest first."""
        key = Key("EndpointName").eq(PREFIX) & Key("Record").begins_with("event#")
        return list(self.table.query(KeyConditionExpression=key)["Items"])

    def champion(self) -> int | None:
        champion = self.record().get("Champion")
        return int(champion["Version"]) if champion else None


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(**settings: Any) -> World:
        worlds.append(World(**settings))
        return worlds[-1]

    yield make
    for world in reversed(worlds):
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
