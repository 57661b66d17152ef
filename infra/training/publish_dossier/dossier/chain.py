# SPDX-License-Identifier: Apache-2.0
"""The signed statements of a verdict: data set, provenance, verdict, each naming the envelope before it.

A statement is written once. A step that is tried again finds it and takes it, if the environment's key signed it and it
says the same: two signatures of the same statement are never equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from containers.evidence import statements
from containers.evidence.envelope import EvidenceError, digest, open_envelope, seal
from containers.evidence.signing import signer, verifier

from .errors import DossierError
from .execution import Execution
from .judged import Found, Verdict
from .objects import put_if_free, read_if_there
from .settings import Inputs, Settings

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

_ATTEMPTS = 3


@dataclass(frozen=True)
class Kept:
    """A statement as it lies in the bucket.

    Attributes:
        sha256: Of its envelope.
    """

    uri: str
    sha256: str
    statement: dict[str, Any]


@dataclass(frozen=True)
class Keeper:
    """Seals statements of one version and keeps them."""

    s3: S3Client
    kms: KMSClient
    bucket: str
    key_arn: str
    folder: str

    def keep(self, name: str, statement: Mapping[str, Any]) -> Kept:
        """Return a statement as it is kept, which is written unless it is there.

        Raises:
            DossierError: Something else is there.
        """
        key = f"{self.folder}/{name}.json"
        for _ in range(_ATTEMPTS):
            there = read_if_there(self.s3, self.bucket, key)
            if there is not None:
                return self._taken(key, there, statement)
            envelope = seal(statement, signer(self.kms, self.key_arn), self.key_arn)
            if put_if_free(self.s3, self.bucket, key, envelope, "application/json"):
                return Kept(f"s3://{self.bucket}/{key}", digest(envelope), dict(statement))
        raise DossierError(f"s3://{self.bucket}/{key} is being written by another function; start the execution again")

    def _taken(self, key: str, envelope: bytes, wanted: Mapping[str, Any]) -> Kept:
        uri = f"s3://{self.bucket}/{key}"
        try:
            found = open_envelope(envelope, verifier(self.kms, self.key_arn))
        except EvidenceError as error:
            raise DossierError(f"{uri} is there already, and cannot be believed: {error}; {_WAY_OUT}") from error
        if _lasting(found) != _lasting(wanted):
            raise DossierError(f"{uri} is there already, and states something else of this version; {_WAY_OUT}")
        return Kept(uri, digest(envelope), found)


def write_chain(
    keeper: Keeper, inputs: Inputs, settings: Settings, found: Found, verdict: Verdict, execution: Execution, now: str
) -> Kept:
    """Keep the three statements of a verdict, and return the last of them.

    Args:
        keeper: Of this version's statements.
        inputs: The step's.
        settings: The environment's.
        found: What this function read.
        verdict: What it demanded of it.
        execution: Which made the version.
        now: RFC 3339; it stands in the verdict only if that is written now.

    Raises:
        DossierError: Another statement is there.
    """
    data = keeper.keep("dataset", _dataset(found))
    made = keeper.keep("provenance", _provenance(inputs, settings, found, execution, data.sha256))
    return keeper.keep("verdict", _verdict(inputs, settings, found, verdict, made.sha256, now))


def _dataset(found: Found) -> dict[str, Any]:
    content = found.dataset.content
    told: dict[str, Any] = {name: content[name] for name in ("images", "classes") if name in content}
    splits = content.get("splits")
    if isinstance(splits, Mapping):
        told["splits"] = {
            split: {name: value for name, value in counts.items() if isinstance(value, int)}
            for split, counts in splits.items()
            if isinstance(counts, Mapping)
        }
    return statements.dataset(
        document=found.dataset.resource, content_sha256=str(content["sha256"]), facts=told, previous=None
    )


def _provenance(
    inputs: Inputs, settings: Settings, found: Found, execution: Execution, previous: str
) -> dict[str, Any]:
    return statements.provenance(
        model=found.model,
        execution_arn=inputs.execution_arn,
        started_by=execution.started_by,
        started_at=execution.started_at,
        description=execution.description,
        parameters=execution.parameters,
        selected_steps=execution.selected,
        source_execution_arn=execution.source_arn,
        pipeline_arn=execution.pipeline_arn,
        builder=settings.function_arn,
        training_image=found.training_image,
        dataset_document=found.dataset.resource,
        previous=previous,
    )


def _verdict(
    inputs: Inputs, settings: Settings, found: Found, verdict: Verdict, previous: str, now: str
) -> dict[str, Any]:
    return statements.verdict(
        model=found.model,
        version=inputs.version,
        model_package_arn=inputs.model_package_arn,
        execution_arn=inputs.execution_arn,
        evaluation=found.evaluation.resource,
        floor_policy=found.floor_policy,
        gate_policy=verdict.gate_policy,
        image=found.inference_image,
        test_set=verdict.test_set,
        dataset_sha256=verdict.dataset_sha256,
        champion_arn=verdict.champion_arn,
        best_arn=verdict.best_arn,
        waiver=verdict.waiver,
        passed=True,
        sentence=verdict.sentence,
        mean_ap=verdict.mean_ap,
        runtime=verdict.runtime,
        precision=verdict.precision,
        verifier=settings.function_arn,
        verified_at=now,
        previous=previous,
    )


def _lasting(statement: Mapping[str, Any]) -> dict[str, Any]:
    """A statement without the moment at which it was made."""
    predicate = {name: value for name, value in statement.get("predicate", {}).items() if name != "timeVerified"}
    return {**statement, "predicate": predicate}


_WAY_OUT = "somebody else wrote there: an administrator finds out who, and a new execution makes a new version"
