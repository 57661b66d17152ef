# SPDX-License-Identifier: Apache-2.0
"""The files of a job are believed if it ran as the pipeline defines it, and nobody wrote after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.settings import Processing
from infra.settings import Settings as EnvironmentSettings
from infra.training.binding import bind, walk
from infra.training.publish_dossier.dossier.errors import DossierError
from infra.training.publish_dossier.dossier.jobs import Expected, Ran, expected_jobs, job_faults
from infra.training.publish_dossier.dossier.judged import judge
from infra.training.publish_dossier.dossier.settings import Inputs
from tests.infra.training.publish_dossier.test_judged import INPUTS, JOB, SETTINGS, found
from tests.infra.training.test_binding import COMMITTED, RESOURCES

ENDED = datetime(2026, 11, 30, 12, 0, 5, 400_000, UTC)
LAST = ENDED.replace(microsecond=0)
"""When S3 says that something was written in the second in which the job ended."""
LOCAL = "/opt/ml/processing"


def described(job: Expected, **changed: Any) -> dict[str, Any]:
    """What SageMaker says of a job that ran as it should; what it adds of itself is among it."""
    return {**(_processed(job) if job.kind == "Processing" else _trained(job)), **changed}


def _trained(job: Expected) -> dict[str, Any]:
    checkpoint = "s3://data/defaults/none/"
    return {
        "TrainingJobArn": job.arn,
        "TrainingJobStatus": "Completed",
        "TrainingEndTime": ENDED,
        "RoleArn": SETTINGS.training_role_arn,
        "AlgorithmSpecification": {"TrainingImage": job.image, "TrainingInputMode": "File"},
        "HyperParameters": {"initial_checkpoint_uri": checkpoint, "data_bucket": "data", "architecture": "small"},
        "InputDataConfig": [
            {"ChannelName": "checkpoint", "DataSource": {"S3DataSource": {"S3Uri": checkpoint}}},
        ],
        "ModelArtifacts": {"S3ModelArtifacts": job.outputs["model"]},
    }


def _processed(job: Expected) -> dict[str, Any]:
    inputs = {"dataset": "s3://data/datasets/1/"} if job.inputs is None else job.inputs
    environment = {"MAPGATE_ARCHITECTURE": "a"} if job.environment is None else job.environment
    read = {"S3DataType": "S3Prefix", "S3InputMode": "File", "S3CompressionType": "None"}
    return {
        "ProcessingJobName": job.name,
        "ProcessingJobArn": job.arn,
        "ProcessingJobStatus": "Completed",
        "ProcessingEndTime": ENDED,
        "RoleArn": SETTINGS.processing_role_arn,
        "AppSpecification": {"ImageUri": job.image, "ContainerEntrypoint": list(job.command)},
        "Environment": dict(environment),
        "ProcessingInputs": [
            {
                "InputName": name,
                "AppManaged": False,
                "S3Input": {"S3Uri": uri, "LocalPath": f"{LOCAL}/input/{name}", **read},
            }
            for name, uri in inputs.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {"OutputName": name, "S3Output": {"S3Uri": uri, "LocalPath": f"{LOCAL}/output/{name}"}}
                for name, uri in job.outputs.items()
            ]
        },
    }


def wrote(job: Expected, at: datetime = LAST) -> dict[str, datetime]:
    return {uri if name == "model" else f"{uri}/file": at for name, uri in job.outputs.items()}


def faults(job: Expected, written: Mapping[str, datetime] | None = None, **changed: Any) -> str:
    objects = wrote(job) if written is None else written
    return " ".join(job_faults(Ran(expected=job, described=described(job, **changed), written=objects), SETTINGS))


JOBS = expected_jobs(INPUTS, SETTINGS)
PREPARE, TRAIN, MEASURE, EVALUATE = JOBS


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.step)
def test_a_job_of_the_pipeline_s_own_is_believed(job: Expected) -> None:
    assert faults(job) == ""


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.step)
def test_a_job_is_the_same_whichever_letters_its_arn_has(job: Expected) -> None:
    assert faults(job, None, **{f"{job.kind}JobArn": job.arn.lower()}) == ""


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.step)
def test_what_was_written_seconds_later_is_somebody_else_s(job: Expected) -> None:
    (first, *_) = wrote(job)
    told = faults(job, {**wrote(job), first: LAST + timedelta(seconds=3)})
    assert f"{first}: written after {job.step}'s job {job.name} had ended ({ENDED}), so by somebody else" in told


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.step)
def test_the_clocks_of_two_services_may_differ_a_little(job: Expected) -> None:
    assert faults(job, wrote(job, LAST + timedelta(seconds=2))) == ""


@pytest.mark.parametrize(
    ("job", "way_out"),
    [
        (PREPARE, "a new execution that is given the data under another prefix"),
        (TRAIN, "a new execution with another seed in TrainingSettings"),
        (EVALUATE, "a new execution makes a new version."),
    ],
    ids=lambda case: case.step if isinstance(case, Expected) else "",
)
def test_the_way_out_leads_past_the_cache_which_would_bring_the_same_files_back(job: Expected, way_out: str) -> None:
    late = faults(job, wrote(job, ENDED + timedelta(minutes=1)))
    assert way_out in late and ("comes from the cache" in late) is (job is not EVALUATE)
    assert way_out in faults(job, {})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"ProcessingJobStatus": "Failed"}, "is Failed, and its files are not all there."),
        ({"ProcessingEndTime": None}, "written after"),
        ({"ProcessingJobArn": f"{JOB}-other"}, f"its ARN is {JOB}-other, not {JOB}-EvaluateDetector-x"),
        ({"RoleArn": "arn:aws:iam::1:role/own"}, "its role is arn:aws:iam::1:role/own, not "),
        ({"AppSpecification": {"ImageUri": "own:1"}}, "its image is own:1, not "),
        (
            {"AppSpecification": {"ImageUri": EVALUATE.image, "ContainerEntrypoint": ["sh", "-c"]}},
            "its command is sh -c, not python -m training_src evaluate",
        ),
        (
            {"Environment": {**EVALUATE.environment, "LD_PRELOAD": "own.so"}},  # type: ignore[dict-item]
            "its variable LD_PRELOAD is own.so, not absent",
        ),
        ({"Environment": {}}, "its variable MAPGATE_CHAMPION_ARN is absent, not arn:"),
        ({"ProcessingInputs": []}, "its input floor_policy is absent, not s3://data/defaults/gate-policy/f/"),
        (
            {"ProcessingOutputConfig": {"Outputs": []}},
            "its output evaluation is absent, not s3://data/executions/abc/evaluation",
        ),
    ],
)
def test_a_job_that_ran_otherwise_is_not_believed(changed: dict[str, Any], sentence: str) -> None:
    assert sentence in faults(EVALUATE, **changed)


@pytest.mark.parametrize(("name", "uri"), [("floor_policy", "s3://data/inputs/own/"), ("extra", "s3://data/inputs/x/")])
def test_another_input_or_one_more_is_told(name: str, uri: str) -> None:
    inputs = {**(EVALUATE.inputs or {}), name: uri}
    other = described(replace(EVALUATE, inputs=inputs))["ProcessingInputs"]
    assert f"its input {name} is {uri}, not " in faults(EVALUATE, ProcessingInputs=other)


def test_an_input_at_another_folder_is_told() -> None:
    (first, *others) = described(MEASURE)["ProcessingInputs"]
    place = {**first["S3Input"], "LocalPath": f"{LOCAL}/input/test"}
    told = faults(MEASURE, ProcessingInputs=[{**first, "S3Input": place}, *others])
    assert f"its input model is {INPUTS.model_uri} at {LOCAL}/input/test, not {INPUTS.model_uri}" in told


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"TrainingJobStatus": "Stopped"}, "is Stopped, and its files are not all there."),
        (
            {"RoleArn": SETTINGS.processing_role_arn},
            "its role is arn:aws:iam::123456789012:role/mapgate-dev-processing",
        ),
        ({"AlgorithmSpecification": {"TrainingImage": "own:1"}}, "its image is own:1, not "),
        (
            {"AlgorithmSpecification": {"TrainingImage": TRAIN.image, "ContainerEntrypoint": ["sh"]}},
            "its command is sh, not empty",
        ),
        ({"Environment": {"LD_PRELOAD": "own.so"}}, "its variable LD_PRELOAD is own.so, not absent"),
        (
            {"HyperParameters": {"initial_checkpoint_uri": "s3://data/models/x", "data_bucket": "data"}},
            "its hyperparameter initial_checkpoint_uri is s3://data/models/x, not s3://data/defaults/none/",
        ),
        (
            {"HyperParameters": {"initial_checkpoint_uri": "s3://data/defaults/none/", "data_bucket": "inputs"}},
            "its hyperparameter data_bucket is inputs, not data",
        ),
        ({"ModelArtifacts": {"S3ModelArtifacts": "s3://data/models/y"}}, "its output model is s3://data/models/y, not"),
    ],
)
def test_a_training_that_ran_otherwise_is_not_believed(changed: dict[str, Any], sentence: str) -> None:
    assert sentence in faults(TRAIN, **changed)


def test_files_that_are_gone_are_told() -> None:
    assert f"Nothing lies at {INPUTS.measurements_uri}, where MeasureServing's job" in faults(MEASURE, {})


PARTS = "s3://data/executions/abc/parts"
SEVERAL = replace(INPUTS, metadata_job=f"{JOB}-JoinDataset-x")


def test_where_several_instances_prepare_the_description_is_another_job_s() -> None:
    prepare, join, *_ = expected_jobs(SEVERAL, SETTINGS)
    assert (prepare.step, list(prepare.outputs)) == ("PrepareDataset", ["train", "validation", "test", "metadata"])
    assert (join.step, list(join.outputs), join.command[-1]) == ("JoinDataset", ["metadata"], "join")
    assert prepare.outputs["metadata"] == PARTS
    config = replace(join, inputs={**(join.inputs or {}), "config": "s3://data/inputs/of-the-execution/"})
    assert faults(prepare) == "" and faults(join, ProcessingInputs=described(config)["ProcessingInputs"]) == ""


def test_the_description_is_made_of_the_parts_that_the_instances_wrote() -> None:
    prepare, join, *_ = expected_jobs(SEVERAL, SETTINGS)
    late = faults(prepare, {**wrote(prepare), f"{PARTS}/1.json": ENDED + timedelta(minutes=1)})
    assert f"{PARTS}/1.json: written after PrepareDataset's job" in late
    other = described(replace(join, inputs={"metadata": "s3://data/inputs/own/"}))["ProcessingInputs"]
    assert f"its input metadata is s3://data/inputs/own/, not {PARTS}" in faults(join, ProcessingInputs=other)


def test_the_environment_s_test_set_is_what_everybody_must_have_answered() -> None:
    named = replace(SETTINGS, floor_test_set="9" * 64, floor_test_set_uri="s3://sets/night/")
    prepare, _, measure, evaluate = expected_jobs(INPUTS, named)
    assert list(prepare.outputs) == ["train", "validation", "metadata"], (
        "an execution may have no test split of its own"
    )
    assert (measure.inputs or {})["test"] == (evaluate.inputs or {})["test"] == "s3://sets/night/"
    assert (evaluate.environment or {})["MAPGATE_TEST_SET"] == "environment"


def test_no_verdict_is_given_of_what_is_not_believed() -> None:
    late = Ran(expected=EVALUATE, described=described(EVALUATE), written=wrote(EVALUATE, ENDED + timedelta(minutes=1)))
    with pytest.raises(DossierError, match=r"gets no verdict.*written after EvaluateDetector's job"):
        judge(replace(found(), jobs=(late,)), INPUTS, SETTINGS)


@pytest.mark.parametrize("instances", [1, 3])
def test_what_is_demanded_of_jobs_is_what_the_definition_gives_them(instances: int) -> None:
    """Address by address: what a step of the definition refers to, PublishDossier is handed, too."""
    settings = EnvironmentSettings(environment="dev", processing=Processing(prepare_instance_count=instances))
    steps = {step["Name"]: step["Arguments"] for step in walk(bind(COMMITTED, settings, RESOURCES)["Steps"])}
    inputs = Inputs.read({name: _told(value) for name, value in steps["PublishDossier"].items()})
    policy = steps["EvaluateDetector"]["Environment"]["MAPGATE_FLOOR_POLICY_URI"]
    images = {"training_image": RESOURCES.training_image, "inference_image": RESOURCES.inference_image}
    jobs = expected_jobs(inputs, replace(SETTINGS, floor_policy_uri=policy, **images))
    assert len(jobs) == (4 if instances == 1 else 5)
    for job in jobs:
        given = steps[job.step]
        if job.kind == "Training":
            assert job.arn == _told({"Get": "Steps.TrainDetector.TrainingJobArn"})
            assert job.image == given["AlgorithmSpecification"]["TrainingImage"]
            assert job.outputs == {"model": _told({"Get": "Steps.TrainDetector.ModelArtifacts.S3ModelArtifacts"})}
            assert "Environment" not in given and "ContainerEntrypoint" not in given["AlgorithmSpecification"]
            continue
        assert job.arn == _told({"Get": f"Steps.{job.step}.ProcessingJobArn"})
        assert job.image == given["AppSpecification"]["ImageUri"]
        assert list(job.command) == given["AppSpecification"]["ContainerEntrypoint"]
        assert given["RoleArn"] == RESOURCES.processing_role
        wrote_at = {
            each["OutputName"]: each["S3Output"]["S3Uri"] for each in given["ProcessingOutputConfig"]["Outputs"]
        }
        for name, uri in job.outputs.items():
            if uri.endswith("/parts"):  # beside the splits
                *folder, last = wrote_at[name]["Std:Join"]["Values"]
                assert (folder, last) == (wrote_at["train"]["Std:Join"]["Values"][:-1], "parts")
                continue
            assert uri == _told({"Get": f"Steps.{job.step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"})
        if job.step == "JoinDataset":
            read = {each["InputName"]: _told(each["S3Input"]["S3Uri"]) for each in given["ProcessingInputs"]}
            prepared = "Steps.PrepareDataset.ProcessingOutputConfig.Outputs['metadata'].S3Output.S3Uri"
            assert read.keys() == {*(job.inputs or {}), *job.chosen} and read["metadata"] == _told({"Get": prepared})
        elif job.inputs is not None:
            read = {each["InputName"]: _told(each["S3Input"]["S3Uri"]) for each in given["ProcessingInputs"]}
            assert job.inputs == read
            assert job.environment == {name: _told(value) for name, value in given["Environment"].items()}


def _told(value: Any) -> str:
    """A value of the definition, an expression as text."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
