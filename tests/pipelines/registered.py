# SPDX-License-Identifier: Apache-2.0
"""A deployment on the emulated cloud with versions, records and evidence, as the other parts leave them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from containers.evidence import envelope, statements
from containers.evidence.statements import Resource
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from tests.evaluations import evaluation

APPROVED_AT = 1_790_000_000_000
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
SECRET = b"the environment's"


def sign(message: bytes) -> bytes:
    """The signature of a key that no cloud has."""
    return hmac.digest(SECRET, message, "sha256")


def verify(message: bytes, signature: bytes) -> bool:
    """Whether it is of that key."""
    return hmac.compare_digest(sign(message), signature)


@dataclass
class Registered:
    """A project of its own on the emulated cloud."""

    url: str
    project: str

    def __post_init__(self) -> None:
        self.connection = Connection(f"{self.project}-dev", self.url)
        name = f"{self.project}-dev"
        self.names = {
            "data_bucket": f"{name}-data",
            "pipeline_name": name,
            "model_package_group": name,
            "endpoint_name": name,
            "training_image": f"{REGISTRY}/{name}-training:1",
            "inference_image": f"{REGISTRY}/{name}-inference:1",
            "deployment_table": f"{name}-deployments",
        }
        for field, value in self.names.items():
            parameter = f"/{name}/{field.replace('_', '-')}"
            self.client("ssm").put_parameter(Name=parameter, Value=value, Type="String")
        self.client("s3").create_bucket(Bucket=self.names["data_bucket"])
        self.client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
        self.client("dynamodb").create_table(
            TableName=self.names["deployment_table"],
            KeySchema=[
                {"AttributeName": "EndpointName", "KeyType": "HASH"},
                {"AttributeName": "Record", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "EndpointName", "AttributeType": "S"},
                {"AttributeName": "Record", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )

    @property
    def deployment(self) -> Deployment:
        """Its names."""
        return Deployment(**self.names)

    def client(self, service: str) -> Any:
        """A client of the emulated cloud."""
        return self.connection.client(service)

    def put(self, key: str, body: bytes) -> str:
        """Write an object and return its address."""
        self.client("s3").put_object(Bucket=self.names["data_bucket"], Key=key, Body=body)
        return f"s3://{self.names['data_bucket']}/{key}"

    def version(
        self, *, card: dict[str, Any] | None = None, model: str = "s3://data/m/model.tar.gz", **further: Any
    ) -> str:
        """Register a version with its evaluation, and return its ARN.

        Args:
            card: Of its model card.
            model: The address of its model.tar.gz.
            further: Parts of its evaluation that are otherwise than usual.
        """
        content = json.dumps(evaluation(**further)).encode()
        uri = self.put(f"executions/{hashlib.sha256(content).hexdigest()[:12]}/evaluation/evaluation.json", content)
        cards = {"ModelCard": {"ModelCardContent": json.dumps(card), "ModelCardStatus": "Draft"}} if card else {}
        answer = self.client("sagemaker").create_model_package(
            ModelPackageGroupName=self.names["model_package_group"],
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties={"mAP": "0.4120", "mAP_50": "0.6300", "runtime": "openvino"},
            ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}},
            InferenceSpecification={
                "Containers": [{"Image": self.names["inference_image"], "ModelDataUrl": model}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            **cards,
        )
        return str(answer["ModelPackageArn"])

    def record(self, key: str, **attributes: Any) -> None:
        """Write one of the deployer's records."""
        item = {"EndpointName": self.names["endpoint_name"], "Record": key, "Revision": 1, **attributes}
        told = {name: TypeSerializer().serialize(value) for name, value in item.items()}
        self.client("dynamodb").put_item(TableName=self.names["deployment_table"], Item=told)

    def arn(self, number: int) -> str:
        """A version's ARN."""
        return f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{self.names['model_package_group']}/{number}"

    def serves(self, number: int, **approval: Any) -> None:
        """Record that production serves a version, approved an hour after the one before."""
        self.record("endpoint", Champion={**_champion(number), "ModelPackageArn": self.arn(number)}, Attempt=None)
        self.approved(number, ServedAt=APPROVED_AT + number * 3_600_000 + 60_000, **approval)

    def approved(self, number: int, **attributes: Any) -> None:
        """Record a version's approval."""
        known = {
            "Version": number,
            "ModelPackageArn": self.arn(number),
            "ApprovedAt": APPROVED_AT + number * 3_600_000,
            "ApprovedBy": "arn:aws:iam::123456789012:role/ana",
            "Reason": "Better on bikes.",
            "Standing": True,
        }
        self.record(f"version#{number:06d}", **known | attributes)

    def judged(self, number: int, champion: int | None, **attributes: Any) -> None:
        """Record a version's verdict."""
        compared = "none" if champion is None else self.arn(champion)
        known = {"Version": number, "ChampionArn": compared, "MeanAP": Decimal("0.412"), "Waiver": ""}
        self.record(f"verdict#{number:06d}", **known | attributes)


