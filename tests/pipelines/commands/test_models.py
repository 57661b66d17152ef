# SPDX-License-Identifier: Apache-2.0
"""`mapgate models`: what an approver reads, what happens when they decide, and what can be proven afterwards."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from containers.evidence.signing import signer
from infra.training.publish_dossier.model_card import RegisteredVersion, model_card
from localcloud import cloud as local_cloud
from tests.evaluations import CHAMPION_ARN, evaluation
from tests.pipelines.registered import Registered, chain_of

Mapgate = Callable[..., subprocess.CompletedProcess[str]]
ANA = "arn:aws:iam::123456789012:role/ana"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    yield local_cloud.up(home).endpoint_url
    local_cloud.down(home)


@pytest.fixture
def deployed(url: str, request: pytest.FixtureRequest) -> Registered:
    return Registered(url, request.node.name.replace("_", "-")[-24:].strip("-"))


@pytest.fixture
def run(deployed: Registered, typed: Mapgate) -> Mapgate:
    """Runs `mapgate models` against the test's own deployment."""
    where = ("--endpoint-url", deployed.url, "--project", deployed.project)
    return lambda *words: typed(*where, "models", *words)


def card() -> dict[str, Any]:
    known = RegisteredVersion(
        arn=CHAMPION_ARN,
        model_uri="s3://data/m/model.tar.gz",
        execution_arn="arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abc",
        report_uri="s3://data/report.html",
        author="role/ana",
        purpose="Counts bikes at crossings [not cars].",
        training_image="registry/training:abc",
        hyperparameters={"learning_rate": "0.01"},
    )
    return model_card(evaluation(), {"sha256": "d" * 64, "splits": {"train": {"images": 880, "boxes": 2700}}}, known)


def champion_of(deployed: Registered, number: int) -> dict[str, Any]:
    """The part of an evaluation that says with what it was compared."""
    return dict(evaluation()["champion"]) | {"arn": deployed.arn(number)}


def test_stranger_is_answered_by_show(deployed: Registered, run: Mapgate) -> None:
    deployed.version()
    deployed.version(card=card(), champion=champion_of(deployed, 1))
    deployed.serves(1)
    deployed.judged(2, 1, StatementUri="s3://data/evidence/v000002/verdict.json")
    told = run("show", "2")
    assert told.returncode == 0, told.stderr
    for sentence in (
        "version 2 PendingManualApproval",
        "Counts bikes at crossings [not cars].",
        "ssd_mobilenet_v2_fpnlite_640x640",
        "880 training images",
        "120 images with 370 boxes, chosen by the execution itself",
        "passed: mAP_50 is at least 0.597, 0.500 is asked for.",
        "version 1, which still serves",
        "0.4120 (90 %: 0.3790 to 0.4450)",
        "a difference of mAP of 0.034 or more; about 250 images",
        "Worse at pedestrian: AP -0.0310 (90 %: -0.0500 to -0.0120), surely",
        "cyclist",
        "data: images was 800, is 880",
        "s3://data/defaults/gate-policy/f/gate_policy.yaml",
        "Not asked: No recall is asked of any class.",
        "Overruled: The execution's policy asked for mAP_50 0.01.",
        "s3://data/evidence/v000002/verdict.json",
    ):
        assert sentence in told.stdout, sentence
    assert "Worse at car" not in told.stdout


def test_registry_entry_alone_answers_a_stranger(deployed: Registered, run: Mapgate) -> None:
    """Who may not read the bucket learns from the model card."""
    deployed.version(card=card())
    s3, bucket = deployed.client("s3"), deployed.names["data_bucket"]
    for item in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    told = run("show").stdout
    for sentence in (
        "Counts bikes at crossings [not cars].",
        "880 training images",
        "Gate passed: mAP_50 is at least 0.597",
        "mAP 0.412 (90 % interval 0.379 to 0.445)",
        "Worse at pedestrian: AP -0.031",
        "Not asked: No recall is asked of any class.",
        "Its evaluation cannot be shown: s3://",
    ):
        assert sentence in told, sentence


