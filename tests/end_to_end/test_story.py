# SPDX-License-Identifier: Apache-2.0
"""The whole story, told by the command that users type, through the real parts; the tests build on each other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import psutil
import pytest
from botocore.exceptions import ClientError

from localcloud import cloud
from localcloud.home import Home
from pipelines.client.connection import Connection
from pipelines.demo import cdk, production
from pipelines.demo.scenes import draw_scenes
from tests.end_to_end import permissions

if TYPE_CHECKING:
    from tests.end_to_end.conftest import User

ROLES = "mapgate-dev-"
STEPS_THAT_PASS = {
    "PrepareDataset",
    "CheckPlan",
    "TrainDetector",
    "FindChampion",
    "MeasureServing",
    "EvaluateDetector",
    "CheckQuality",
    "RegisterDetector",
    "PublishDossier",
    "DeployCandidate",
}


def test_a_story_killed_with_its_cloud_and_while_it_trains_ends_with_an_approved_model_that_answers(
    user: User, training: Sequence[str]
) -> None:
    running = user.begin("demo", *training)
    _wait_until(lambda: _step_status(user, "PrepareDataset") == "Executing", seconds=240)
    os.kill(user.cloud_pid, signal.SIGKILL)
    _kill(running)
    running = user.begin("demo", *training)
    _wait_until(lambda: _step_status(user, "TrainDetector") == "Executing", seconds=240)
    _kill(running)

    result = user.mapgate("demo", *training, seconds=900)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "is still running" in result.stdout
    summary = user.summary
    assert summary["gate_passed"] is True
    assert summary["mAP_50"] >= 0.5
    assert 0 < summary["mAP"] <= summary["mAP_50"]
    assert Path(summary["animation"]).read_bytes()[:4] == b"GIF8"
    assert cv2.imread(summary["contact_sheet"]) is not None
    assert summary["training_cpu_seconds"] > 1
    if "--training-steps" in training:
        assert cv2.imread(summary["before_and_after"]) is not None
    assert "loss" in result.stdout and "images/s" in result.stdout and "s left" in result.stdout
    assert "Average Precision" in result.stdout
    execution = user.told("--local", "executions", "show")
    assert {step["name"] for step in execution["steps"] if step["status"] == "Succeeded"} == STEPS_THAT_PASS
    (version,) = user.told("--local", "models", "list")
    assert version["approval"] == "Approved"
    assert version["arn"] == summary["model_package_arn"]
    assert float(version["dossier"]["mAP"]) == pytest.approx(summary["mAP"], abs=1e-3)
    assert _serving(user.connection, summary["endpoint_name"]) == 1


def test_the_endpoint_finds_what_is_in_a_picture(user: User, tmp_path: Path) -> None:
    sample = next((user.home / "demo" / "samples").iterdir())

    found = user.told("--local", "invoke", str(sample), "--output", str(tmp_path / "drawn.png"))

    assert {detection["label"] for detection in found} <= {"vehicle", "pedestrian", "cyclist"}
    assert found
    assert cv2.imread(str(tmp_path / "drawn.png")) is not None


def test_an_image_that_is_none_is_refused_with_a_sentence(user: User, tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_bytes(b"not an image")

    result = user.mapgate("--local", "invoke", str(tmp_path / "no.jpg"))

    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "mapgate:" in result.stderr


def test_no_candidate_endpoint_is_left(user: User) -> None:
    endpoints = user.connection.client("sagemaker").list_endpoints()["Endpoints"]

    assert [endpoint["EndpointName"] for endpoint in endpoints] == ["mapgate-dev"]


def test_a_second_version_is_measured_against_the_champion_and_takes_over(user: User, training: Sequence[str]) -> None:
    synthesised = _assembly_of(user)

    result = user.mapgate("demo", *training, seconds=900)

    assert result.returncode == 0, result.stdout + result.stderr
    assert _assembly_of(user) == synthesised, "nothing has changed since: the assembly serves again"
    assert [version["version"] for version in user.told("--local", "models", "list")] == [2, 1]
    execution = user.told("--local", "executions", "show")
    reused = {step["name"] for step in execution["steps"] if step["cached"]}
    assert reused == {"PrepareDataset", "TrainDetector"}
    assert _serving(user.connection, "mapgate-dev") == 2
    assert "champion" in result.stdout.lower()


def test_everything_is_as_it_was_after_the_cloud_was_killed(user: User) -> None:
    before = _state(user.connection)
    os.kill(user.cloud_pid, signal.SIGKILL)
    time.sleep(1)
    assert user.mapgate("--local", "local", "status").returncode == 1

    assert user.mapgate("local", "up").returncode == 0

    _wait_until(lambda: _serving(user.connection, "mapgate-dev") == 2)
    assert _state(user.connection) == before
    sample = next((user.home / "demo" / "samples").iterdir())
    assert user.told("--local", "invoke", str(sample))


def test_a_gate_that_does_not_pass_registers_nothing_and_leaves_production_as_it_is(user: User) -> None:
    result = user.mapgate("demo", "--training-steps", "2")

    assert result.returncode == 1, result.stdout + result.stderr
    assert "QualityGateFailed" in result.stdout
    assert "the gate let nothing through" in result.stderr and "mAP" in result.stderr
    assert user.summary["gate_passed"] is False
    execution = user.told("--local", "executions", "show")
    assert execution["status"] == "Failed"
    assert execution["steps"][-1]["name"] == "QualityGateFailed"
    assert "RegisterDetector" not in [step["name"] for step in execution["steps"]]
    assert [version["version"] for version in user.told("--local", "models", "list")] == [2, 1]
    assert _serving(user.connection, "mapgate-dev") == 2


def test_a_plan_that_cannot_come_to_a_good_end_is_refused_before_a_model_is_paid_for(user: User) -> None:
    sagemaker = user.connection.client("sagemaker")
    with pytest.raises(ClientError, match=r"DatasetUri.*must be given"):
        sagemaker.start_pipeline_execution(PipelineName="mapgate-dev")
    (newest, *_) = sagemaker.list_pipeline_executions(PipelineName="mapgate-dev")["PipelineExecutionSummaries"]
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=newest["PipelineExecutionArn"])
    parameters = {each["Name"]: each["Value"] for each in given["PipelineParameters"]} | {"TrainingSettings": "sead=3"}
    sagemaker.start_pipeline_execution(
        PipelineName="mapgate-dev",
        PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
    )

    _wait_until(lambda: user.told("--local", "executions", "show")["status"] == "Failed")

    steps = user.told("--local", "executions", "show")["steps"]
    assert [(step["name"], step["status"]) for step in steps] == [
        ("PrepareDataset", "Succeeded"),
        ("CheckPlan", "Failed"),
    ]
    assert steps[0]["cached"]
    assert 'TrainingSettings holds "sead=3"; give NAME=VALUE with one of' in steps[1]["failure_reason"]


def _broken_image(folder: Path) -> str:
    image = sorted((folder / "JPEGImages").iterdir())[3]
    image.write_bytes(image.read_bytes()[:300])
    return image.name


def _box_outside(folder: Path) -> str:
    annotation = sorted((folder / "Annotations").iterdir())[5]
    text = annotation.read_text()
    begin, end = text.index("<xmax>") + 6, text.index("</xmax>")
    annotation.write_text(text[:begin] + "4711" + text[end:])
    return annotation.stem


def _unknown_class(folder: Path) -> str:
    annotation = sorted((folder / "Annotations").iterdir())[7]
    text = annotation.read_text()
    begin, end = text.index("<object>"), text.index("</name>")
    annotation.write_text(text[:begin] + "<object><name>zeppelin" + text[end:])
    return "zeppelin"


def _empty_annotations(folder: Path) -> str:
    annotation = sorted((folder / "Annotations").iterdir())[2]
    annotation.write_text("")
    return annotation.name


def _unsupported_layout(folder: Path) -> str:
    shutil.rmtree(folder / "Annotations")
    shutil.rmtree(folder / "ImageSets")
    return folder.name


@pytest.fixture(scope="module")
def good_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that nothing is wrong with."""
    folder = tmp_path_factory.mktemp("good") / "images"
    draw_scenes(folder, train=8, validation=2, test=2)
    return folder


