# SPDX-License-Identifier: Apache-2.0
"""The checker finds nothing in our own definition, and names whatever is planted into it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.check import Fault, check

COMMITTED = json.loads((Path(__file__).parents[2] / "pipelines" / "definition.json").read_text())
Definition = dict[str, Any]


def walk(steps: list[Definition]) -> Iterator[Definition]:
    for step in steps:
        yield step
        yield from walk(step["Arguments"].get("IfSteps", []) + step["Arguments"].get("ElseSteps", []))


def step(definition: Definition, name: str) -> Definition:
    return next(each for each in walk(definition["Steps"]) if each["Name"] == name)


def arguments(definition: Definition, name: str) -> Definition:
    found: Definition = step(definition, name)["Arguments"]
    return found


def put(path: list[str | int], value: Any) -> Callable[[Definition], None]:
    """Return a change that puts a value at a path below a definition; the first two parts name a step."""

    def change(definition: Definition) -> None:
        target: Any = definition
        if path[0] == "step":
            target, rest = step(definition, str(path[1])), path[2:]
        else:
            rest = path
        for part in rest[:-1]:
            target = target[part]
        if value is MISSING:
            del target[rest[-1]]
        else:
            target[rest[-1]] = value

    return change


MISSING = object()
TRAIN = ["step", "TrainDetector", "Arguments"]
PREPARE = ["step", "PrepareDataset", "Arguments"]
CHECK = ["step", "CheckQuality", "Arguments", "Conditions"]

PLANTED = {
    # what the calls take
    "required": (put([*TRAIN, "RoleArn"], MISSING), "TrainDetector: Arguments.RoleArn: is required"),
    "required below": (
        put([*TRAIN, "OutputDataConfig", "S3OutputPath"], MISSING),
        "TrainDetector: Arguments.OutputDataConfig.S3OutputPath: is required in OutputDataConfig",
    ),
    "unknown": (
        put([*TRAIN, "ResourceConfig", "InstanceTypo"], "x"),
        "TrainDetector: Arguments.ResourceConfig.InstanceTypo: is unknown in ResourceConfig",
    ),
    "type": (
        put([*TRAIN, "ResourceConfig", "InstanceCount"], "one"),
        "TrainDetector: Arguments.ResourceConfig.InstanceCount: must be a integer",
    ),
    "truth is no number": (
        put([*TRAIN, "ResourceConfig", "InstanceCount"], True),
        "TrainDetector: Arguments.ResourceConfig.InstanceCount: must be a integer",
    ),
    "hyperparameters are strings": (
        put([*TRAIN, "HyperParameters", "settings"], 17),
        "TrainDetector: Arguments.HyperParameters.settings: must be a string",
    ),
    "list": (put([*PREPARE, "ProcessingInputs"], {}), "PrepareDataset: Arguments.ProcessingInputs: must be a list"),
    "enum": (
        put([*PREPARE, "ProcessingResources", "ClusterConfig", "InstanceType"], "ml.banana.huge"),
        "PrepareDataset: Arguments.ProcessingResources.ClusterConfig.InstanceType: must be a ProcessingInstanceType",
    ),
    "enum of an input mode": (
        put([*PREPARE, "ProcessingInputs", 0, "S3Input", "S3InputMode"], "Fax"),
        "PrepareDataset: Arguments.ProcessingInputs[0].S3Input.S3InputMode: must be a ProcessingS3InputMode",
    ),
    "pattern": (
        put([*TRAIN, "OutputDataConfig", "S3OutputPath"], "ftp://bucket/models"),
        "TrainDetector: Arguments.OutputDataConfig.S3OutputPath: must match (https|s3)",
    ),
    "pattern of a joined text": (
        put(
            [*PREPARE, "ProcessingOutputConfig", "Outputs", 0, "S3Output", "S3Uri"],
            {"Std:Join": {"On": "/", "Values": ["ftp://bucket", {"Get": "Execution.PipelineExecutionId"}]}},
        ),
        "S3Output.S3Uri: would be 'ftp://bucket/abcdefghijkl', which must match (https|s3)",
    ),
    "min": (
        put([*PREPARE, "ProcessingResources", "ClusterConfig", "InstanceCount"], 0),
        "PrepareDataset: Arguments.ProcessingResources.ClusterConfig.InstanceCount: must be at least 1",
    ),
    "max": (
        put([*PREPARE, "StoppingCondition", "MaxRuntimeInSeconds"], 10**7),
        "PrepareDataset: Arguments.StoppingCondition.MaxRuntimeInSeconds: must be at most 777600",
    ),
    "max of a length": (
        put([*PREPARE, "AppSpecification", "ImageUri"], "i" * 256),
        "PrepareDataset: Arguments.AppSpecification.ImageUri: must be at most 255 characters long",
    ),
    "max of a list": (
        lambda d: arguments(d, "PrepareDataset")["ProcessingInputs"].extend(
            copy.deepcopy(arguments(d, "PrepareDataset")["ProcessingInputs"][:1]) * 9
        ),
        "PrepareDataset: Arguments.ProcessingInputs: must be at most 10 long",
    ),
    # what expressions refer to
    "no such parameter": (
        put([*PREPARE, "ProcessingInputs", 0, "S3Input", "S3Uri"], {"Get": "Parameters.Nope"}),
        "PrepareDataset: Arguments.ProcessingInputs[0].S3Input.S3Uri: the pipeline has no parameter Nope",
    ),
    "no such step": (
        put([*TRAIN, "RoleArn"], {"Get": "Steps.Trian.RoleArn"}),
        "TrainDetector: Arguments.RoleArn: the pipeline has no step Trian",
    ),
    "no such property": (
        put(
            ["step", "EvaluateDetector", "Arguments", "ProcessingInputs", 3, "S3Input", "S3Uri"],
            {"Get": "Steps.TrainDetector.ModelArtifact.S3ModelArtifacts"},
        ),
        "a Training step has no property ModelArtifact.S3ModelArtifacts",
    ),
    "no such output": (
        put(
            [*TRAIN, "InputDataConfig", 0, "DataSource", "S3DataSource", "S3Uri"],
            {"Get": "Steps.PrepareDataset.ProcessingOutputConfig.Outputs['trian'].S3Output.S3Uri"},
        ),
        "a Processing step has no property ProcessingOutputConfig.Outputs['trian']",
    ),
    "no such output of a function": (
        put(
            ["step", "MeasureServing", "Arguments", "ProcessingInputs", 1, "S3Input", "S3Uri"],
            {"Get": "Steps.FindChampion.OutputParameters['Champion']"},
        ),
        "a Lambda step has no property OutputParameters['Champion']",
    ),
    "no such execution variable": (
        put([*TRAIN, "HyperParameters", "settings"], {"Get": "Execution.Seed"}),
        "TrainDetector: Arguments.HyperParameters.settings: an execution has no variable Seed",
    ),
    "no such root": (put([*TRAIN, "RoleArn"], {"Get": "Role.Arn"}), "must refer to Parameters, Execution or Steps"),
    "no such property file": (
        put(
            [*CHECK, 0, "LeftValue", "Std:JsonGet", "PropertyFile"],
            {"Get": "Steps.EvaluateDetector.PropertyFiles.Report"},
        ),
        "step EvaluateDetector declares no property file of that name",
    ),
    "property file of no output": (
        put(["step", "EvaluateDetector", "PropertyFiles", 0, "OutputName"], "report"),
        "EvaluateDetector: PropertyFiles[0].OutputName: is no output of this step",
    ),
    "type of a parameter": (
        put([*TRAIN, "HyperParameters", "num_train_steps"], {"Get": "Parameters.TrainingSteps"}),
        "TrainDetector: Arguments.HyperParameters.num_train_steps: is of type Integer, but the argument takes String",
    ),
    "type of a property": (
        put(
            [*TRAIN, "HyperParameters", "settings"],
            {"Get": "Steps.PrepareDataset.ProcessingResources.ClusterConfig.InstanceCount"},
        ),
        "TrainDetector: Arguments.HyperParameters.settings: is of type Integer",
    ),
    "a default that no call takes": (
        put(["Parameters", 7, "DefaultValue"], "ml.banana.huge"),
        "TrainDetector: Arguments.ResourceConfig.InstanceType: would be 'ml.banana.huge', which must be a",
    ),
    "JsonGet outside a condition": (
        put(
            ["step", "QualityGateFailed", "Arguments", "ErrorMessage"],
            {
                "Std:JsonGet": {
                    "PropertyFile": {"Get": "Steps.EvaluateDetector.PropertyFiles.Evaluation"},
                    "Path": "gate.sentence",
                }
            },
        ),
        "QualityGateFailed: Arguments.ErrorMessage: Std:JsonGet stands in the conditions of a Condition step only",
    ),
    "JsonGet with a path that is an expression": (
        put([*CHECK, 0, "LeftValue", "Std:JsonGet", "Path"], {"Get": "Parameters.Architecture"}),
        "Std:JsonGet takes a Path, which is a string and no expression",
    ),
    "Join of an object": (
        put(["step", "QualityGateFailed", "Arguments", "ErrorMessage", "Std:Join", "Values", 0], {"a": "b"}),
        "QualityGateFailed: Arguments.ErrorMessage: Std:Join joins strings, numbers and expressions only",
    ),
    # conditions
    "operator": (put([*CHECK, 0, "Type"], "Resembles"), "CheckQuality: Arguments.Conditions[0].Type: must be one of"),
    "operand": (
        put([*CHECK, 1, "RightValue"], MISSING),
        "CheckQuality: Arguments.Conditions[1].RightValue: is required in a condition of type GreaterThanOrEqualTo",
    ),
    "operands of two kinds": (
        put([*CHECK, 1], {"Type": "LessThan", "LeftValue": "0.5", "RightValue": {"Get": "Parameters.MapThreshold"}}),
        "CheckQuality: Arguments.Conditions[1]: LessThan compares values of one kind",
    ),
    # the graph
    "name used twice": (
        put(["step", "DeployCandidate", "Name"], "PublishDossier"),
        "Name: is the name of another step",
    ),
    "waiting for nothing": (
        put(["step", "DeployCandidate", "DependsOn"], ["PublishDosier"]),
        "DeployCandidate: DependsOn[0]: is no step of this pipeline",
    ),
    "circle": (
        put(["step", "PrepareDataset", "DependsOn"], ["EvaluateDetector"]),
        "steps must not wait for one another in a circle",
    ),
    "circle through a condition": (
        put(["step", "EvaluateDetector", "DependsOn"], ["RegisterDetector"]),
        "steps must not wait for one another in a circle",
    ),
    # the document
    "version": (put(["Version"], "2021-01-01"), "Version: must be '2020-12-01'"),
    "step type": (put(["step", "FindChampion", "Type"], "Fax"), "FindChampion: Type: must be one of Callback"),
    "step name": (put(["step", "DeployCandidate", "Name"], "Deploy Candidate"), "Deploy Candidate: Name: must match"),
    "parameter used twice": (
        lambda d: d["Parameters"].append(dict(d["Parameters"][0])),
        "Parameters[11].Name: is the name of another parameter",
    ),
    "no steps": (put(["Steps"], []), "Steps: is required: a list of at least one step"),
    "no name": (put(["Steps", 2, "Name"], MISSING), "Steps[2].Name: is required"),
    "form": (
        put(["step", "FindChampion", "DependsOn"], "TrainDetector"),
        "FindChampion: Steps[3].DependsOn: must be a",
    ),
    "parameter type": (put(["Parameters", 0, "Type"], "Uri"), "Parameters[0].Type: must be one of String"),
    "default of another type": (
        put(["Parameters", 6, "DefaultValue"], "0"),
        "Parameters[6].DefaultValue: must be of the parameter's type Integer",
    ),
    "default that is not allowed": (
        put(["Parameters", 1, "EnumValues"], ["yolo"]),
        "Parameters[1].DefaultValue: must be among EnumValues",
    ),
    "size": (put(["Metadata"], {"Note": "n" * 500_000}), "definition: must be at most 500,000 bytes"),
    # functions, callbacks, failures
    "function": (
        put(["step", "FindChampion", "FunctionArn"], "find-champion"),
        "FindChampion: FunctionArn: must match",
    ),
    "output type": (
        put(["step", "FindChampion", "OutputParameters", 0, "OutputType"], "Uri"),
        "FindChampion: OutputParameters[0].OutputType: must be one of String",
    ),
    "many outputs": (
        put(
            ["step", "PublishDossier", "OutputParameters"],
            [{"OutputName": f"Output{number}", "OutputType": "String"} for number in range(51)],
        ),
        "PublishDossier: OutputParameters: must be at most 50 outputs",
    ),
    "nested message": (
        put(["step", "FindChampion", "Arguments", "endpoint_name"], ["a"]),
        "FindChampion: Arguments.endpoint_name: must be a string, a number or an expression",
    ),
    "queue": (put(["step", "DeployCandidate", "SqsQueueUrl"], MISSING), "DeployCandidate: SqsQueueUrl: is required"),
    "message of a failure": (
        put(["step", "QualityGateFailed", "Arguments", "ErrorMessage"], 1),
        "QualityGateFailed: Arguments.ErrorMessage: is required: a string",
    ),
    # what the model does not say
    "volume key on NVMe": (
        lambda d: arguments(d, "PrepareDataset")["ProcessingResources"]["ClusterConfig"].update(
            InstanceType="ml.g5.xlarge", VolumeKmsKeyId="alias/key"
        ),
        "ClusterConfig.VolumeKmsKeyId: must be left out for ml.g5.xlarge",
    ),
    "volume key on NVMe that an execution may choose": (
        lambda d: (
            arguments(d, "TrainDetector")["ResourceConfig"].update(VolumeKmsKeyId="alias/key"),
            d["Parameters"][7].update(EnumValues=["ml.m5.xlarge", "ml.g6.xlarge"]),
        ),
        "ResourceConfig.VolumeKmsKeyId: must be left out for ml.g6.xlarge",
    ),
    "spot without waiting": (
        put([*TRAIN, "EnableManagedSpotTraining"], True),
        "MaxWaitTimeInSeconds: is required with EnableManagedSpotTraining",
    ),
    "waiting less than running": (
        lambda d: arguments(d, "TrainDetector").update(
            EnableManagedSpotTraining=True,
            StoppingCondition={"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 3600},
        ),
        "MaxWaitTimeInSeconds: must be at least MaxRuntimeInSeconds, 7200",
    ),
    "retries of a function": (
        put(["step", "FindChampion", "RetryPolicies"], [{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 2}]),
        "FindChampion: RetryPolicies: a Lambda step takes none",
    ),
    "job fault of a call": (
        put(
            ["step", "RegisterDetector", "RetryPolicies", 0, "ExceptionType"],
            ["SageMaker.CAPACITY_ERROR"],
        ),
        "RegisterDetector: RetryPolicies[0].ExceptionType: must be one of Step.SERVICE_FAULT",
    ),
    "too many attempts": (
        put(["step", "TrainDetector", "RetryPolicies", 0, "MaxAttempts"], 21),
        "TrainDetector: RetryPolicies[0].MaxAttempts: must be a number of at least 1 and at most 20",
    ),
    "caching a registration": (
        put(["step", "RegisterDetector", "CacheConfig"], {"Enabled": True, "ExpireAfter": "P30D"}),
        "RegisterDetector: CacheConfig: a RegisterModel step cannot be cached",
    ),
    "caching for ever": (
        put(["step", "TrainDetector", "CacheConfig", "ExpireAfter"], "a month"),
        "TrainDetector: CacheConfig.ExpireAfter: is required: an ISO 8601 duration",
    ),
}


def test_finds_nothing_in_the_committed_definition() -> None:
    assert check(COMMITTED) == []


def test_works_where_the_laptops_cloud_cannot_run() -> None:
    program = """
