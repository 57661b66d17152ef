# SPDX-License-Identifier: Apache-2.0
"""`mapgate run` against a deployed pipeline: what it starts from becomes the execution's parameter."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Settings
from infra.training.binding import Resources, bind
from localcloud import cloud as local_cloud
from localcloud import pushing
from pipelines.client.connection import EMULATED_ACCOUNT, EMULATED_REGION, Connection
from pipelines.client.deployment import Deployment
from pipelines.client.uploads import content_sha256
from pipelines.demo.scenes import draw_scenes

Mapgate = Callable[..., subprocess.CompletedProcess[str]]
CHECKOUT = Path(__file__).resolve().parents[3]
COMMITTED = json.loads((CHECKOUT / "pipelines" / "definition.json").read_text())
POLICY = CHECKOUT / "infra" / "training" / "defaults" / "gate_policy.yaml"
BUCKET = "mapgate-dev-data"
PLACE = f"{EMULATED_REGION}:{EMULATED_ACCOUNT}"
ROLE = f"arn:aws:iam::{EMULATED_ACCOUNT}:role/nobody"
IMAGES = {
    f"{name}_image": f"{EMULATED_ACCOUNT}.dkr.ecr.{EMULATED_REGION}.amazonaws.com/mapgate-dev-{name}:1"
    for name in ("training", "inference")
}
DEPLOYMENT = Deployment(
    data_bucket=BUCKET,
    pipeline_name="mapgate-dev",
    model_package_group="mapgate-dev",
    endpoint_name="mapgate-dev",
    **IMAGES,
)
LAMBDA = f"arn:aws:lambda:{PLACE}:function:mapgate-dev"
RESOURCES = Resources(
    data_bucket=BUCKET,
    floor_policy=hashlib.sha256(POLICY.read_bytes()).hexdigest(),
    processing_role=ROLE,
    training_role=ROLE,
    check_plan=f"{LAMBDA}-check-plan",
    find_champion=f"{LAMBDA}-find-champion",
    publish_dossier=f"{LAMBDA}-publish-dossier",
    callback_queue=f"https://sqs.{EMULATED_REGION}.amazonaws.com/{EMULATED_ACCOUNT}/callback",
    model_package_group="mapgate-dev",
    endpoint="mapgate-dev",
    key=f"arn:aws:kms:{PLACE}:key/00000000-0000-0000-0000-000000000000",
    **IMAGES,
)
ZOO = "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Connection]:
    """A cloud with the names, the pipeline and the images of a deployment; no step of it would end well."""
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    connection = Connection(endpoint_url=local_cloud.up(home, free_port()).endpoint_url)
    s3 = connection.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    policy = POLICY.read_text().replace("images: 50", "images: 1").replace("boxes_per_class: 20", "boxes_per_class: 1")
    floor = f"defaults/gate-policy/{RESOURCES.floor_policy}/gate_policy.yaml"
    s3.put_object(Bucket=BUCKET, Key=floor, Body=policy.encode())
    s3.put_object(Bucket=BUCKET, Key="defaults/scratch/scratch", Body=b"scratch\n")
    for name, value in vars(DEPLOYMENT).items():
        path = f"/mapgate-dev/{name.replace('_', '-')}"
        connection.client("ssm").put_parameter(Name=path, Value=value, Type="String")
    for name in ("training", "inference"):
        connection.client("ecr").create_repository(repositoryName=f"mapgate-dev-{name}")
        pushing.push(
            connection.client("ecr"), f"mapgate-dev-{name}", "1", directory=home, python="python", entrypoint=["python"]
        )
    connection.client("sagemaker").create_pipeline(
        PipelineName="mapgate-dev",
        PipelineDefinition=json.dumps(bind(COMMITTED, Settings.read("dev"), RESOURCES)),
        ClientRequestToken="t" * 32,
        RoleArn=ROLE,
    )
    yield connection
    local_cloud.down(home)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    draw_scenes(folder, train=6, validation=2, test=2)
    return folder


@pytest.fixture
def started(deployed: Connection, scenes: Path, typed: Mapgate) -> Callable[..., dict[str, Any]]:
    """Starts an execution from what is named; gives what is told of it."""

    def start(given: str) -> dict[str, Any]:
        words = ("--endpoint-url", deployed.endpoint_url, "run", scenes, "--initial-checkpoint", given)
        done = typed(*words, "--yes", "--no-wait", "--json")
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    return start


def test_files_here_go_up_under_the_hash_of_their_content(
    started: Callable[..., dict[str, Any]], deployed: Connection, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint").mkdir()
    for name in ("ckpt-0.index", "ckpt-0.data-00000-of-00001"):
        (tmp_path / "checkpoint" / name).write_bytes(name.encode())
    folder = tmp_path / "checkpoint"

    told = started(str(folder))

    prefix = f"inputs/{content_sha256(folder)[:16]}/"
    assert told["parameters"]["InitialCheckpointUri"] == f"s3://{BUCKET}/{prefix}"
    assert told["plan"]["initial_checkpoint"] == f"{folder}, which is uploaded"
    listed = deployed.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    assert len(listed) == 2
    given = deployed.client("sagemaker").list_pipeline_parameters_for_execution(PipelineExecutionArn=told["arn"])
    values = {each["Name"]: each["Value"] for each in given["PipelineParameters"]}
    assert values["InitialCheckpointUri"] == f"s3://{BUCKET}/{prefix}"


def test_a_name_of_the_zoo_is_fetched_to_where_zoo_fetch_puts_it(
    started: Callable[..., dict[str, Any]],
    file_server: Callable[..., Any],
    nowhere: dict[str, str],
    deployed: Connection,
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("ckpt-0.index", "ckpt-0.data-00000-of-00001"):
            tar.addfile(tarfile.TarInfo(f"{ZOO}/checkpoint/{name}"))
    server = file_server({f"/20200711/{ZOO}.tar.gz": packed.getvalue()})
    nowhere["MAPGATE_ZOO_MIRROR"] = server.url

    uri = started("ssd_mobilenet_v2_fpnlite_320x320")["parameters"]["InitialCheckpointUri"]

    assert uri.startswith(f"s3://{BUCKET}/inputs/zoo/")
    listed = deployed.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="inputs/zoo/")["Contents"]
    assert [item["Key"] for item in listed] == [f"{uri.removeprefix(f's3://{BUCKET}/')}{ZOO}.tar.gz"]


def test_what_means_nothing_is_refused_before_the_data_is_looked_at(deployed: Connection, typed: Mapgate) -> None:
    words = ("--endpoint-url", deployed.endpoint_url, "run", "nowhere", "--initial-checkpoint", "yesterdays")
    done = typed(*words)

    assert (done.returncode, done.stdout) == (2, "")
    assert "--initial-checkpoint yesterdays: neither a file or folder here nor a name of the zoo" in done.stderr