def test_a_test_split_too_small_for_the_gate_uploads_and_starts_nothing(user: User, good_data: Path) -> None:
    before = user.told("--local", "executions", "list")

    result = user.mapgate("--local", "run", str(good_data))

    assert result.returncode == 2, result.stdout + result.stderr
    assert "The test set has 2 images; 50 are required." in result.stderr
    assert user.told("--local", "executions", "list") == before


@pytest.mark.parametrize(
    "spoil", [_broken_image, _box_outside, _unknown_class, _empty_annotations, _unsupported_layout]
)
def test_bad_data_gives_one_sentence_before_anything_is_trained(
    user: User, good_data: Path, tmp_path: Path, spoil: Any
) -> None:
    folder = shutil.copytree(good_data, tmp_path / "images")
    named = spoil(folder)

    result = user.mapgate("demo", "--data", str(folder))

    assert result.returncode == 2, result.stdout + result.stderr
    told = [line for line in result.stderr.splitlines() if named in line]
    assert len(told) == 1, result.stderr
    assert "TrainDetector" not in result.stdout


@pytest.fixture(scope="module")
def grants(user: User) -> set[permissions.Grant]:
    """What the roles of the deployed app may do, while it is deployed."""
    return permissions.granted(user.connection, ROLES)


def test_a_role_may_do_what_its_policies_say_and_is_refused_in_a_sentence(user: User) -> None:
    iam = user.connection.client("iam")
    account = {"AWS": "arn:aws:iam::123456789012:root"}
    trust = {"Effect": "Allow", "Principal": account, "Action": "sts:AssumeRole"}
    listing = {"Effect": "Allow", "Action": ["sagemaker:ListModelPackages", "ssm:GetParametersByPath"], "Resource": "*"}
    reader = {"RoleName": "reader", "AssumeRolePolicyDocument": _policy(trust)}
    iam.create_role(**reader)
    iam.put_role_policy(RoleName="reader", PolicyName="own", PolicyDocument=_policy(listing))

    refused = user.mapgate("--local", "--role", "reader", "executions", "list")

    assert refused.returncode != 0
    assert (
        "assumed-role/reader/mapgate is not authorized to perform: sagemaker:ListPipelineExecutions" in refused.stderr
    )