def test_who_approved_and_why_is_shown(deployed: Registered, run: Mapgate) -> None:
    deployed.version()
    deployed.client("sagemaker").update_model_package(
        ModelPackageArn=deployed.arn(1), ModelApprovalStatus="Approved", ApprovalDescription="Better [on] bikes."
    )
    deployed.serves(1, Reason="Better [on] bikes.")
    told = run("show")
    assert told.returncode == 0, told.stderr
    assert "Better [on] bikes." in told.stdout
    assert ANA in told.stdout
    assert "it serves" in told.stdout
    deployed.client("sagemaker").update_model_package(
        ModelPackageArn=deployed.arn(1), ModelApprovalStatus="Rejected", ApprovalDescription="No."
    )
    rejected = run("show").stdout
    assert "user/administrator" in rejected and ANA not in rejected
    deployed.client("sagemaker").update_model_package(
        ModelPackageArn=deployed.arn(1), ModelApprovalStatus="Approved", ApprovalDescription="Better [on] bikes."
    )
    as_json = json.loads(run("show", "--json").stdout)
    assert (as_json["approval"], as_json["reason"], as_json["serves"]) == ("Approved", "Better [on] bikes.", True)
    assert as_json["evaluation"]["gate"]["passed"] is True


def test_version_of_the_release_before_is_shown_as_far_as_it_can_be(deployed: Registered, run: Mapgate) -> None:
    old = evaluation()
    for later in ("policy", "resolution", "resources", "slices", "best", "multiclass_classification_metrics"):
        del old[later]
    uri = deployed.put("executions/old/evaluation/evaluation.json", json.dumps(old | {"schema_version": 1}).encode())
    group = deployed.names["model_package_group"]
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}}
    deployed.client("sagemaker").create_model_package(ModelPackageGroupName=group, ModelMetrics=metrics)
    deployed.client("sagemaker").create_model_package(
        ModelPackageGroupName=group, CustomerMetadataProperties={"mAP": "0.3"}
    )
    told = run("show", "1")
    assert told.returncode == 0, told.stderr
    assert "none: registered before verdicts were signed, or outside the pipeline" in told.stdout
    foreign = run("show", "2")
    assert foreign.returncode == 0, foreign.stderr
    assert "version 2 has no evaluation: it was not registered by the pipeline" in foreign.stdout


def test_list_names_what_serves(deployed: Registered, run: Mapgate) -> None:
    deployed.version()
    deployed.version()
    deployed.serves(1)
    listed = json.loads(run("list", "--json").stdout)
    assert [(one["version"], one["serves"]) for one in listed] == [(2, False), (1, True)]
    assert "PendingManualApproval, serves" in run("list").stdout


def test_two_versions_stand_beside_each_other(deployed: Registered, run: Mapgate) -> None:
    deployed.version(score_threshold=0.3)
    deployed.version(card=card(), champion=champion_of(deployed, 1))
    told = run("compare", "1", "2")
    assert told.returncode == 0, told.stderr
    assert "+0.0120 (-0.0100 to +0.0300)" in told.stdout
    assert "settings: learning_rate" in told.stdout and "0.01" in told.stdout
    assert "The change was measured on the same images" in told.stdout
    assert "architecture" not in told.stdout  # it is the same
    as_json = json.loads(run("compare", "1", "2", "--json").stdout)
    assert as_json["metrics"]["mAP"]["change"]["value"] == 0.012
    assert as_json["per_class"]["pedestrian"]["change"]["value"] == -0.031
    assert as_json["settings"]["architecture"]["differs"] is False
    assert as_json["code"]["training_image"] == {
        "first": "not known",
        "second": "registry/training:abc",
        "differs": True,
    }
    page = run("compare", "1", "2", "--markdown").stdout
    assert page.startswith("# Version 1 and version 2\n")
    assert "| mAP | 0.4120 (0.3790 to 0.4450) | 0.4120 (0.3790 to 0.4450) | +0.0120 (-0.0100 to +0.0300) |" in page


def test_approving_tells_what_it_does_and_does_it(deployed: Registered, run: Mapgate) -> None:
    deployed.version()
    deployed.version(champion=champion_of(deployed, 1))
    deployed.serves(1)
    deployed.judged(2, 1)
    told = run("approve", "2", "--yes", "--reason", "Better [on] bikes.")
    assert told.returncode == 0, told.stderr
    assert "passed: mAP_50 is at least 0.597" in told.stdout
    assert "Production goes from version 1 to version 2" in told.stdout
    assert "version 2 is Approved" in told.stdout
    assert f"`mapgate --project {deployed.project} --endpoint-url {deployed.url} endpoints` shows" in told.stdout
    described = deployed.client("sagemaker").describe_model_package(ModelPackageName=deployed.arn(2))
    assert (described["ModelApprovalStatus"], described["ApprovalDescription"]) == ("Approved", "Better [on] bikes.")
    again = run("approve", "2")
    assert "version 2 is Approved, as it was" in again.stdout


