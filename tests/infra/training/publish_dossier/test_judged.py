# SPDX-License-Identifier: Apache-2.0
"""No verdict is recorded of an evaluation that is not of exactly what lies there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from containers.evidence.statements import Resource
from infra.training.publish_dossier.dossier.errors import DossierError
from infra.training.publish_dossier.dossier.judged import Found, Verdict, judge
from infra.training.publish_dossier.dossier.objects import Document
from infra.training.publish_dossier.dossier.settings import Inputs, Settings
from tests.evaluations import CHAMPION_ARN, MODEL_URI, evaluation

SERVES, TRAINS = (
    f"123456789012.dkr.ecr.us-east-1.amazonaws.com/mapgate-dev-{name}:1" for name in ("inference", "training")
)
JOB = "arn:aws:sagemaker:us-east-1:123456789012:processing-job/pipelines-abc"
INPUTS = Inputs(
    model_package_arn="arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev/3",
    evaluation_uri="s3://data/executions/abc/evaluation",
    execution_arn="arn:aws:sagemaker:us-east-1:123456789012:pipeline/mapgate-dev/execution/abc",
    metadata_uri="s3://data/executions/abc/metadata",
    model_uri=MODEL_URI,
    champion_arn=CHAMPION_ARN,
    best_arn="none",
    inference_image_digest="sha256:1",
    training_image_digest="sha256:2",
    train_uri="s3://data/executions/abc/train",
    validation_uri="s3://data/executions/abc/validation",
    test_uri="s3://data/executions/abc/test",
    measurements_uri="s3://data/executions/abc/measurements",
    champion_uri="s3://data/released/5f/model.tar.gz",
    champion_runtime="openvino",
    champion_waiver="none",
    best_uri="s3://data/defaults/none/",
    best_runtime="none",
    gate_policy_uri="s3://data/defaults/none/",
    map_threshold="0.0",
    data_job=f"{JOB}-PrepareDataset-x",
    metadata_job=f"{JOB}-PrepareDataset-x",
    model_job=f"{JOB.replace('processing', 'training')}-TrainDetector-x",
    measurements_job=f"{JOB}-MeasureServing-x",
    evaluation_job=f"{JOB}-EvaluateDetector-x",
)
SETTINGS = Settings(
    table="t",
    endpoint_name="mapgate-dev",
    bucket="data",
    signing_key_arn="k",
    floor_policy_uri="s3://data/defaults/gate-policy/f/",
    floor_policy_sha256="f" * 64,
    floor_test_set="",
    floor_test_set_uri="",
    processing_role_arn="arn:aws:iam::123456789012:role/mapgate-dev-processing",
    training_role_arn="arn:aws:iam::123456789012:role/mapgate-dev-training",
    inference_image=SERVES,
    training_image=TRAINS,
    function_arn="f",
)


def found(**parts: Any) -> Found:
    """What lies there, with other parts of the evaluation."""
    return Found(
        evaluation=Document(Resource(uri=INPUTS.evaluation, sha256="e" * 64), {**evaluation(), **parts}),
        dataset=Document(Resource(uri=INPUTS.dataset, sha256="0" * 64), {"sha256": "d" * 64}),
        model=Resource(uri=MODEL_URI, sha256="a" * 64),
        floor_policy=Resource(uri=SETTINGS.floor_policy, sha256="f" * 64),
        inference_image=Resource(uri=SERVES, sha256="sha256:1"),
        training_image=Resource(uri=TRAINS, sha256="sha256:2"),
        containers=({"Image": SERVES, "ModelDataUrl": MODEL_URI},),
        report=b"",
        jobs=(),
    )


def part(name: str, **changes: Any) -> dict[str, Any]:
    """A part of the evaluation, changed."""
    return {name: {**evaluation()[name], **changes}}


def refused(there: Found, settings: Settings = SETTINGS, inputs: Inputs = INPUTS) -> str:
    with pytest.raises(DossierError) as told:
        judge(there, inputs, settings)
    return str(told.value)


def test_an_evaluation_of_what_lies_there_gives_its_verdict() -> None:
    assert judge(found(), INPUTS, SETTINGS) == Verdict(
        mean_ap=0.412,
        sentence="mAP_50 is at least 0.597, 0.500 is asked for.",
        runtime="openvino",
        precision="f32",
        test_set="t" * 64,
        dataset_sha256="d" * 64,
        champion_arn=CHAMPION_ARN,
        best_arn="none",
        waiver="",
        gate_policy=None,
    )


def test_the_execution_s_own_policy_and_a_waiver_are_told() -> None:
    own = {"uri": "s3://data/inputs/p/gate_policy.yaml", "sha256": "9" * 64}
    lost = {**evaluation()["champion"], "reason": "it is gone", "waiver": "so be it - admin"}
    verdict = judge(found(**part("policy", run=own), champion=lost), INPUTS, SETTINGS)
    assert verdict.gate_policy == Resource(uri=own["uri"], sha256="9" * 64)
    assert verdict.waiver == "so be it - admin"


RULES = [{**evaluation()["gate"]["rules"][0], "passed": False}]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (part("gate", passed=False, sentence="mAP is too low."), "The gate did not pass: mAP is too low."),
        (part("gate", passed="true"), "The gate did not pass"),
        # `gate.passed` edited over rules that failed, or that were taken away.
        (part("gate", rules=RULES), "says that the gate passed, but not its rules (mAP_50): somebody edited it."),
        (part("gate", rules=[]), "says that the gate passed, but not its rules (it has none)"),
        (part("gate", mAP=-1), "has no measured mAP in its gate"),
        (part("gate", mAP=float("nan")), "has no measured mAP in its gate"),
        (part("gate", mAP=True), "has no measured mAP in its gate"),
        (part("serving", runtime=""), "does not say by which runtime it was judged"),
        # Another runtime written over the one that was judged, one that was not measured, or is another detector.
        (part("serving", runtime="onnx"), "says that onnx in f32 serves, and its mAP of 0.412 is not that runtime's"),
        (part("serving", precision="int8"), "says that openvino in int8 serves, and its mAP of 0.412 is not"),
        (part("serving", runtimes={}), "says that openvino in f32 serves, and its mAP of 0.412 is not"),
        (part("serving", runtimes={"openvino": {"precision": "f32", "mAP": 0.1}}), "and its mAP of 0.412 is not"),
        (part("serving", runtimes={"openvino": {"precision": "f32", "mAP": None}}), "and its mAP of 0.412 is not"),
        (part("model", sha256="0" * 64), "is not the artifact that was evaluated (its sha256 begins with aaaaaaaaaaaa"),
        (part("policy", floor={"sha256": "0" * 64}), "judged by another gate policy than the environment's"),
        (part("policy", run={"uri": "s3://b/p"}), "does not say which policy of its own the execution brought"),
        (part("model", trained_on="e" * 64), "The model was trained on eeeeeeeeeeee"),
        (part("dataset", sha256="e" * 64), "It was judged on the data set eeeeeeeeeeee"),
        (part("dataset", chosen_by="environment"), "and the environment's policy names none"),
        (part("dataset", test_set=""), "does not say on which test set it was made"),
        ({"champion": None}, f"It was compared with none, and FindChampion found {CHAMPION_ARN}"),
        (part("champion", arn="another"), "It was compared with another"),
        (
            {"best": evaluation()["champion"]},
            f"It was compared with {CHAMPION_ARN} as the best version that ever served, and FindChampion found none",
        ),
        ({"schema_version": 1}, "has schema_version 1, and 2 is read: deploy the stacks again, push the images"),
    ],
)
def test_an_evaluation_of_something_else_gives_none(changed: dict[str, Any], sentence: str) -> None:
    assert sentence in refused(found(**changed))


@pytest.mark.parametrize("name", ["gate", "model", "policy", "dataset", "serving", "champion", "schema_version"])
@pytest.mark.parametrize("content", [None, [], "x"])
def test_an_evaluation_that_lacks_a_part_gives_none(name: str, content: Any) -> None:
    assert refused(found(**{name: content}))


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"model": Resource(uri=MODEL_URI, sha256="b" * 64)}, "somebody replaced one of the two"),
        ({"floor_policy": Resource(uri="s3://p", sha256="b" * 64)}, "s3://p is not the gate policy that was deployed"),
        ({"inference_image": Resource(uri=SERVES, sha256="sha256:3")}, "The image that measures and serves"),
        ({"training_image": Resource(uri=TRAINS, sha256="sha256:3")}, "The image that trains and evaluates"),
        ({"containers": ()}, "The version was registered with []"),
        ({"containers": ({"Image": TRAINS, "ModelDataUrl": MODEL_URI},)}, "The version was registered with the images"),
        (
            {"containers": ({"Image": SERVES, "ModelDataUrl": "s3://data/models/other.tar.gz"},)},
            "The version was registered with ['s3://data/models/other.tar.gz']",
        ),
        ({"containers": ({"Image": SERVES, "ModelDataUrl": MODEL_URI},) * 2}, "alone"),
        ({"dataset": Document(Resource(uri=INPUTS.dataset, sha256="0"), {})}, "is of None"),
    ],
)
def test_something_else_that_lies_there_gives_none(other: dict[str, Any], sentence: str) -> None:
    assert sentence in refused(replace(found(), **other))


def test_the_environment_s_test_set_is_answered_by_everybody() -> None:
    named = replace(SETTINGS, floor_test_set="7" * 64)
    assert "judged on another test set than the environment's policy names" in refused(found(), named)
    by_itself = part("dataset", test_set="7" * 64)
    assert "judged on another test set" in refused(found(**by_itself), named)
    chosen = part("dataset", test_set="7" * 64, chosen_by="environment", sha256="other shards")
    assert judge(found(**chosen), INPUTS, named).test_set == "7" * 64


def test_the_best_version_that_ever_served_is_told_and_demanded() -> None:
    best = {**evaluation()["champion"], "arn": "the/best/1"}
    asked = replace(INPUTS, best_arn="the/best/1")
    assert judge(found(best=best), asked, SETTINGS).best_arn == "the/best/1"
    assert "It was compared with none as the best version" in refused(found(), inputs=asked)


def test_where_nothing_serves_no_champion_is_compared() -> None:
    first = replace(INPUTS, champion_arn="none")
    assert judge(found(champion=None), first, SETTINGS).champion_arn == "none"
    assert f"It was compared with {CHAMPION_ARN}, and FindChampion found none" in refused(found(), inputs=first)


def test_every_reason_is_told_at_once() -> None:
    told = refused(found(**part("gate", passed=False), **part("model", sha256="0" * 64)))
    assert "The gate did not pass" in told and "is not the artifact that was evaluated" in told


def test_a_step_or_an_environment_of_before_is_told_what_it_lacks() -> None:
    with pytest.raises(DossierError, match=r"hands over no metadata_uri, model_uri, .*; deploy the stacks again"):
        Inputs.read({"model_package_arn": "a/3", "evaluation_uri": "s3://b/e", "execution_arn": "x"})
    with pytest.raises(DossierError, match=r"environment has no table, endpoint_name, .*; deploy the stacks again"):
        Settings.read({"BUCKET": "data"}, "f")
