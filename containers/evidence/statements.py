# SPDX-License-Identifier: Apache-2.0
"""The statements of a version's chain, as in-toto Statements: data set, provenance, verdict, approval, deployment.

Each is about the artifact (the data set's is about the data set) and names the envelope before it by digest in
`mapgate_previous`. Provenance and verdict are SLSA's, with fields of our own, whose names begin as SLSA wants it.
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STATEMENT = "https://in-toto.io/Statement/v1"
DATASET = "mapgate:dataset/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
VERDICT = "https://slsa.dev/verification_summary/v1"
APPROVAL = "mapgate:approval/v1"
DEPLOYMENT = "mapgate:deployment/v1"
BUILD_TYPE = "mapgate:pipeline-execution/v1"
PASSED_LEVEL = "MAPGATE_GATE"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A thing and what it held when it was read.

    Attributes:
        uri: Where it lies: an object's `s3://` address, an image with its tag.
        sha256: Hexadecimal, of its bytes; of an image, of its manifest.
        version_id: The object's version in S3; None where there is none.
    """

    uri: str
    sha256: str
    version_id: str | None = None


def dataset(
    *, document: Resource, content_sha256: str, facts: Mapping[str, Any], previous: str | None = None
) -> dict[str, Any]:
    """Return what a version was trained and tested on; the chain begins here.

    Args:
        document: `dataset.json`.
        content_sha256: The content hash of the prepared data, which the model and the evaluation name too.
        facts: What an auditor reads first, such as the images of each split.
        previous: None, since nothing comes before it.
    """
    return _statement(DATASET, document, {"contentSha256": content_sha256, "facts": dict(facts)}, previous)


def provenance(
    *,
    model: Resource,
    execution_arn: str,
    started_by: str,
    started_at: str,
    description: str,
    parameters: Mapping[str, str],
    pipeline_arn: str,
    builder: str,
    training_image: Resource,
    dataset_document: Resource,
    previous: str | None,
    selected_steps: Sequence[str] = (),
    source_execution_arn: str = "",
) -> dict[str, Any]:
    """Return how the artifact came to be, SLSA's provenance v1.

    https://slsa.dev/spec/v1.0/provenance

    Args:
        model: The artifact.
        execution_arn: Of the pipeline execution that made it.
        started_by: ARN or principal of who started the execution.
        started_at: RFC 3339.
        description: Of the execution, what it is for.
        parameters: Which the execution was started with, all of them.
        pipeline_arn: Of the pipeline.
        builder: ARN of the function that speaks for the platform.
        training_image: In which the artifact was made.
        dataset_document: `dataset.json`.
        previous: Digest of the data set's envelope.
        selected_steps: Which alone ran, with these parameters, in an execution of chosen steps; none where all did.
        source_execution_arn: Whose outputs took the place of all others; empty where nobody named it.
    """
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": dict(parameters),
            "internalParameters": {"pipeline": pipeline_arn},
            "resolvedDependencies": [_descriptor(dataset_document), _descriptor(training_image)],
        },
        "runDetails": {
            "builder": {"id": builder},
            "metadata": {"invocationId": execution_arn, "startedOn": started_at},
        },
        "mapgate_startedBy": started_by,
        "mapgate_description": description,
        **({"mapgate_selectedSteps": list(selected_steps)} if selected_steps else {}),
        **({"mapgate_sourceExecution": source_execution_arn} if source_execution_arn else {}),
    }
    return _statement(PROVENANCE, model, predicate, previous)


