# SPDX-License-Identifier: Apache-2.0
"""The verdict is read again, and what is absent or odd is a refusal."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from infra.delivery.deployer.deployments import registry
from infra.delivery.deployer.deployments.errors import RefusedError
from infra.delivery.deployer.deployments.registry import Package
from infra.delivery.deployer.deployments.verdict import evaluation_location, judge, verify

URI = "s3://data/executions/e/evaluation/evaluation.json"
FIT: dict[str, Any] = {
    "gate": {"passed": True, "mAP": 0.5, "sentence": "good"},
    "model": {"sha256": "a" * 64},
    "serving": {"runtime": "openvino", "precision": "f32"},
}


def package(**changes: Any) -> Package:
    given: dict[str, Any] = {
        "arn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev/3",
        "version": 3,
        "approved": True,
        "modified_at": 1,
        "image": "image:tag",
        "model_uri": "s3://data/models/job/output/model.tar.gz",
        "statistics_uri": URI,
        "environment": {},
        "metadata": {},
    }
    return Package(**(given | changes))


def without(part: str, name: str) -> dict[str, Any]:
    return FIT | {part: {key: value for key, value in FIT[part].items() if key != name}}


def test_fit_evaluation_names_runtime_and_precision() -> None:
    verdict = judge(FIT, package(), URI)
    assert (verdict.runtime, verdict.precision, verdict.artifact_sha256) == ("openvino", "f32", "a" * 64)


@pytest.mark.parametrize(
    ("evaluation", "why"),
    [
        ([], 'has no "gate"'),
        ({}, 'has no "gate"'),
        (FIT | {"gate": {"passed": False, "mAP": 0.1, "sentence": "mAP 0.1"}}, "did not pass its gate: mAP 0.1"),
        (FIT | {"gate": {"passed": "true", "mAP": 0.5}}, "did not pass"),
        (FIT | {"gate": {"passed": 1, "mAP": 0.5}}, "did not pass"),
        (FIT | {"gate": {"passed": True, "mAP": -1}}, "no measured mAP"),
        (FIT | {"gate": {"passed": True, "mAP": float("nan")}}, "no measured mAP"),
        (without("gate", "mAP"), "no measured mAP"),
        (FIT | {"gate": {"passed": True, "mAP": -0.25}}, "no measured mAP"),
        (FIT | {"gate": {"passed": True, "mAP": "0.5"}}, "no measured mAP"),
        (without("gate", "passed"), "did not pass its gate: good"),
        (FIT | {"gate": {}}, "did not pass its gate: the gate gave no sentence"),
        (FIT | {"model": "m"}, 'has no "model"; evaluate it again'),
        (without("model", "sha256"), "which artifact"),
        (without("serving", "runtime"), "with which runtime"),
        (without("serving", "precision"), "with which precision"),
    ],
)
def test_what_is_absent_or_odd_is_refused(evaluation: Any, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        judge(evaluation, package(), URI)


def test_least_measured_quality_is_none_at_all() -> None:
    worthless = FIT | {"gate": {"passed": True, "mAP": 0}}
    assert judge(worthless, package(), URI).sentence == "the gate gave no sentence"


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["gate", "model", "serving", "passed", "mAP", "sha256", "runtime", "precision"]), inner
        )
    ),
    max_leaves=12,
)


@given(anything)
def test_nothing_but_a_passed_gate_passes(evaluation: Any) -> None:
    try:
        judge(evaluation, package(), URI)
    except RefusedError:
        return
    assert evaluation["gate"]["passed"] is True
    assert evaluation["gate"]["mAP"] >= 0


def test_runtime_that_somebody_wrote_into_the_metadata_is_refused() -> None:
    with pytest.raises(RefusedError, match="judged with runtime openvino, its metadata says tensorflow"):
        judge(FIT, package(metadata={"runtime": "tensorflow"}), URI)


@pytest.mark.parametrize("stated", ["s3://data/executions/e/evaluation", "s3://data/executions/e/evaluation/", URI])
def test_evaluation_may_be_named_by_prefix_or_file(stated: str) -> None:
    assert evaluation_location(package(metadata={"evaluation_uri": stated})) == URI
    assert evaluation_location(package(statistics_uri=None), stated) == URI


def test_evaluation_of_another_version_is_refused() -> None:
    with pytest.raises(RefusedError, match="somebody edited evaluation_uri"):
        evaluation_location(package(metadata={"evaluation_uri": "s3://data/better/evaluation.json"}))


def test_version_without_evaluation_is_refused() -> None:
    with pytest.raises(RefusedError, match="no evaluation"):
        evaluation_location(package(statistics_uri=None))


def test_artifact_that_is_not_the_evaluated_one_is_refused(world: Any) -> None:
    version = world.register()
    described = registry.describe(world.sagemaker, version.arn)
    assert described is not None
    assert verify(world.s3, described).runtime == "openvino"
    world.put(version.model_uri, b"another model")
    now, then = (hashlib.sha256(body).hexdigest()[:12] for body in (b"another model", b"model 1"))
    with pytest.raises(
        RefusedError, match=rf"is not the artifact that was evaluated \(its sha256 begins with {now}, .* with {then}\);"
    ):
        verify(world.s3, described)
    world.remove(version.model_uri)
    with pytest.raises(RefusedError, match=r"its artifact .* is gone"):
        verify(world.s3, described)


class Forbidding:
    """An S3 that answers no question about objects whose name ends so."""

    def __init__(self, s3: Any, ending: str) -> None:
        self._s3, self._ending = s3, ending

    def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        if Key.endswith(self._ending):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")
        return self._s3.get_object(Bucket=Bucket, Key=Key)


@pytest.mark.parametrize("ending", ["evaluation.json", "model.tar.gz"])
def test_what_may_not_be_read_is_no_verdict(world: Any, ending: str) -> None:
    described = registry.describe(world.sagemaker, world.register().arn)
    assert described is not None
    with pytest.raises(ClientError, match="AccessDenied"):
        verify(Forbidding(world.s3, ending), described)  # type: ignore[arg-type]


@pytest.mark.parametrize(("body", "why"), [(None, "is gone"), (b"{", "is not JSON")])
def test_evaluation_that_cannot_be_read_is_refused(world: Any, body: bytes | None, why: str) -> None:
    version = world.register()
    uri = f"{version.evaluation_uri}/evaluation.json"
    world.remove(uri) if body is None else world.put(uri, body)
    described = registry.describe(world.sagemaker, version.arn)
    assert described is not None
    with pytest.raises(RefusedError, match=why):
        verify(world.s3, described)


def test_evaluation_json_round_trips() -> None:
    assert judge(json.loads(json.dumps(FIT)), package(), URI).sentence == "good"