import json, sys
sys.modules |= dict.fromkeys(("boto3", "dill", "moto", "psutil", "werkzeug"))  # each import of them fails
from pipelines.check import check
print(*check(json.load(sys.stdin)), sep="\\n")
"""
    definition = copy.deepcopy(COMMITTED)
    put([*TRAIN, "RoleArn"], MISSING)(definition)
    ended = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(definition), capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("TrainDetector: Arguments.RoleArn: is required")


@pytest.mark.parametrize("planted", PLANTED)
def test_names_a_planted_fault(planted: str) -> None:
    plant, named = PLANTED[planted]
    definition = copy.deepcopy(COMMITTED)
    plant(definition)
    faults = [str(fault) for fault in check(definition)]
    assert any(named in fault for fault in faults), faults
    assert len(faults) <= 3, "one fault must not look like many"


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    for part, item in below:
        yield from paths(item, (*path, part))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=150)
@given(path=st.sampled_from(sorted(paths(COMMITTED), key=str)), value=JSON)
def test_answers_to_whatever_stands_anywhere(path: tuple[str | int, ...], value: Any) -> None:
    definition = copy.deepcopy(COMMITTED)
    put(["root", *path], value)({"root": definition})
    assert all(isinstance(fault, Fault) and str(fault) for fault in check(definition))
