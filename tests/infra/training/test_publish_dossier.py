# SPDX-License-Identifier: Apache-2.0
"""PublishDossier writes an evaluation's figures onto a registered version."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.training.publish_dossier.index import DossierError, dossier, readable
from localcloud import cloud as local_cloud
from tests.infra.conftest import Cloud

EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/abcdefghijkl"


def evaluation(**gate: Any) -> dict[str, Any]:
    return {
        "dataset": {"sha256": "d" * 64, "images": 120},
        "metrics": {"mAP": {"value": 0.41237}, "mAP_50": {"value": None, "reason": "no boxes"}},
        "serving": {"runtime": "openvino", "precision": "f32"},
        "gate": {"passed": True, "sentence": "mAP 0.41 >= 0.30 (3 classes); nothing lost, 5% better", "mAP": 0.41}
        | gate,
    }


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The laptop's cloud, whose registry knows what of a version can be changed."""
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    yield Cloud(local_cloud.up(home).endpoint_url)
    local_cloud.down(home)


@pytest.fixture
def package(cloud: Any) -> str:
    sagemaker, group = cloud.client("sagemaker"), f"group-{uuid4().hex[:12]}"
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    return str(
        sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties={"reviewer": "nobody"},
            InferenceSpecification={
                "Containers": [{"Image": "image", "ModelDataUrl": "s3://data/m", "Environment": {"OWN": "1"}}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
    )


def test_dossier_is_added_beside_what_is_there(cloud: Any, invoke: Any, package: str) -> None:
    bucket = f"data-{uuid4().hex[:12]}"
    cloud.client("s3").create_bucket(Bucket=bucket)
    prefix = f"s3://{bucket}/executions/abcdefghijkl/evaluation"
    key = "executions/abcdefghijkl/evaluation/evaluation.json"
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(evaluation()))
    run = invoke(
        "training/publish_dossier",
        {"model_package_arn": package, "evaluation_uri": prefix, "execution_arn": EXECUTION},
    )
    assert run.answer == {"ReportUri": f"{prefix}/report.html"}
    described = cloud.client("sagemaker").describe_model_package(ModelPackageName=package)
    assert described["CustomerMetadataProperties"] == {
        "reviewer": "nobody",
        "mAP": "0.4124",
        "mAP_50": "unknown",
        "dataset_sha256": "d" * 64,
        "runtime": "openvino",
        "precision": "f32",
        "report_uri": f"{prefix}/report.html",
        "evaluation_uri": f"{prefix}/evaluation.json",
        "execution_arn": EXECUTION,
        "gate": "passed: mAP 0.41 at least 0.30 - 3 classes . nothing lost - 5 percent better",
    }

    (container,) = described["InferenceSpecification"]["Containers"]
    assert container["Environment"] == {"OWN": "1", "MAPGATE_RUNTIME": "openvino", "MAPGATE_PRECISION": "f32"}
    assert (container["Image"], container["ModelDataUrl"]) == ("image", "s3://data/m")
    assert described["InferenceSpecification"]["SupportedContentTypes"] == ["image/jpeg"]
    assert described["ModelApprovalStatus"] == "PendingManualApproval"


def test_missing_evaluation_fails_the_step(cloud: Any, invoke: Any, package: str) -> None:
    cloud.client("s3").create_bucket(Bucket="data-empty")
    run = invoke(
        "training/publish_dossier",
        {"model_package_arn": package, "evaluation_uri": "s3://data-empty/e", "execution_arn": EXECUTION},
    )
    assert "NoSuchKey" in run.error


@given(st.text(max_size=600))
def test_any_sentence_becomes_a_legal_value(text: str) -> None:
    value = readable(text)
    assert 1 <= len(value) <= 256
    assert all(unicodedata.category(sign)[0] in "LNZ" or sign in "_.:/=+-@" for sign in value)
    assert readable(value) == value


def test_address_that_is_no_legal_value_is_refused_rather_than_cut() -> None:
    with pytest.raises(DossierError, match="report_uri"):
        dossier(evaluation(), f"s3://data/{'x' * 300}", EXECUTION)


def test_waived_comparison_is_told_to_whoever_approves() -> None:
    waived = evaluation() | {"champion": {"reason": "its artifact is gone", "waiver": "emptied by hand - admin"}}
    assert dossier(waived, "s3://b/e", EXECUTION)["champion_waiver"] == "emptied by hand - admin"
    compared = evaluation() | {"champion": {"reason": None, "waiver": None}}
    assert "champion_waiver" not in dossier(compared, "s3://b/e", EXECUTION)


def test_gate_that_did_not_pass_is_told_as_failed() -> None:
    assert dossier(evaluation(passed=False, sentence="too low"), "s3://data/e", EXECUTION)["gate"] == "failed: too low"
