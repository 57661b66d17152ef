# SPDX-License-Identifier: Apache-2.0
"""PublishDossier pins, signs and shows a verdict, once; whatever is not what was judged gets none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from containers.evidence import statements
from containers.evidence.envelope import digest, read, seal
from containers.evidence.signing import signer
from containers.evidence.statements import previous_of
from infra.training.publish_dossier.dossier.jobs import CLOCKS
from tests.infra.training.publish_dossier.conftest import (
    ENDPOINT,
    JOBS,
    MEASURED,
    POLICY,
    PREPARED,
    SPLITS,
    Stage,
    judged,
    sha256,
)

STATEMENTS = ("dataset", "provenance", "verdict")


@pytest.fixture(scope="module")
def published(make_stage: Callable[[], Stage]) -> Stage:
    """What one publishing left; nothing of it is changed."""
    made = make_stage()
    run = made.publish()
    assert run.error == ""
    assert run.answer == {"ReportUri": f"s3://{made.bucket}/{made.folder}/report.html"}
    return made


def refusal(stage: Stage, **environment: str) -> str:
    """What the step ends with; nothing is signed, recorded or shown then."""
    run = stage.publish(**environment)
    assert run.answer is None
    assert stage.record() is None
    assert stage.cloud.client("s3").list_objects_v2(Bucket=stage.bucket, Prefix="evidence/")["KeyCount"] == 0
    assert stage.described()["CustomerMetadataProperties"] == {"reviewer": "nobody"}
    return run.error.strip().splitlines()[-1]


def test_the_verdict_is_recorded_with_the_digest_of_everything(published: Stage) -> None:
    record = published.record()
    assert record is not None
    envelope = published.get(f"{published.folder}/verdict.json")
    assert record.pop("PublishedAt")
    assert record == {
        "EndpointName": ENDPOINT,
        "Record": "verdict#000001",
        "Version": 1,
        "ModelPackageArn": published.package,
        "PipelineExecutionArn": published.execution,
        "EvaluationUri": f"s3://{published.bucket}/{MEASURED}/evaluation.json",
        "EvaluationSha256": sha256(published.get(f"{MEASURED}/evaluation.json")),
        "ModelUri": f"s3://{published.bucket}/{published.model}",
        "ModelSha256": published.artifact_sha256,
        "Image": published.images["inference"][0],
        "ImageDigest": published.images["inference"][1],
        "FloorPolicySha256": sha256(POLICY),
        "GatePolicySha256": "",
        "TestSet": "t" * 64,
        "DatasetSha256": "d" * 64,
        "ChampionArn": "none",
        "BestArn": "none",
        "Waiver": "",
        "MeanAP": Decimal("0.412"),
        "Runtime": "openvino",
        "Precision": "f32",
        "StatementUri": f"s3://{published.bucket}/{published.folder}/verdict.json",
        "StatementSha256": digest(envelope),
        "Revision": 1,
    }


def test_the_chain_is_signed_and_leads_to_who_started_it_and_the_data(published: Stage) -> None:
    verdict, provenance, dataset = (published.statement(name) for name in ("verdict", "provenance", "dataset"))
    assert [each["predicateType"] for each in (verdict, provenance, dataset)] == [
        statements.VERDICT,
        statements.PROVENANCE,
        statements.DATASET,
    ]
    assert previous_of(verdict) == digest(published.get(f"{published.folder}/provenance.json"))
    assert previous_of(provenance) == digest(published.get(f"{published.folder}/dataset.json"))
    assert previous_of(dataset) is None
    (subject,) = verdict["subject"]
    version = published.cloud.client("s3").head_object(Bucket=published.bucket, Key=published.model)["VersionId"]
    assert subject["digest"]["sha256"] == published.artifact_sha256
    assert subject["annotations"]["s3VersionId"] == version
    made = provenance["predicate"]
    assert made["mapgate_startedBy"] == "arn:aws:iam::123456789012:user/administrator"
    assert made["mapgate_description"] == "more night images"
    assert made["buildDefinition"]["externalParameters"] == {"DatasetUri": "s3://data/datasets/1/"}
    assert made["runDetails"]["metadata"]["invocationId"] == published.execution
    assert made["buildDefinition"]["resolvedDependencies"][1]["digest"]["sha256"] in published.images["training"][1]
    assert dataset["predicate"]["contentSha256"] == "d" * 64
    assert dataset["predicate"]["facts"]["splits"] == {"test": {"images": 120, "boxes": 370}}


def test_the_version_shows_the_verdict_beside_what_it_had(published: Stage) -> None:
    report = f"s3://{published.bucket}/{published.folder}/report.html"
    described = published.described()
    shown = described["CustomerMetadataProperties"]
    assert shown["reviewer"] == "nobody"
    assert (shown["mAP"], shown["mAP_50"]) == ("0.4120", "0.6300")
    assert shown["gate"] == "passed: mAP_50 is at least 0.597 - 0.500 is asked for."
    assert (shown["report_uri"], shown["execution_arn"]) == (report, published.execution)
    assert shown["verdict_sha256"] == digest(published.get(f"{published.folder}/verdict.json"))
    assert len(shown) <= 50 and all(len(value) <= 256 for value in shown.values())
    (container,) = described["InferenceSpecification"]["Containers"]
    assert container["Environment"] == {"OWN": "1", "MAPGATE_RUNTIME": "openvino", "MAPGATE_PRECISION": "f32"}
    assert container["Image"] == published.images["inference"][0]
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    card = json.loads(described["ModelCard"]["ModelCardContent"])
    assert card["model_overview"]["model_artifact"] == [f"s3://{published.bucket}/{published.model}"]
    assert card["intended_uses"]["purpose_of_model"] == "more night images"
    page = published.get(f"{published.folder}/report.html").decode()
    assert "arn:aws:iam::123456789012:user/administrator" in page and "version 1" in page


def test_an_evaluation_that_somebody_edited_passes_no_more_than_it_measured(stage: Stage) -> None:
    """`gate.passed` made true over rules that failed."""
    parts = judged(model={"sha256": stage.artifact_sha256})
    parts["gate"]["rules"][0]["passed"] = False
    stage.put(f"{MEASURED}/evaluation.json", parts)
    assert "says that the gate passed, but not its rules (mAP_50)" in refusal(stage)


@pytest.mark.parametrize(
    ("key", "job"),
    [
        (f"{MEASURED}/evaluation.json", "EvaluateDetector"),
        (f"{MEASURED}/report.html", "EvaluateDetector"),
        ("executions/abc/measurements/measurements.json", "MeasureServing"),
        ("executions/abc/measurements/champion/openvino/detections.npz", "MeasureServing"),
        ("executions/abc/metadata/dataset.json", "PrepareDataset"),
        ("executions/abc/test/1.tfrecord", "PrepareDataset"),
        ("executions/abc/train/2.tfrecord", "PrepareDataset"),
        ("", "TrainDetector"),
    ],
)
def test_what_was_written_after_its_job_had_ended_gives_no_verdict(stage: Stage, key: str, job: str) -> None:
    """Whoever holds the role of the jobs may write there, too: here the very same bytes, or more than there were."""
    key = key or stage.model
    listed = stage.cloud.client("s3").list_objects_v2(Bucket=stage.bucket, Prefix=key).get("Contents")
    content = stage.get(key) if listed else b"some"
    time.sleep(1 + CLOCKS.total_seconds())  # which is not told apart
    stage.put(key, content)
    told = refusal(stage)
    assert f"s3://{stage.bucket}/{key}: written after {job}'s job" in told
    assert "so by somebody else; an administrator finds out who" in told


def test_a_job_that_was_run_beside_the_pipeline_gives_no_verdict(stage: Stage) -> None:
    """As the definition gives it but for a variable, in which a library of somebody's own could be named."""
    variables = {**stage.variables("evaluation_job"), "LD_PRELOAD": "/opt/ml/processing/input/model/own.so"}
    stage.inputs["evaluation_job"] = stage.run_job("evaluation_job", Environment=variables)
    stage.jobs_end()
    assert "its variable LD_PRELOAD is /opt/ml/processing/input/model/own.so, not absent" in refusal(stage)


