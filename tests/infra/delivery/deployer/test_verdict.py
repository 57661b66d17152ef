# SPDX-License-Identifier: Apache-2.0
"""The verdict is read again, and what is absent or odd is a refusal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from infra.delivery.deployer.deployments import registry
from infra.delivery.deployer.deployments.approvable import Approvable
from infra.delivery.deployer.deployments.approval import Approval
from infra.delivery.deployer.deployments.errors import RefusedError
from infra.delivery.deployer.deployments.registry import Package
from infra.delivery.deployer.deployments.verdict import evaluation_location, judge, verify
from tests.infra.delivery.deployer.conftest import REPOSITORY, image_digest

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
        "containers": ({},),
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


def test_metadata_says_where_the_evaluation_lies_before_the_pipeline_does() -> None:
    stated = package(statistics_uri=None, metadata={"evaluation_uri": "s3://data/executions/e/evaluation"})
    assert evaluation_location(stated, "s3://data/executions/f/evaluation") == URI


def test_evaluation_of_another_version_is_refused() -> None:
    with pytest.raises(RefusedError, match="somebody edited evaluation_uri"):
        evaluation_location(package(metadata={"evaluation_uri": "s3://data/better/evaluation.json"}))


def test_version_without_evaluation_is_refused() -> None:
    with pytest.raises(RefusedError, match="no evaluation"):
        evaluation_location(package(statistics_uri=None))


def verified(world: Any, version: Any, *, served: bool = False, served_image: str = "") -> Approvable:
    """Verify a version as the deployer does."""
    described = registry.describe(world.sagemaker, version.arn)
    assert described is not None
    known = Approval(version=version.version, arn=version.arn, approved_at=0, announced=True)
    served_at = round(world.sagemaker.now * 1000) if served else 0
    return verify(world.context(), described, replace(known, served_at=served_at, served_image=served_image))


def test_version_is_served_from_its_released_copy_and_its_image_by_digest(world: Any) -> None:
    version = world.register()
    found = verified(world, version)
    assert (found.verdict.runtime, found.caveats) == ("openvino", ())
    assert found.artifact_uri == world.released(version)
    assert found.image == f"{REPOSITORY}@{image_digest(version.image)}"


def test_artifact_that_is_not_the_evaluated_one_is_refused(world: Any) -> None:
    version = world.register()
    world.put(version.model_uri, b"another model")
    now, then = (hashlib.sha256(body).hexdigest()[:12] for body in (b"another model", b"model 1"))
    with pytest.raises(
        RefusedError, match=rf"is not the artifact that was evaluated \(its sha256 begins with {now}, .* with {then}\);"
    ):
        verified(world, version)
    world.remove(version.model_uri)
    with pytest.raises(RefusedError, match=r"its artifact .* is gone"):
        verified(world, version)


@pytest.mark.parametrize("operation", ["get_object", "copy_object", "get_item"])
def test_what_may_not_be_read_is_no_verdict(world: Any, operation: str) -> None:
    version = world.register()

    def forbid(called: str) -> None:
        if called == operation:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)

    world.sagemaker.before_call = forbid
    with pytest.raises(ClientError, match="AccessDenied"):
        verified(world, version)


def test_evaluation_that_is_gone_is_refused(world: Any) -> None:
    version = world.register()
    world.remove(f"{version.evaluation_uri}/evaluation.json")
    with pytest.raises(RefusedError, match="is gone"):
        verified(world, version)


def test_evaluation_that_is_not_json_is_refused(world: Any) -> None:
    version = world.register()
    world.put(f"{version.evaluation_uri}/evaluation.json", b"{")
    world.forget_verdict(version)
    with pytest.raises(RefusedError, match="is not JSON"):
        verified(world, version, served=True)


def test_passed_that_was_edited_into_the_evaluation_is_refused(world: Any) -> None:
    version = world.register(passed=False)
    uri = f"{version.evaluation_uri}/evaluation.json"
    judged = world.get(uri)
    edited = json.dumps(json.loads(judged) | {"gate": {"passed": True, "mAP": 0.7}}).encode()
    world.put(uri, edited)
    now, then = (hashlib.sha256(body).hexdigest()[:12] for body in (edited, judged))
    with pytest.raises(RefusedError) as refused:
        verified(world, version)
    assert str(refused.value) == (
        f"v1: {uri} was changed after its verdict (its sha256 begins with {now}, the recorded one with {then}); "
        "restore the object's first version, or run the pipeline again"
    )


def test_evaluation_and_model_that_were_replaced_together_are_refused(world: Any) -> None:
    version, uri = world.register(), f"{world.sagemaker.packages[1].evaluation_uri}/evaluation.json"
    evaluation = json.loads(world.get(uri))
    evaluation["model"]["sha256"] = hashlib.sha256(b"another model").hexdigest()
    world.put(version.model_uri, b"another model")
    world.put(uri, json.dumps(evaluation).encode())
    with pytest.raises(RefusedError, match="was changed after its verdict"):
        verified(world, version)


def test_version_that_was_registered_by_hand_has_no_verdict(world: Any) -> None:
    version = world.register()
    world.forget_verdict(version)
    with pytest.raises(RefusedError, match="v1 has no verdict record: it was registered by hand"):
        verified(world, version)


def test_version_that_has_served_goes_without_a_record_and_is_told(world: Any) -> None:
    version = world.register()
    world.forget_verdict(version)
    assert verified(world, version, served=True).caveats == (
        "v1 has no verdict record: it was registered by hand, or by an older release; it has served before",
    )


def test_version_without_a_record_serves_by_the_image_that_it_served_by(world: Any) -> None:
    version = world.register()
    world.forget_verdict(version)
    with pytest.raises(RefusedError, match="v1 served by repository@sha256:another, and names "):
        verified(world, version, served=True, served_image="repository@sha256:another")


def test_verdict_under_another_floor_is_refused_unless_it_has_served(world: Any) -> None:
    world.settings = replace(world.settings, floor_policy_sha256="fedcba9876543210")
    version = world.register(recorded={"floor": "0123456789abcdef"})
    wrong = "v1 was judged under the gate policy 0123456789ab, and the environment's is fedcba987654 now"
    with pytest.raises(RefusedError) as refused:
        verified(world, version)
    assert str(refused.value) == (
        f"{wrong}; run the pipeline again, of which all but evaluating comes from the cache, and approve that version"
    )
    assert verified(world, version, served=True).caveats == (f"{wrong}; it has served before",)


def test_every_floor_is_another_where_the_environment_knows_none(world: Any) -> None:
    world.settings = replace(world.settings, floor_policy_sha256="")
    version = world.register()
    with pytest.raises(RefusedError, match="and the environment's is unknown now; run the pipeline again"):
        verified(world, version)


@pytest.mark.parametrize(
    ("recorded", "why"),
    [
        ({"ModelPackageArn": "arn/of/another"}, "names the version"),
        ({"EvaluationUri": "s3://data/other.json"}, "names the evaluation"),
        ({"ModelUri": "s3://data/other.tar.gz"}, "names the artifact .*; somebody edited it"),
        ({"Image": f"{REPOSITORY}:other"}, "names the image"),
        ({"ImageDigest": "sha256:" + "0" * 64}, "when it was measured"),
        ({"ModelSha256": "0" * 64}, "names the artifact"),
        ({"Runtime": "litert"}, "names the runtime openvino, litert was recorded"),
        ({"Precision": "int8"}, "names the precision f32, int8 was recorded"),
    ],
)
def test_whatever_the_record_says_otherwise_is_a_refusal(world: Any, recorded: dict[str, str], why: str) -> None:
    version = world.register()
    item = world.record("verdict#000001") | recorded
    world.table.put_item(Item=item)
    with pytest.raises(RefusedError, match=why):
        verified(world, version)
    with pytest.raises(RefusedError, match=why):
        verified(world, version, served=True)


def test_evaluation_under_another_floor_than_the_record_says_is_refused(world: Any) -> None:
    version = world.register(policy={"floor": {"sha256": "0" * 64}})
    with pytest.raises(RefusedError, match="names the floor 0000"):
        verified(world, version)


@pytest.mark.parametrize("policy", [{}, {"floor": {}}, {"floor": "f" * 64}, "f" * 64])
def test_evaluation_that_names_no_floor_is_refused(world: Any, policy: Any) -> None:
    version = world.register(policy=policy)
    with pytest.raises(RefusedError, match=f"its evaluation names the floor nowhere, {'f' * 64} was recorded; run the"):
        verified(world, version)


def test_tag_that_means_another_image_now_is_refused(world: Any) -> None:
    version = world.register()
    world.ecr.moved[version.image] = "sha256:0123456789abcdef"
    with pytest.raises(RefusedError) as refused:
        verified(world, version)
    assert str(refused.value) == (
        f"v1: {version.image} is sha256:0123456789ab now and was {image_digest(version.image)[:19]} when it was "
        "measured; run the pipeline again"
    )


def test_evaluation_json_round_trips() -> None:
    assert judge(json.loads(json.dumps(FIT)), package(), URI).sentence == "good"
