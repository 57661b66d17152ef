# SPDX-License-Identifier: Apache-2.0
"""The chain: each statement names its subject and the envelope before it by digest."""

from __future__ import annotations

from typing import Any

import pytest

from containers.evidence import statements
from containers.evidence.envelope import digest, open_envelope, seal
from containers.evidence.statements import Resource, previous_of

MODEL = Resource(uri="s3://data/models/model.tar.gz", sha256="a" * 64, version_id="v-1")
PACKAGE = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/mapgate-dev/3"
EXECUTION = "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/mapgate-dev/execution/abcdefghijkl"
IMAGE = Resource(uri="123456789012.dkr.ecr.eu-central-1.amazonaws.com/mapgate-dev-inference:abc", sha256="sha256:1b")
DOCUMENT = Resource(uri="s3://data/metadata/dataset.json", sha256="d" * 64)


def dataset(previous: str | None = None) -> dict[str, Any]:
    return statements.dataset(
        document=DOCUMENT, content_sha256="c" * 64, facts={"images": {"test": 60}}, previous=previous
    )


def provenance(previous: str | None, **further: Any) -> dict[str, Any]:
    return statements.provenance(
        model=MODEL,
        execution_arn=EXECUTION,
        started_by="arn:aws:sts::123456789012:assumed-role/scientists/jo",
        started_at="2026-11-30T12:00:00Z",
        description="more night images",
        parameters={"DatasetUri": "s3://data/datasets/1/"},
        pipeline_arn=EXECUTION.partition("/execution/")[0],
        builder="arn:aws:lambda:eu-central-1:123456789012:function:mapgate-dev-publish-dossier",
        training_image=IMAGE,
        dataset_document=DOCUMENT,
        previous=previous,
        **further,
    )


def verdict(previous: str | None, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "model": MODEL,
        "version": 3,
        "model_package_arn": PACKAGE,
        "execution_arn": EXECUTION,
        "evaluation": Resource(uri="s3://data/e/evaluation.json", sha256="e" * 64),
        "floor_policy": Resource(uri="s3://data/defaults/gate-policy/1/gate_policy.yaml", sha256="f" * 64),
        "gate_policy": None,
        "image": IMAGE,
        "test_set": "7" * 64,
        "dataset_sha256": "c" * 64,
        "champion_arn": "none",
        "best_arn": "none",
        "waiver": "",
        "passed": True,
        "sentence": "All 9 rules are met.",
        "mean_ap": 0.41,
        "runtime": "openvino",
        "precision": "f32",
        "verifier": "arn:aws:lambda:eu-central-1:123456789012:function:mapgate-dev-publish-dossier",
        "verified_at": "2026-11-30T13:00:00Z",
        "previous": previous,
    }
    return statements.verdict(**{**given, **changes})


def approval(previous: str | None) -> dict[str, Any]:
    return statements.approval(
        model=MODEL,
        version=3,
        model_package_arn=PACKAGE,
        status="Approved",
        approved_by="arn:aws:sts::123456789012:assumed-role/approvers/kim",
        approved_at="2026-11-30T14:00:00Z",
        reason="looked at every miss",
        override=False,
        previous=previous,
    )


def deployment(previous: str | None) -> dict[str, Any]:
    return statements.deployment(
        model=MODEL,
        version=3,
        model_package_arn=PACKAGE,
        endpoint_name="mapgate-dev",
        endpoint_config_name="mapgate-dev-v3-abc",
        image=IMAGE,
        runtime="openvino",
        precision="f32",
        deployed_at="2026-11-30T15:00:00Z",
        previous=previous,
    )


def test_the_chain_is_walked_back_from_the_deployment_to_the_data_set() -> None:
    envelopes: dict[str, bytes] = {}
    previous: Any = None
    for make in (dataset, provenance, verdict, approval, deployment):
        envelope = seal(make(previous), lambda message: message[:9], "key")
        previous = digest(envelope)
        envelopes[previous] = envelope
    kinds = []
    while previous is not None:
        statement = open_envelope(envelopes[previous], lambda message, signature: message[:9] == signature)
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        kinds.append(statement["predicateType"])
        previous = previous_of(statement)
    assert kinds == [
        statements.DEPLOYMENT,
        statements.APPROVAL,
        "https://slsa.dev/verification_summary/v1",
        "https://slsa.dev/provenance/v1",
        statements.DATASET,
    ]


@pytest.mark.parametrize("make", [provenance, verdict, approval, deployment])
def test_every_later_statement_is_about_the_artifact_and_its_version_in_s3(make: Any) -> None:
    (subject,) = make("1" * 64)["subject"]
    assert subject["name"] == subject["uri"] == MODEL.uri
    assert subject["digest"] == {"sha256": MODEL.sha256}
    assert subject["annotations"] == {"s3VersionId": "v-1"}


def test_provenance_has_what_slsa_requires_and_the_images_digest() -> None:
    predicate = provenance("1" * 64)["predicate"]
    definition, run = predicate["buildDefinition"], predicate["runDetails"]
    assert definition["externalParameters"] == {"DatasetUri": "s3://data/datasets/1/"}
    assert definition["buildType"]
    assert run["builder"]["id"].startswith("arn:aws:lambda:")
    assert run["metadata"]["invocationId"] == EXECUTION
    digests = [each["digest"]["sha256"] for each in definition["resolvedDependencies"]]
    assert digests == ["d" * 64, "1b"]


def test_provenance_of_chosen_steps_says_that_the_parameters_are_not_those_of_the_others() -> None:
    source = f"{EXECUTION}-before"
    predicate = provenance("1" * 64, selected_steps=["PublishDossier"], source_execution_arn=source)["predicate"]
    assert (predicate["mapgate_selectedSteps"], predicate["mapgate_sourceExecution"]) == (["PublishDossier"], source)
    assert "mapgate_selectedSteps" not in provenance("1" * 64)["predicate"]


def test_verdict_has_what_slsa_requires_and_everything_that_was_judged() -> None:
    own = Resource(uri="s3://data/policies/gate_policy.yaml", sha256="9" * 64)
    predicate = verdict("1" * 64, gate_policy=own)["predicate"]
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["policy"]["digest"] == {"sha256": "f" * 64}
    assert predicate["inputAttestations"] == [{"digest": {"sha256": "1" * 64}}]
    assert predicate["resourceUri"] == PACKAGE
    assert predicate["timeVerified"] == "2026-11-30T13:00:00Z"
    assert predicate["mapgate_evaluation"]["digest"] == {"sha256": "e" * 64}
    assert predicate["mapgate_gatePolicy"]["digest"] == {"sha256": "9" * 64}
    assert predicate["mapgate_image"]["digest"] == {"sha256": "1b"}
    assert (predicate["mapgate_testSet"], predicate["mapgate_champion"]) == ("7" * 64, "none")
    assert predicate["mapgate_best"] == "none"


def test_a_gate_that_failed_cannot_be_read_as_one_that_passed() -> None:
    predicate = verdict("1" * 64, passed=False)["predicate"]
    assert predicate["verificationResult"] == "FAILED"
    assert predicate["verifiedLevels"] == ["FAILED"]
    assert not any(level.startswith("SLSA_") for level in verdict(None)["predicate"]["verifiedLevels"])