def test_destroying_leaves_nothing(user: User, tmp_path: Path, grants: set[permissions.Grant]) -> None:
    assert grants
    connection = user.connection

    deployed = str(user.home / "demo" / "cdk.out")
    cdk.cdk(connection, ["destroy", "--all", "--force", "--app", deployed], tmp_path / "log", print)

    sagemaker = connection.client("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_pipelines()["PipelineSummaries"] == []
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    assert [
        bucket["Name"] for bucket in connection.client("s3").list_buckets()["Buckets"] if "mapgate" in bucket["Name"]
    ] == []
    assert connection.client("ecr").describe_repositories()["repositories"] == [] or all(
        "mapgate" not in repository["repositoryName"]
        for repository in connection.client("ecr").describe_repositories()["repositories"]
    )
    assert connection.client("lambda").list_functions()["Functions"] == []
    assert connection.client("dynamodb").list_tables()["TableNames"] == []
    assert (
        connection.client("ssm").describe_parameters(
            ParameterFilters=[{"Key": "Name", "Option": "BeginsWith", "Values": ["/mapgate"]}]
        )["Parameters"]
        == []
    )
    served = [child for child in psutil.Process(user.cloud_pid).children(recursive=True) if "serve" in child.cmdline()]
    assert served == []


def test_no_role_lacked_a_permission(user: User) -> None:
    assert permissions.missing(Home(user.home).state / "permissions.jsonl", ROLES) == []


def test_no_role_is_granted_anything_in_vain(user: User, grants: set[permissions.Grant]) -> None:
    assert permissions.in_vain(grants, Home(user.home).state / "permissions.jsonl", ROLES) == []
    assert permissions.idle_reasons(grants) == []


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _serving(connection: Connection, endpoint: str) -> int | None:
    """The version that the endpoint serves; None while it is not in service."""
    told = connection.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    if told["EndpointStatus"] != "InService":
        return None
    return production.version_of(told["EndpointConfigName"])


def _state(connection: Connection) -> dict[str, Any]:
    """What a restart must not change: names, ARNs, key ids, versions, approvals, finished steps, objects."""
    sagemaker, s3 = connection.client("sagemaker"), connection.client("s3")
    packages = sagemaker.list_model_packages(ModelPackageGroupName="mapgate-dev")["ModelPackageSummaryList"]
    executions = sagemaker.list_pipeline_executions(PipelineName="mapgate-dev")["PipelineExecutionSummaries"]
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    return {
        "packages": [
            {
                key: value
                for key, value in sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"]).items()
                if key != "ResponseMetadata"
            }
            for item in packages
        ],
        "executions": executions,
        "steps": [
            sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=item["PipelineExecutionArn"])[
                "PipelineExecutionSteps"
            ]
            for item in executions
        ],
        "objects": {
            bucket: sorted(
                (item["Key"], item["ETag"], item["Size"])
                for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
                for item in page.get("Contents", [])
            )
            for bucket in buckets
        },
        "keys": sorted(key["KeyArn"] for key in connection.client("kms").list_keys()["Keys"]),
        "functions": sorted(one["FunctionArn"] for one in connection.client("lambda").list_functions()["Functions"]),
        "tables": connection.client("dynamodb").list_tables()["TableNames"],
        "records": connection.client("dynamodb").scan(TableName="mapgate-dev-deployments")["Items"],
        "images": [
            sorted(
                image["imageTag"]
                for image in connection.client("ecr").list_images(repositoryName=f"mapgate-dev-{name}")["imageIds"]
            )
            for name in ("training", "inference")
        ],
        "stacks": sorted(
            (stack["StackId"], stack["StackStatus"])
            for stack in connection.client("cloudformation").describe_stacks()["Stacks"]
        ),
    }


def _step_status(user: User, name: str) -> str | None:
    """The status of a step of the newest execution; None while there is no execution under way."""
    if cloud.status(user.home) is None:
        return None
    sagemaker = user.connection.client("sagemaker")
    try:
        newest, *_ = sagemaker.list_pipeline_executions(PipelineName="mapgate-dev")["PipelineExecutionSummaries"]
    except (ValueError, sagemaker.exceptions.ResourceNotFound):
        return None
    if newest["PipelineExecutionStatus"] != "Executing":
        return None
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=newest["PipelineExecutionArn"])
    return next((step["StepStatus"] for step in steps["PipelineExecutionSteps"] if step["StepName"] == name), None)


def _assembly_of(user: User) -> int:
    """When the app was synthesised."""
    return (user.home / "demo" / "cdk.out" / "manifest.json").stat().st_mtime_ns


def _kill(running: subprocess.Popen[bytes]) -> None:
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _wait_until(holds: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.5)