def _champion(number: int) -> dict[str, Any]:
    return {
        "Version": number,
        "ModelUri": "s3://data/m/model.tar.gz",
        "Runtime": "openvino",
        "Precision": "f32",
        "InstanceType": "ml.c5.xlarge",
    }


def chain_of(
    documents: dict[str, bytes], number: int = 3, *, signed_by: Callable[[bytes], bytes] = sign
) -> dict[str, bytes]:
    """The envelopes of a version that was approved and deployed, by their names under `evidence/v000003/`.

    Args:
        documents: `dataset`, `evaluation`, `policy` and `model` by their address; their kinds are told by their names.
        number: The version's.
        signed_by: Signs a message.
    """
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev/{number}"
    named = {uri.rsplit("/", 1)[-1].split(".")[0]: uri for uri in documents}
    of = {name: Resource(uri=uri, sha256=hashlib.sha256(documents[uri]).hexdigest()) for name, uri in named.items()}
    image = Resource(uri=f"{REGISTRY}/mapgate-dev-inference:1", sha256="1" * 64)
    execution = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/abcdefghijkl"
    made: dict[str, bytes] = {}

    def add(name: str, statement: dict[str, Any]) -> str:
        made[name] = envelope.seal(statement, signed_by, "a key")
        return envelope.digest(made[name])

    first = add("dataset.json", statements.dataset(document=of["dataset"], content_sha256="d" * 64, facts={}))
    second = add(
        "provenance.json",
        statements.provenance(
            model=of["model"],
            execution_arn=execution,
            started_by="role/ana",
            started_at="2026-11-30T10:00:00Z",
            description="bikes at night",
            parameters={"Architecture": "ssd"},
            pipeline_arn=execution.split("/execution")[0],
            builder="publish-dossier",
            training_image=Resource(uri=f"{REGISTRY}/mapgate-dev-training:1", sha256="2" * 64),
            dataset_document=of["dataset"],
            previous=first,
        ),
    )
    third = add(
        "verdict.json",
        statements.verdict(
            model=of["model"],
            version=number,
            model_package_arn=arn,
            execution_arn=execution,
            evaluation=of["evaluation"],
            floor_policy=of["gate_policy"],
            gate_policy=None,
            image=image,
            test_set="t" * 64,
            dataset_sha256="d" * 64,
            champion_arn="none",
            best_arn="none",
            waiver="",
            passed=True,
            sentence="mAP_50 is at least 0.597",
            mean_ap=0.412,
            runtime="openvino",
            precision="f32",
            verifier="publish-dossier",
            verified_at="2026-11-30T11:00:00Z",
            previous=second,
        ),
    )
    fourth = add(
        f"approval-{APPROVED_AT}.json",
        statements.approval(
            model=of["model"],
            version=number,
            model_package_arn=arn,
            status="Approved",
            approved_by="arn:aws:iam::123456789012:role/ana",
            approved_at="2026-11-30T12:00:00Z",
            reason="Better on bikes.",
            override=False,
            previous=third,
        ),
    )
    add(
        f"deployment-{APPROVED_AT + 60_000}.json",
        statements.deployment(
            model=Resource(uri="s3://data/released/a/model.tar.gz", sha256=of["model"].sha256),
            version=number,
            model_package_arn=arn,
            endpoint_name="mapgate-dev",
            endpoint_config_name="mapgate-dev-v3-1f9a0c",
            image=image,
            runtime="openvino",
            precision="f32",
            deployed_at="2026-11-30T12:10:00Z",
            previous=fourth,
        ),
    )
    return made
