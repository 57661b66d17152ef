# SPDX-License-Identifier: Apache-2.0
"""Executions that train the same share their checkpoints, however long each of them trains."""

from pathlib import Path

import pytest
from moto import mock_aws

from pipelines.client.connection import Connection
from pipelines.client.execution_parameters import checkpoint_fingerprint, parameters_for

GIVEN = {"DatasetUri": "s3://b/datasets/0123/", "Architecture": "a", "TrainingSettings": "seed=3 xla=off"}


@pytest.mark.parametrize(
    "change",
    [
        {"TrainingSteps": "100000"},
        {"TrainingSettings": "xla=off  seed=3"},
        {"TrainingSettings": "seed=3 early_stopping_patience=5 xla=off early_stopping_min_delta=0.1"},
        {"TrainingInstanceType": "ml.g5.xlarge"},
        {"GatePolicyUri": "s3://b/inputs/strict/", "MapThreshold": "0.4"},
    ],
)
def test_more_steps_another_machine_or_policy_find_the_checkpoints(change: dict[str, str]) -> None:
    assert checkpoint_fingerprint({**GIVEN, **change}) == checkpoint_fingerprint(GIVEN)


@pytest.mark.parametrize(
    "change",
    [
        {"DatasetUri": "s3://b/datasets/4567/"},
        {"Architecture": "b"},
        {"PipelineConfigUri": "s3://b/inputs/89ab/"},
        {"LabelMapUri": "s3://b/inputs/89ab/"},
        {"InitialCheckpointUri": "s3://b/inputs/89ab/"},
        {"AnnotationsUri": "s3://b/inputs/89ab/"},
        {"TrainingSettings": "seed=4 xla=off"},
    ],
)
def test_other_data_config_or_settings_have_checkpoints_of_their_own(change: dict[str, str]) -> None:
    assert len(checkpoint_fingerprint(GIVEN)) == 16
    assert checkpoint_fingerprint({**GIVEN, **change}) != checkpoint_fingerprint(GIVEN)


def test_a_longer_schedule_in_the_users_config_finds_the_checkpoints_and_a_changed_rate_does_not(
    tmp_path: Path,
) -> None:
    with mock_aws():
        connection = Connection(region="us-east-1")
        connection.client("s3").create_bucket(Bucket="data")

        def mark(text: str) -> str:
            config = tmp_path / "pipeline.config"
            config.write_text(text)
            given = parameters_for(connection, "data", "s3://data/set/", {"PipelineConfigUri": str(config)}, {})
            return given["CheckpointFingerprint"]

        short = mark("num_steps: 12 rate: 0.1 total_steps: 12")
        assert mark("num_steps: 24 rate: 0.1 total_steps: 24") == short
        assert mark("num_steps: 12 rate: 0.2 total_steps: 12") != short
