# SPDX-License-Identifier: Apache-2.0
"""Executions that train the same share their checkpoints, however long each of them trains."""

import pytest

from pipelines.client.execution_parameters import checkpoint_fingerprint

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
