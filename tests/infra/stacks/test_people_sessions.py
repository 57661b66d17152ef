# SPDX-License-Identifier: Apache-2.0
"""The calls of `mapgate run`, `executions` and `models`, made by sessions of people with the deployed policies."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from containers.evidence.signing import signer
from infra.settings import Settings
from infra.training.binding import bind
from infra.training.check_plan_asset import check_plan_asset
from localcloud import cloud as local_cloud
from localcloud.pushing import push
from pipelines.client import (
    deployments,
    executions,
    images,
    initial_checkpoint,
    provenance,
    quotas,
    registry,
    serving,
    surroundings,
)
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.edge import EdgeArchiveError
from pipelines.client.edge import fetch as fetch_edge
from pipelines.client.execution_parameters import uri_of
from pipelines.client.links import Recorded
from pipelines.errors import BadInputError
from tests.infra.stacks.test_people import ACCOUNT, BUCKET, KEY, SIGNING_KEY, TABLE, policies
from tests.infra.training.test_binding import COMMITTED, NAMES, step
from tests.pipelines.registered import chain_of

REFUSED = "is not authorized to perform"
DATA = BUCKET.removeprefix("arn:aws:s3:::")
REPORT = "executions/abc/report.html"
POLICY = Settings(environment="dev").floor_policy
FLOOR = f"{POLICY.folder}gate_policy.yaml"
MODEL = f"s3://{DATA}/models/pipelines-abc/output/model.tar.gz"
TRUST = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
ENDS: dict[str, Any] = {"Name": "Ends", "Type": "Fail", "Arguments": {"ErrorMessage": "at once"}}
DEFINITION: dict[str, Any] = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "DatasetUri", "Type": "String", "DefaultValue": "s3://b/k"}],
    "Steps": [ENDS],
}
PUBLISHED = {
    "data-bucket": DATA,
    "pipeline-name": "mapgate-dev",
    "model-package-group": "mapgate-dev",
    "endpoint-name": "mapgate-dev",
    "training-image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/mapgate-dev-training:0123456789abcdef",
    "inference-image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/mapgate-dev-inference:0123456789abcdef",
    "deployment-table": TABLE.rpartition("/")[2],
}

DOCUMENTS = {
    "executions/abc/metadata/dataset.json": b"{}",
    "executions/abc/evaluation/evaluation.json": b"{}",
    "defaults/gate-policy/f/gate_policy.yaml": b"schema_version: 2",
    "models/pipelines-abc/output/model.tar.gz": b"an archive",
}


@dataclass(frozen=True)
class Place:
    """A cloud in which the names of a deployment lie."""

    endpoint_url: str

    def connection(self, role: str | None = None) -> Connection:
        return Connection(endpoint_url=self.endpoint_url, role=role)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, dev: Any) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("people") / ".mapgate"
    made = Place(local_cloud.up(home).endpoint_url)
    _furnish(made.connection(), policies(dev))
    yield made
    local_cloud.down(home)


def _furnish(administrator: Connection, documents: dict[str, Any]) -> None:
    key = administrator.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3, iam, sagemaker = (administrator.client(name) for name in ("s3", "iam", "sagemaker"))
    s3.create_bucket(Bucket=DATA)
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    s3.put_bucket_encryption(Bucket=DATA, ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_object(Bucket=DATA, Key=REPORT, Body=b"<html>")
    s3.put_object(Bucket=DATA, Key=MODEL.removeprefix(f"s3://{DATA}/"), Body=b"an archive")
    outputs = MODEL.removeprefix(f"s3://{DATA}/").replace("model.tar.gz", "output.tar.gz")
    s3.put_object(Bucket=DATA, Key=outputs, Body=b"outputs")
    s3.put_object(Bucket=DATA, Key="defaults/scratch/scratch", Body=b"scratch\n")
    s3.put_object(Bucket=DATA, Key=FLOOR, Body=POLICY.text.encode())
    keys = {"EndpointName": "HASH", "Record": "RANGE"}
    administrator.client("dynamodb").create_table(
        TableName=TABLE.rpartition("/")[2],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    for name, value in PUBLISHED.items():
        administrator.client("ssm").put_parameter(Name=f"/mapgate-dev/{name}", Value=value, Type="String")
    for name in ("training", "inference"):
        administrator.client("ecr").create_repository(repositoryName=f"mapgate-dev-{name}")
    signing_key = _sign(administrator)
    trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    for role in ("data-scientist", "approver"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)
    for name, document in documents.items():
        role = name.removeprefix("mapgate-dev-").removesuffix("-reading")
        text = json.dumps(document).replace(SIGNING_KEY, signing_key).replace(KEY, key)
        arn = iam.create_policy(PolicyName=name, PolicyDocument=text)["Policy"]["Arn"]
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    pipeline_role = f"arn:aws:iam::{ACCOUNT}:role/data-scientist"
    sagemaker.create_pipeline(
        PipelineName="mapgate-dev",
        PipelineDefinition=json.dumps(DEFINITION),
        ClientRequestToken="t" * 32,
        RoleArn=pipeline_role,
    )
    sagemaker.create_model_package_group(ModelPackageGroupName="mapgate-dev")
    sagemaker.create_model_package(
        ModelPackageGroupName="mapgate-dev",
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={"report_uri": f"s3://{DATA}/{REPORT}"},
        InferenceSpecification={
            "Containers": [{"Image": PUBLISHED["inference-image"], "ModelDataUrl": MODEL}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )


def _sign(administrator: Connection) -> str:
    """Leave evidence of version 1, and return the key that signed it."""
    kms = administrator.client("kms")
    key = str(kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"])
    administrator.client("ssm").put_parameter(Name="/mapgate-dev/signing-key", Value=key, Type="String")
    documents = {f"s3://{DATA}/{key}": body for key, body in DOCUMENTS.items()}
    for uri, body in documents.items():
        administrator.client("s3").put_object(Bucket=DATA, Key=uri.removeprefix(f"s3://{DATA}/"), Body=body)
    for name, body in chain_of(documents, 1, signed_by=signer(kms, key)).items():
        administrator.client("s3").put_object(Bucket=DATA, Key=f"evidence/v000001/{name}", Body=body)
    return key


@pytest.fixture
def data_scientist(place: Place) -> Connection:
    return place.connection("data-scientist")


@pytest.fixture
def approver(place: Place) -> Connection:
    return place.connection("approver")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"an image")
    return tmp_path


def newest(connection: Connection) -> registry.Version:
    return registry.version(connection, Deployment.find(connection).model_package_group, None)


def test_a_data_scientist_runs_watches_and_stops(data_scientist: Connection, image: Path) -> None:
    deployment = Deployment.find(data_scientist)
    assert not any(images.is_pushed(data_scientist, each) for each in images.images_of(deployment))
    uri = uri_of(data_scientist, deployment.data_bucket, str(image), under="datasets")
    arn = executions.start(data_scientist, deployment.pipeline_name, {"DatasetUri": uri})
    *_, last = executions.watch(data_scientist, arn)
    assert (last.status, last.step("Ends") is not None) == ("Failed", True)
    assert executions.resolve(data_scientist, deployment.pipeline_name, None) == arn
    with pytest.raises(BadInputError) as ended:
        executions.stop(data_scientist, arn)
    assert REFUSED not in str(ended.value)
    assert executions.StepLog(data_scientist, "/aws/sagemaker/TrainingJobs", "pipelines-abc").new_lines() == []


def test_a_data_scientist_starts_from_a_version_the_champion_or_scratch(data_scientist: Connection) -> None:
    deployment = Deployment.find(data_scientist)
    assert initial_checkpoint.find(data_scientist, deployment, "1").source == MODEL
    assert initial_checkpoint.find(data_scientist, deployment, newest(data_scientist).arn).source == MODEL
    assert initial_checkpoint.find(data_scientist, deployment, "scratch").said == "from scratch"
    with pytest.raises(BadInputError, match="serves nothing yet"):
        initial_checkpoint.find(data_scientist, deployment, "champion")


def test_a_data_scientist_fetches_what_a_version_has_for_the_edge(data_scientist: Connection, tmp_path: Path) -> None:
    # What the training wrote is no archive here: it came.
    with pytest.raises(EdgeArchiveError, match="cannot be read"):
        fetch_edge(data_scientist, newest(data_scientist), tmp_path / "edge")
    missing = replace(newest(data_scientist), model_uri=MODEL.replace("pipelines-abc", "pipelines-def"))
    with pytest.raises(BadInputError, match="has no files for edge devices"):
        fetch_edge(data_scientist, missing, tmp_path / "edge")


def test_only_who_starts_asks_for_quotas(data_scientist: Connection, approver: Connection) -> None:
    quotas.refuse_shortages(data_scientist, "mapgate-dev", {})
    assert len(quotas.quotas(data_scientist)) > 700
    with pytest.raises(ClientError, match=REFUSED):
        quotas.quotas(approver)


@pytest.mark.parametrize("who", ["data-scientist", "approver"])
def test_both_read_a_version_and_its_report(place: Place, who: str, tmp_path: Path) -> None:
    connection = place.connection(who)
    registry.save_report(connection, newest(connection), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == b"<html>"


@pytest.mark.parametrize("who", ["data-scientist", "approver"])
def test_both_read_what_happened_and_verify_who_signed_it(place: Place, who: str) -> None:
    connection = place.connection(who)
    deployment = Deployment.find(connection)
    records = deployments.read(connection, deployment)
    assert records == deployments.Records()
    assert serving.endpoints(connection, deployment, records)[0].version is None
    chain = provenance.chain(connection, deployment, 1, Recorded())
    assert len(chain.links) == 5
    assert all(link.signed for link in chain.links)
    # An approver reads no policy, which is told and proves nothing against it.
    assert [bool(link.unchecked) for link in chain.links] == [False, False, who == "approver", False, False]
    assert [fault for link in chain.links for fault in link.faults] == [
        "the deployer's records have no verdict of this version"
    ]


@pytest.mark.parametrize("who", ["data-scientist", "approver"])
def test_both_know_whether_an_artifact_is_there(place: Place, who: str) -> None:
    connection = place.connection(who)
    around = surroundings.look(connection, Deployment.find(connection), newest(connection))
    there = f"s3://{DATA}/models/pipelines-abc/output/model.tar.gz"
    assert (around.is_there(there), around.is_there(f"s3://{DATA}/released/{'0b' * 32}/model.tar.gz")) == (True, False)
    assert around.is_there(f"s3://{DATA}/models/pipelines-abc/output/model") is False


def test_only_an_approver_decides(data_scientist: Connection, approver: Connection) -> None:
    with pytest.raises(BadInputError, match=f"{REFUSED}: sagemaker:UpdateModelPackage.*explicit deny"):
        registry.decide(data_scientist, newest(data_scientist).arn, "Approved")
    registry.decide(approver, newest(approver).arn, "Approved", "as good as the last")
    assert newest(approver).approval == "Approved"


def test_an_approver_starts_and_uploads_nothing(approver: Connection, image: Path) -> None:
    with pytest.raises(BadInputError, match=f"{REFUSED}: sagemaker:StartPipelineExecution"):
        executions.start(approver, "mapgate-dev", {})
    with pytest.raises(ClientError, match="AccessDenied"):
        uri_of(approver, DATA, str(image), under="datasets")


@pytest.mark.parametrize("key", ["models/m.tar.gz", "executions/abc/evaluation.json", "defaults/gate-policy/x.yaml"])
def test_a_data_scientist_writes_nothing_that_the_pipeline_wrote(data_scientist: Connection, key: str) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        data_scientist.client("s3").put_object(Bucket=DATA, Key=key, Body=b"own")


def test_a_data_scientist_deletes_nothing(data_scientist: Connection) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        data_scientist.client("s3").delete_object(Bucket=DATA, Key=REPORT)


@pytest.mark.parametrize(
    "key",
    [
        FLOOR,
        "defaults/none/none",
        f"defaults/gate-policy/{'0a' * 32}/gate_policy.yaml",
        f"released/{'0a' * 32}/model.tar.gz",
        "evidence/v000001/verdict.json",
    ],
)
def test_no_object_that_decides_can_be_put_or_taken_away(data_scientist: Connection, place: Place, key: str) -> None:
    s3 = data_scientist.client("s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=DATA, Key=key, Body=b"schema_version: 2\n")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.copy_object(Bucket=DATA, Key=key, CopySource={"Bucket": DATA, "Key": REPORT})
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=DATA, Key=key)
    kept = place.connection().client("s3").get_object(Bucket=DATA, Key=FLOOR)["Body"].read()
    assert kept == POLICY.text.encode()


@pytest.mark.parametrize("name", ["find-champion", "publish-dossier", "check-plan", "deployer"])
def test_no_function_is_asked_out_of_its_turn(data_scientist: Connection, function: str, name: str) -> None:
    """Its answers would say what was compared with what, or record a verdict."""
    with pytest.raises(ClientError, match=f"{REFUSED}: lambda:InvokeFunction"):
        data_scientist.client("lambda").invoke(FunctionName=function.replace("check-plan", name), Payload=b"{}")


def test_no_record_of_what_serves_or_was_judged_is_written(data_scientist: Connection) -> None:
    table, item = TABLE.rpartition("/")[2], {"EndpointName": {"S": "mapgate-dev"}, "Record": {"S": "verdict#000001"}}
    with pytest.raises(ClientError, match=f"{REFUSED}: dynamodb:PutItem.*explicit deny"):
        data_scientist.client("dynamodb").put_item(TableName=table, Item=item)


def test_no_other_definition_and_no_waiver_is_written(data_scientist: Connection, place: Place) -> None:
    loosened = json.dumps(DEFINITION).replace("at once", "never")
    sagemaker = data_scientist.client("sagemaker")
    with pytest.raises(ClientError, match=f"{REFUSED}: sagemaker:UpdatePipeline.*explicit deny"):
        sagemaker.update_pipeline(PipelineName="mapgate-dev", PipelineDefinition=loosened)
    with pytest.raises(ClientError, match=REFUSED):
        sagemaker.create_pipeline(
            PipelineName="own",
            PipelineDefinition=loosened,
            ClientRequestToken="u" * 32,
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/mapgate-dev-pipeline",
        )
    with pytest.raises(ClientError, match=f"{REFUSED}: ssm:PutParameter"):
        data_scientist.client("ssm").put_parameter(Name="/mapgate-dev/champion-waiver", Value="x", Type="String")
    described = place.connection().client("sagemaker").describe_pipeline(PipelineName="mapgate-dev")
    assert json.loads(described["PipelineDefinition"]) == DEFINITION


@pytest.fixture(scope="module")
def function(place: Place) -> str:
    """CheckPlan as it is deployed; returns its ARN."""
    administrator, packed = place.connection(), io.BytesIO()
    services = {"Service": ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]}
    statement = {"Effect": "Allow", "Principal": services, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam = administrator.client("iam")
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [each]}) for each in (statement, everything)]
    role = iam.create_role(RoleName="service", AssumeRolePolicyDocument=documents[0])["Role"]["Arn"]
    iam.put_role_policy(RoleName="service", PolicyName="own", PolicyDocument=documents[1])
    with check_plan_asset() as folder, zipfile.ZipFile(packed, "w") as archive:
        for file in folder.rglob("*.py"):
            archive.write(file, file.relative_to(folder))
    made = administrator.client("lambda").create_function(
        FunctionName="mapgate-dev-check-plan",
        Runtime="python3.12",
        Handler="index.handler",
        Role=role,
        Timeout=60,
        Code={"ZipFile": packed.getvalue()},
        Environment={"Variables": {"TABLE": TABLE.rpartition("/")[2], "WAIVER": "/mapgate-dev/champion-waiver"}},
    )
    return str(made["FunctionArn"])


@pytest.fixture
def judged(place: Place, function: str, tmp_path: Path) -> Iterator[None]:
    """The pipeline begins with CheckPlan, bound as it is deployed, on a data set of 40 test images."""
    administrator = place.connection()
    file = {"name": "a.jpg", "width": 640, "height": 480, "bytes": 9}
    test = {"images": 40, "boxes_to_find_per_class": {"car": 90}, "largest_image": file, "largest_file": file}
    dataset = json.dumps({"splits": {"test": test}})
    administrator.client("s3").put_object(Bucket=DATA, Key="executions/prepared/dataset.json", Body=dataset)
    administrator.client("s3").put_object(Bucket=DATA, Key="defaults/none/none", Body=b"none\n")
    ecr = administrator.client("ecr")
    name = f"trains-{tmp_path.name.lower()}"
    uri = ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]
    push(ecr, name, "1", directory=tmp_path, python="python", entrypoint=["python"])
    resources = replace(
        NAMES, data_bucket=DATA, floor_policy=POLICY.sha256, check_plan=function, training_image=f"{uri}:1"
    )
    bound = bind(COMMITTED, Settings(environment="dev"), resources)
    check_plan = step(bound, "CheckPlan")
    check_plan["Arguments"]["metadata_uri"] = f"s3://{DATA}/executions/prepared"
    definition = {**bound, "Steps": [check_plan, {**ENDS, "DependsOn": ["CheckPlan"]}]}
    _define(administrator, definition, "service")
    yield
    _define(administrator, DEFINITION, "data-scientist")


def _define(administrator: Connection, definition: dict[str, Any], role: str) -> None:
    administrator.client("sagemaker").update_pipeline(
        PipelineName="mapgate-dev",
        PipelineDefinition=json.dumps(definition),
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}",
    )


@pytest.mark.usefixtures("judged")
def test_a_weaker_policy_of_an_executions_own_loosens_nothing(data_scientist: Connection, tmp_path: Path) -> None:
    """Tried with a data scientist's session: it cannot be loosened."""
    weaker = POLICY.text.replace("images: 50", "images: 1").replace("boxes_per_class: 20", "boxes_per_class: 1")
    assert weaker != POLICY.text
    (tmp_path / "weaker.yaml").write_text(weaker)
    uri = uri_of(data_scientist, DATA, str(tmp_path / "weaker.yaml"), under="inputs")
    arn = executions.start(
        data_scientist, "mapgate-dev", {"DatasetUri": f"s3://{DATA}/datasets/a/", "GatePolicyUri": uri}
    )
    *_, last = executions.watch(data_scientist, arn)
    checked = last.step("CheckPlan")
    assert checked is not None
    assert "The test set has 40 images; 50 are required." in str(checked.failure_reason)
    assert last.step("Ends") is None


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("floor", ["FloorPolicyUri", "floor_policy_uri", "MAPGATE_FLOOR_POLICY_URI"])
def test_the_floor_is_no_parameter_of_an_execution(data_scientist: Connection, floor: str) -> None:
    with pytest.raises(BadInputError, match=floor):
        executions.start(data_scientist, "mapgate-dev", {"DatasetUri": f"s3://{DATA}/d/", floor: f"s3://{DATA}/d/"})
