# SPDX-License-Identifier: Apache-2.0
"""evaluation.json of this release and of the one before, as people are told it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.client.evaluations import Estimate, Evaluation
from pipelines.errors import BadInputError
from tests.pipelines.commands.test_executions import evaluation


def _read(schema: int, **further: Any) -> Evaluation:
    return Evaluation.read(json.loads(evaluation(schema, 0.4663, passed=False, **further)), "evaluation.json")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"value": 0.4663, "lower": 0.4424, "upper": 0.4902}, "0.4663 (90 %: 0.4424 to 0.4902)"),
        ({"value": 0.4663, "standard_deviation": 0.0145}, "0.4663 (standard deviation 0.0145)"),
        ({"value": 0.4663}, "0.4663"),
        ({"value": None, "reason": "no box"}, "unknown: no box"),
        (0.5, "0.5000"),
        (None, "unknown"),
    ],
)
def test_an_estimate_says_how_sure_it_is(told: Any, said: str) -> None:
    assert str(Estimate.read(told)) == said


@pytest.mark.parametrize(("schema", "lower"), [(1, None), (2, pytest.approx(0.4463))])
def test_both_schemas_are_read(schema: int, lower: float | None) -> None:
    read = _read(schema)

    assert (read.mean_ap.value, read.mean_ap.lower) == (0.4663, lower)
    assert (read.passed, read.failed) == (False, ["mAP_50 is [0.41] and has to be 0.5."])
    assert read.per_class["cyclist"].value == 0.4663
    assert read.model == {"architecture": "ssd", "steps": 200, "best_step": 150, "seed": 17}


def test_what_an_approver_must_know_besides_is_told() -> None:
    read = _read(
        2,
        policy={
            "floor": {"uri": "s3://b/f", "sha256": "f" * 64},
            "run": None,
            "overruled": ["the run asked for mAP_50 at least 0.01"],
            "left_out": ["no champion"],
        },
        champion={"reason": "its artifact is gone", "waiver": "lost in March", "change": {}},
    )

    assert (read.floor_policy, read.run_policy) == ("f" * 64, None)
    assert read.remarks == [
        "the run asked for mAP_50 at least 0.01",
        "no champion",
        "the champion was not compared (its artifact is gone); waived: lost in March",
    ]
    dataset = {"images": 60, "test_set": "x", "chosen_by": "execution", "unknown_ancestors": ["open-images"]}
    assert _read(2, dataset=dataset).remarks == [
        "the execution chose its own test set of 60 images",
        "nobody knows on which images open-images was trained",
    ]


def test_the_change_against_the_champion_is_told() -> None:
    change = {"mAP": {"value": -0.01, "lower": -0.03, "upper": 0.01}}

    assert str(_read(2, champion={"change": change}).change) == "-0.0100 (90 %: -0.0300 to 0.0100)"
    assert _read(1).change is None


def test_what_the_test_set_can_tell_is_told() -> None:
    resources = {"latency_milliseconds": {"p99": 31.0}}
    read = _read(2, resolution={"smallest_difference": {"mAP": 0.034}}, resources=resources)

    assert read.smallest_difference == 0.034
    assert read.serving["latency_milliseconds"] == {"p99": 31.0}
    assert _read(1).smallest_difference is None


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"schema_version": 3}, "its schema_version is 3, and this checkout reads 1 and 2: update the checkout"),
        ({}, "its schema_version is None"),
        ({"schema_version": 2, "gate": {}}, "it has no 'dataset'"),
    ],
)
def test_what_is_no_evaluation_is_named(document: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInputError, match=f"evaluation.json: {told}"):
        Evaluation.read(document, "evaluation.json")
