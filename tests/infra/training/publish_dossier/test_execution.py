# SPDX-License-Identifier: Apache-2.0
"""The parameters of an execution of chosen steps are not those of the steps that it took from another one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

from infra.training.publish_dossier.dossier.execution import describe

PIPELINE = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev"
SOURCE = f"{PIPELINE}/execution/before"


def described(**further: Any) -> Any:
    sagemaker = Mock()
    moment = datetime(2026, 11, 30, tzinfo=UTC)
    sagemaker.describe_pipeline_execution.return_value = {"PipelineArn": PIPELINE, "CreationTime": moment, **further}
    sagemaker.list_pipeline_parameters_for_execution.return_value = {
        "PipelineParameters": [{"Name": "InitialCheckpointUri", "Value": "s3://data/defaults/scratch/"}]
    }
    return describe(sagemaker, f"{PIPELINE}/execution/now")


def test_an_execution_of_chosen_steps_names_the_one_that_it_took_the_others_from() -> None:
    selection = {
        "SourcePipelineExecutionArn": SOURCE,
        "SelectedSteps": [{"StepName": "RegisterDetector"}, {"StepName": "PublishDossier"}],
    }
    found = described(SelectiveExecutionConfig=selection)
    assert (found.source_arn, found.selected) == (SOURCE, ("RegisterDetector", "PublishDossier"))
    assert found.told == "now: only RegisterDetector, PublishDossier; all else, and its parameters, are of before"


def test_an_execution_of_chosen_steps_that_names_no_other_one_took_the_latest() -> None:
    found = described(SelectiveExecutionConfig={"SelectedSteps": [{"StepName": "PublishDossier"}]})
    assert found.told == "now: only PublishDossier; all else, and its parameters, are of an earlier one"


def test_a_whole_execution_names_none() -> None:
    found = described()
    assert (found.source_arn, found.selected, found.told) == ("", (), "now")