def test_the_jobs_of_an_earlier_execution_are_fine_where_a_step_was_cached(stage: Stage) -> None:
    """Step caching hands over the job and the addresses of the execution that ran it."""
    for split in SPLITS:
        stage.put(f"executions/earlier/{split}/1.tfrecord", b"some")
    stage.put("executions/earlier/metadata/dataset.json", PREPARED)
    places = {name: f"s3://{stage.bucket}/executions/earlier/{name}" for name in (*SPLITS, "metadata")}
    stage.inputs |= {f"{name}_uri": place for name, place in places.items()}
    stage.moved |= places
    for job in JOBS:
        stage.inputs[job] = stage.run_job(job)
    stage.inputs["metadata_job"] = stage.inputs["data_job"]
    stage.jobs_end()
    assert stage.publish().error == ""


def test_an_artifact_that_somebody_replaced_gets_no_verdict(stage: Stage) -> None:
    stage.put(stage.model, b"other weights")
    told = refusal(stage)
    assert "is not the artifact that was evaluated" in told and sha256(b"other weights")[:12] in told


def test_an_image_that_somebody_replaced_gets_no_verdict(stage: Stage) -> None:
    stage.inputs["inference_image_digest"] = f"sha256:{'0' * 64}"
    assert "is another one than before" in refusal(stage)