def verdict(
    *,
    model: Resource,
    version: int,
    model_package_arn: str,
    execution_arn: str,
    evaluation: Resource,
    floor_policy: Resource,
    gate_policy: Resource | None,
    image: Resource,
    test_set: str,
    dataset_sha256: str,
    champion_arn: str,
    best_arn: str,
    waiver: str,
    passed: bool,
    sentence: str,
    mean_ap: float,
    runtime: str,
    precision: str,
    verifier: str,
    verified_at: str,
    previous: str | None,
) -> dict[str, Any]:
    """Return what was judged, by which rules and how, SLSA's verification summary v1.

    https://slsa.dev/spec/v1.0/verification_summary

    Args:
        model: The artifact that was judged.
        version: In the registry.
        model_package_arn: Of the version.
        execution_arn: Of the pipeline execution that judged.
        evaluation: `evaluation.json`.
        floor_policy: The environment's policy.
        gate_policy: The execution's own, which can only tighten it; None where it brought none.
        image: Which measured, and which is to serve.
        test_set: Digest of the test images.
        dataset_sha256: Content hash of the prepared data.
        champion_arn: Of the version that it was compared with, `none` where nothing served.
        best_arn: Of the best version that ever served, with which it was compared besides; `none` where there is none,
            or the champion is it.
        waiver: What an administrator wrote to go on without the champion; empty where nobody did.
        passed: Whether the gate passed.
        sentence: The gate's own.
        mean_ap: mAP, 0 to 1.
        runtime: By which it is to serve.
        precision: Of that runtime.
        verifier: ARN of the function that read all of this.
        verified_at: RFC 3339.
        previous: Digest of the provenance's envelope.
    """
    predicate = {
        "verifier": {"id": verifier},
        "timeVerified": verified_at,
        "resourceUri": model_package_arn,
        "policy": _descriptor(floor_policy),
        "inputAttestations": [{"digest": {"sha256": previous}}] if previous else [],
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": [PASSED_LEVEL if passed else "FAILED"],
        "slsaVersion": "1.0",
        "mapgate_version": version,
        "mapgate_execution": execution_arn,
        "mapgate_evaluation": _descriptor(evaluation),
        "mapgate_gatePolicy": _descriptor(gate_policy) if gate_policy else None,
        "mapgate_image": _descriptor(image),
        "mapgate_testSet": test_set,
        "mapgate_datasetSha256": dataset_sha256,
        "mapgate_champion": champion_arn,
        "mapgate_best": best_arn,
        "mapgate_waiver": waiver,
        "mapgate_sentence": sentence,
        "mapgate_meanAP": mean_ap,
        "mapgate_runtime": runtime,
        "mapgate_precision": precision,
    }
    return _statement(VERDICT, model, predicate, previous)


def approval(
    *,
    model: Resource,
    version: int,
    model_package_arn: str,
    status: str,
    approved_by: str,
    approved_at: str,
    reason: str,
    override: bool,
    previous: str | None,
) -> dict[str, Any]:
    """Return who decided on a version, and why.

    Args:
        model: The artifact.
        version: In the registry.
        model_package_arn: Of the version.
        status: `Approved` or `Rejected`.
        approved_by: ARN or principal, as the registry says it.
        approved_at: RFC 3339.
        reason: What they wrote.
        override: Whether they let it go although the champion that it was compared with no longer serves.
        previous: Digest of the verdict's envelope, or of the approval before.
    """
    predicate = {
        "version": version,
        "modelPackage": model_package_arn,
        "status": status,
        "approvedBy": approved_by,
        "approvedAt": approved_at,
        "reason": reason,
        "override": override,
    }
    return _statement(APPROVAL, model, predicate, previous)


def deployment(
    *,
    model: Resource,
    version: int,
    model_package_arn: str,
    endpoint_name: str,
    endpoint_config_name: str,
    image: Resource,
    runtime: str,
    precision: str,
    deployed_at: str,
    previous: str | None,
) -> dict[str, Any]:
    """Return what serves where.

    Args:
        model: The released copy of the artifact.
        version: In the registry.
        model_package_arn: Of the version.
        endpoint_name: Which serves it.
        endpoint_config_name: By which settings.
        image: Which serves it.
        runtime: By which it serves.
        precision: Of that runtime.
        deployed_at: RFC 3339.
        previous: Digest of the approval's envelope.
    """
    predicate = {
        "version": version,
        "modelPackage": model_package_arn,
        "endpoint": endpoint_name,
        "endpointConfig": endpoint_config_name,
        "image": _descriptor(image),
        "runtime": runtime,
        "precision": precision,
        "deployedAt": deployed_at,
    }
    return _statement(DEPLOYMENT, model, predicate, previous)


def previous_of(statement: Mapping[str, Any]) -> str | None:
    """Return the digest of the envelope before a statement; None where it begins the chain."""
    found = (statement.get("predicate") or {}).get("mapgate_previous") or {}
    return found.get("sha256")


def _statement(kind: str, subject: Resource, predicate: Mapping[str, Any], previous: str | None) -> dict[str, Any]:
    return {
        "_type": STATEMENT,
        "subject": [{"name": subject.uri, **_descriptor(subject)}],
        "predicateType": kind,
        "predicate": {**predicate, "mapgate_previous": {"sha256": previous} if previous else None},
    }


def _descriptor(resource: Resource) -> dict[str, Any]:
    """in-toto's ResourceDescriptor: https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md."""
    found: dict[str, Any] = {"uri": resource.uri, "digest": {"sha256": resource.sha256.removeprefix("sha256:")}}
    if resource.version_id:
        found["annotations"] = {"s3VersionId": resource.version_id}
    return found