def test_approval_that_will_be_refused_says_why_and_how_to_override(deployed: Registered, run: Mapgate) -> None:
    for _ in range(3):
        deployed.version(champion=champion_of(deployed, 1))
    deployed.serves(2)
    deployed.judged(3, 1)
    told = json.loads(run("approve", "3", "--json").stdout)
    assert told["refusal"].startswith("v3 was compared with v1, and v2 serves now. ")
    assert told["changes_production"] is False
    deployed.approved(3, Outcome="refused", Sentence="compared with another")
    told = json.loads(run("approve", "3", "--override", "--reason", "v1 was withdrawn", "--json").stdout)
    assert (told["changed"], told["refusal"], told["changes_production"]) == (True, None, True)
    described = deployed.client("sagemaker").describe_model_package(ModelPackageName=deployed.arn(3))
    assert described["ApprovalDescription"] == "override: v1 was withdrawn"
    refused = run("approve", "3", "--override")
    assert refused.returncode == 2 and "--override needs a --reason" in refused.stderr


def test_approval_of_before_is_given_anew_when_production_is_to_go_back(deployed: Registered, run: Mapgate) -> None:
    for number in (1, 2):
        deployed.version()
        deployed.serves(number)
        deployed.judged(number, None)
        deployed.client("sagemaker").update_model_package(
            ModelPackageArn=deployed.arn(number), ModelApprovalStatus="Approved", ApprovalDescription="first"
        )
    told = json.loads(run("approve", "1", "--yes", "--reason", "v2 is slow", "--json").stdout)
    assert (told["changed"], told["changes_production"]) == (True, True)
    described = deployed.client("sagemaker").describe_model_package(ModelPackageName=deployed.arn(1))
    assert (described["ModelApprovalStatus"], described["ApprovalDescription"]) == ("Approved", "v2 is slow")
    told = json.loads(run("approve", "2", "--yes", "--json").stdout)
    assert (told["changed"], told["sentences"]) == (False, ["Production serves version 2 already: nothing changes."])


def test_who_would_rather_not_changes_nothing(
    deployed: Registered, run: Mapgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def would_rather_not(question: str, **_: object) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "confirm", would_rather_not)
    deployed.version()
    deployed.judged(1, None)
    told = run("approve", "1")
    assert (told.returncode, asked) == (1, ["Approve version 1?"])
    assert "brought up on a new endpoint" in told.stdout
    assert "version 1 is PendingManualApproval, as before" in told.stderr
    described = deployed.client("sagemaker").describe_model_package(ModelPackageName=deployed.arn(1))
    assert described["ModelApprovalStatus"] == "PendingManualApproval"


def test_rejecting_tells_what_production_rolls_back_to(deployed: Registered, run: Mapgate) -> None:
    deployed.version()
    deployed.version()
    deployed.serves(1)
    deployed.serves(2)
    deployed.judged(1, None)
    decide = deployed.client("sagemaker").update_model_package
    decide(ModelPackageArn=deployed.arn(2), ModelApprovalStatus="Approved", ApprovalDescription="override: old")
    told = run("reject", "2", "--yes")
    assert told.returncode == 0, told.stderr
    assert "Production rolls back from version 2 to version 1" in told.stdout
    assert "version 2 is Rejected" in told.stdout
    described = deployed.client("sagemaker").describe_model_package(ModelPackageName=deployed.arn(2))
    assert described.get("ApprovalDescription", "") == ""  # what was written for the approval says nothing of this
    told = run("approve", "2")
    assert "Version 2 was Rejected" in told.stdout and "after all" in told.stdout


def test_rejecting_tells_to_which_version_production_cannot_go_back(deployed: Registered, run: Mapgate) -> None:
    """Of the first one no verdict is recorded, and its evaluation was written after it had served."""
    for number in (1, 2):
        deployed.version()
        deployed.serves(number)
    told = run("reject", "2", "--yes")
    assert "Version 1 will be refused: v1: s3://" in told.stdout
    assert "no other approval stands: it keeps serving" in " ".join(told.stdout.split())


def test_what_serves_can_be_rejected_though_the_version_before_it_was_deleted(
    deployed: Registered, run: Mapgate
) -> None:
    for number in (1, 2):
        deployed.version()
        deployed.serves(number)
    deployed.client("sagemaker").delete_model_package(ModelPackageName=deployed.arn(1))
    told = run("reject", "2", "--yes")
    assert told.returncode == 0, told.stderr
    assert "Version 1 will be refused:" in told.stdout and "holds no version 1, only 2" in " ".join(told.stdout.split())
    described = deployed.client("sagemaker").describe_model_package(ModelPackageName=deployed.arn(2))
    assert described["ModelApprovalStatus"] == "Rejected"