def test_an_image_that_is_gone_gets_no_verdict(stage: Stage) -> None:
    uri = stage.images["training"][0].replace(":1", ":2")
    assert "mapgate images push" in refusal(stage, TRAINING_IMAGE=uri)


def test_a_policy_that_somebody_replaced_gives_no_verdict(stage: Stage) -> None:
    stage.put("defaults/gate-policy/p/gate_policy.yaml", b"schema_version: 2\nmetrics: {mAP_50: 0.01}\n")
    assert "is not the gate policy that was deployed" in refusal(stage)


@pytest.mark.parametrize("key", [f"{MEASURED}/evaluation.json", f"{MEASURED}/report.html", ""])
def test_what_is_gone_is_told(stage: Stage, key: str) -> None:
    key = key or stage.model
    stage.cloud.client("s3").delete_object(Bucket=stage.bucket, Key=key)
    assert f"s3://{stage.bucket}/{key} is gone" in refusal(stage)


@pytest.mark.parametrize("content", [b"[]", b"\xff"])
def test_an_evaluation_that_is_none_is_told(stage: Stage, content: bytes) -> None:
    stage.put(f"{MEASURED}/evaluation.json", content)
    assert "is no JSON" in refusal(stage)


def test_a_step_that_is_tried_again_changes_nothing(stage: Stage) -> None:
    def left() -> list[Any]:
        return [stage.record(), *(stage.get(f"{stage.folder}/{name}.json") for name in STATEMENTS)]

    assert stage.publish().error == ""
    before = left()
    assert stage.publish().error == ""
    assert left() == before


@pytest.mark.parametrize("lost", [("verdict", "provenance"), ()])
def test_a_step_that_crashed_between_its_writes_goes_on(stage: Stage, lost: tuple[str, ...]) -> None:
    """Before the record was written, and before the later statements were."""
    assert stage.publish(ENDPOINT_NAME="another").error == ""
    first = stage.record("another")
    assert stage.record() is None and first is not None
    for name in (*(f"{name}.json" for name in lost), "report.html"):
        stage.cloud.client("s3").delete_object(Bucket=stage.bucket, Key=f"{stage.folder}/{name}")
    assert stage.publish().error == ""
    again = stage.record()
    assert again is not None
    assert again["StatementSha256"] == digest(stage.get(f"{stage.folder}/verdict.json"))
    assert ({**again, "EndpointName": "another"} == first) is (not lost)
    assert stage.get(f"{stage.folder}/report.html")


def test_a_verdict_is_not_recorded_twice_with_another_content(stage: Stage) -> None:
    assert stage.publish().error == ""
    first = stage.record()
    assert first is not None
    stage.table.put_item(Item={**first, "EvaluationSha256": "0" * 64, "MeanAP": Decimal("0.9")})
    told = stage.publish().error
    assert "has a verdict already, and it is another one (in EvaluationSha256, MeanAP)" in told
    changed = stage.record()
    assert changed is not None and changed["EvaluationSha256"] == "0" * 64


def test_an_evaluation_that_is_made_anew_cannot_change_what_was_stated(stage: Stage) -> None:
    assert stage.publish().error == ""
    before = stage.record()
    stage.evaluate(gate={**judged()["gate"], "sentence": "Better than it was."})
    stage.inputs["evaluation_job"] = stage.run_job("evaluation_job")
    stage.jobs_end()
    assert "verdict.json is there already, and states something else of this version" in stage.publish().error
    assert stage.record() == before


@pytest.mark.parametrize("name", ["dataset", "verdict"])
def test_a_statement_that_somebody_changed_is_not_taken(stage: Stage, name: str) -> None:
    assert stage.publish().error == ""
    envelope = json.loads(stage.get(f"{stage.folder}/{name}.json"))
    envelope["payload"] = envelope["payload"].replace("A", "B", 1)
    stage.put(f"{stage.folder}/{name}.json", envelope)
    assert f"{name}.json is there already, and cannot be believed" in stage.publish().error


def test_a_statement_that_another_key_signed_is_not_taken(stage: Stage) -> None:
    assert stage.publish().error == ""
    kms = stage.cloud.client("kms")
    other = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    statement = read(stage.get(f"{stage.folder}/verdict.json"))
    # It names the environment's key as its own.
    stage.put(f"{stage.folder}/verdict.json", seal(statement, signer(kms, other), stage.key))
    told = stage.publish().error
    assert "verdict.json is there already, and cannot be believed: the signature is not of this content" in told
