# SPDX-License-Identifier: Apache-2.0
"""What the step hands over, and what the function's environment says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from .errors import DossierError

POLICY_FILE = "gate_policy.yaml"
_Read = TypeVar("_Read")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The step's inputs.

    Attributes:
        model_package_arn: The version that was registered.
        evaluation_uri: Prefix of the evaluation's output, or its `evaluation.json`.
        execution_arn: The pipeline execution.
        metadata_uri: Prefix of PrepareDataset's metadata, in which `dataset.json` lies.
        model_uri: The artifact, as TrainDetector wrote it.
        champion_arn: Of the version that FindChampion found; `none` where nothing serves.
        best_arn: Of the best version that ever served; `none` where there is none, or the champion is it.
        inference_image_digest: As it was before anything was measured, `sha256:...`.
        training_image_digest: As it was before anything was trained.
        train_uri, validation_uri, test_uri: Prefixes of PrepareDataset's splits.
        measurements_uri: Prefix of what MeasureServing measured.
        champion_uri, best_uri: Artifacts of the two versions, or the default object.
        champion_runtime, best_runtime: By which the two serve; `none` where there is none.
        champion_waiver: As FindChampion found it.
        gate_policy_uri: Prefix of the execution's own policy, or the default object.
        map_threshold: Of the execution, as a job is given it.
        data_job, metadata_job, model_job, measurements_job, evaluation_job: ARNs of the jobs that wrote these.
    """

    model_package_arn: str
    evaluation_uri: str
    execution_arn: str
    metadata_uri: str
    model_uri: str
    champion_arn: str
    best_arn: str
    inference_image_digest: str
    training_image_digest: str
    train_uri: str
    validation_uri: str
    test_uri: str
    measurements_uri: str
    champion_uri: str
    champion_runtime: str
    champion_waiver: str
    best_uri: str
    best_runtime: str
    gate_policy_uri: str
    map_threshold: str
    data_job: str
    metadata_job: str
    model_job: str
    measurements_job: str
    evaluation_job: str

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> Inputs:
        """Read the step's inputs.

        Raises:
            DossierError: One is missing.
        """
        return _read(cls, event, "the step hands over no {}; deploy the stacks again, and start a new execution")

    @property
    def version(self) -> int:
        """The version's number."""
        return int(self.model_package_arn.rpartition("/")[2])

    @property
    def evaluation(self) -> str:
        """URI of `evaluation.json`."""
        return f"{self.evaluation_uri.rstrip('/').removesuffix('/evaluation.json')}/evaluation.json"

    @property
    def report(self) -> str:
        """URI of the report beside it."""
        return f"{self.evaluation.removesuffix('evaluation.json')}report.html"

    @property
    def dataset(self) -> str:
        """URI of `dataset.json`."""
        return f"{self.metadata_uri.rstrip('/')}/dataset.json"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The environment's.

    Attributes:
        table: Name of the table of deployment records.
        endpoint_name: The production endpoint, whose partition has the records.
        bucket: The data bucket.
        signing_key_arn: Of the key that signs evidence.
        floor_policy_uri: The environment's gate policy, or the folder in which it lies.
        floor_policy_sha256: Of that file, as it was deployed.
        floor_test_set: Digest of the test set that it names; empty where it names none.
        floor_test_set_uri: Its address.
        processing_role_arn, training_role_arn: Of the roles of jobs.
        inference_image: URI with tag of the image that measures and serves.
        training_image: URI with tag of the image that trains and evaluates.
        function_arn: Of this function, in whose name evidence is signed.
    """

    table: str
    endpoint_name: str
    bucket: str
    signing_key_arn: str
    floor_policy_uri: str
    floor_policy_sha256: str
    floor_test_set: str
    floor_test_set_uri: str
    processing_role_arn: str
    training_role_arn: str
    inference_image: str
    training_image: str
    function_arn: str

    @classmethod
    def read(cls, environment: Mapping[str, str], function_arn: str) -> Settings:
        """Read the function's environment.

        Raises:
            DossierError: A variable is missing.
        """
        given = {name.lower(): value for name, value in environment.items()} | {"function_arn": function_arn}
        return _read(cls, given, "the function's environment has no {}; deploy the stacks again")

    @property
    def floor_policy(self) -> str:
        """URI of the policy's file."""
        folder = self.floor_policy_uri
        return f"{folder}{POLICY_FILE}" if folder.endswith("/") else folder


def _read(kind: type[_Read], given: Mapping[str, Any], missing: str) -> _Read:
    names: list[str] = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    absent = [name for name in names if name not in given]
    if absent:
        raise DossierError(missing.format(", ".join(absent)))
    return kind(**{name: str(given[name]) for name in names})