def test_history_tells_who_when_and_what_served(deployed: Registered, run: Mapgate) -> None:
    deployed.version()
    deployed.version()
    at = 1_790_000_000_000
    deployed.approved(1)
    deployed.serves(2)
    for number, kind, moment in ((1, "serves", at), (2, "approved", at + 5000), (2, "serves", at + 9000)):
        sentence = f"v{number} {kind} [now]"
        deployed.record(f"event#{moment:013d}#{number}", Version=number, Kind=kind, Sentence=sentence, At=moment)
    told = run("history")
    assert told.returncode == 0, told.stderr
    assert "v2 serves [now]" in told.stdout
    assert f"By {ANA}: Better on bikes." in told.stdout  # of version 1, which has no event of its approval
    (approved,) = [one for one in json.loads(run("history", "2", "--json").stdout)["events"] if one["by"]]
    assert (approved["kind"], approved["by"], approved["reason"]) == ("approved", ANA, "Better on bikes.")
    found = json.loads(run("history", "1", "--json").stdout)
    assert [one["kind"] for one in found["events"]] == ["serves", "approved", "registered"]
    assert found["served"] == [{"version": 1, "from": "2026-09-21T14:13:20+00:00", "to": "2026-09-21T14:13:29+00:00"}]


def test_version_without_evidence_is_not_proven(deployed: Registered, run: Mapgate) -> None:
    deployed.version()
    told = run("provenance", "1")
    assert told.returncode == 1
    assert "registered before verdicts were signed: nothing can be proven of it" in told.stdout
    assert "version 1: nothing is proven" in told.stderr
    deployed.judged(1, None)
    found = json.loads(run("provenance", "1", "--json").stdout)
    assert [link["kind"] for link in found["links"]] == ["dataset", "provenance", "verdict"]
    assert found["holds"] is False


def test_chain_signed_by_the_environments_key_is_proven_and_a_forged_one_is_not(
    deployed: Registered, run: Mapgate
) -> None:
    deployed.version()
    kms = deployed.client("kms")
    keys = [kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"] for _ in range(2)]
    parameter = f"/{deployed.project}-dev/signing-key"
    deployed.client("ssm").put_parameter(Name=parameter, Value=keys[0], Type="String")
    bodies = {
        "executions/e/metadata/dataset.json": b"{}",
        "executions/e/evaluation/evaluation.json": b"{}",
        "defaults/gate-policy/f/gate_policy.yaml": b"schema_version: 2",
        "models/job/output/model.tar.gz": b"an archive",
    }
    documents = {deployed.put(key, body): body for key, body in bodies.items()}
    made = chain_of(documents, 1, signed_by=signer(kms, keys[0]))
    digests = {key.rsplit("/", 1)[-1].split(".")[0]: hashlib.sha256(body).hexdigest() for key, body in bodies.items()}
    for name, envelope in made.items():
        deployed.put(f"evidence/v000001/{name}", envelope)
    deployed.judged(
        1,
        None,
        StatementSha256=hashlib.sha256(made["verdict.json"]).hexdigest(),
        ModelSha256=digests["model"],
        EvaluationSha256=digests["evaluation"],
    )
    told = run("provenance", "1")
    assert told.returncode == 0, told.stdout + told.stderr
    assert sum(line.split() == ["signature", "holds"] for line in told.stdout.splitlines()) == 5
    for known in ("bikes at night", digests["model"], "Better on bikes.", "mapgate-dev-inference:1", "compared with"):
        assert known in told.stdout, known

    forged = chain_of(documents, 1, signed_by=signer(kms, keys[1]))["verdict.json"]
    deployed.put("evidence/v000001/verdict.json", forged)
    told = run("provenance", "1")
    assert told.returncode == 1
    assert "changed, or forged" in told.stdout
    assert "the deployer's record names another verdict" in told.stdout
    assert "version 1: verdict, approval: what was signed does not hold" in told.stderr


def test_report_goes_into_a_file_and_one_that_is_missing_is_told(
    deployed: Registered, run: Mapgate, tmp_path: Path
) -> None:
    deployed.version()
    missing = run("show", "--report", str(tmp_path / "report.html"))
    assert missing.returncode == 2 and "version 1 has no report yet" in missing.stderr
    deployed.put("evidence/v000001/report.html", b"<html>")
    assert run("show", "--report", str(tmp_path / "report.html")).returncode == 0
    assert (tmp_path / "report.html").read_bytes() == b"<html>"
    folder = run("show", "--report", str(tmp_path / "no" / "report.html"))
    assert folder.returncode == 2 and "there is no folder" in folder.stderr


def test_version_that_is_not_there_is_told(deployed: Registered, run: Mapgate) -> None:
    nothing = run("show")
    assert nothing.returncode == 2 and "holds no version yet" in nothing.stderr
    deployed.version()
    told = run("provenance", "7")
    assert told.returncode == 2 and "holds no version 7, only 1" in told.stderr
