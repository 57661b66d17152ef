# SPDX-License-Identifier: Apache-2.0
"""No execution's policy loosens the environment's, and whatever it tries is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training_src.evaluation.floor import tightened
from training_src.evaluation.policy import GatePolicy, read_policy

FLOOR = GatePolicy.of(
    {
        "schema_version": 2,
        "metrics": {"mAP_50": 0.5},
        "every_class": {"AP50": 0.25},
        "classes": {"cyclist": {"AP50": 0.4}},
        "exempt_classes": ["tram"],
        "slices": {"camera=front": {"mAP_50": 0.4}},
        "recall": {"pedestrian": {"precision": 0.9, "recall": 0.6}},
        "support": {"images": 50, "boxes_per_class": 20, "interval_width": {"mAP": 0.1}},
        "champion": {"greatest_fall": {"mAP": 0.025}, "least_common_classes": 0.5},
        "serving": {"least_matched": 0.98, "greatest_difference": {"mAP": 0.005}, "latency_p99_milliseconds": 80},
        "exclusion": {"least_images": 40},
        "test_set": {"uri": "s3://bucket/test/", "sha256": "a" * 64},
    }
)
ATTACK = {
    "schema_version": 2,
    "metrics": {"mAP_50": 0.01},
    "every_class": {},
    "exempt_classes": ["cyclist", "pedestrian", "vehicle"],
    "support": {"images": 1, "boxes_per_class": 1, "interval_width": {"mAP": 1}},
    "champion": None,
    "serving": {"least_matched": 0.01, "greatest_difference": {"mAP": 1}},
}


def test_an_execution_without_a_policy_is_judged_by_the_floor() -> None:
    policy, overruled, _ = tightened(FLOOR, None)
    assert (policy, overruled) == (FLOOR, [])


def test_a_policy_that_asks_for_next_to_nothing_changes_nothing_and_is_told() -> None:
    policy, overruled, left_out = tightened(FLOOR, GatePolicy.of(ATTACK))
    alone = ("cyclist", "pedestrian", "vehicle")
    assert policy == replace(FLOOR, exempt_classes=(), exempt_without_boxes=alone)
    assert overruled == [
        "metrics.mAP_50: the execution's 0.01 is below the environment's 0.5, which counts.",
        "support.images: the execution's 1 is below the environment's 50, which counts.",
        "support.boxes_per_class: the execution's 1 is below the environment's 20, which counts.",
        "support.interval_width.mAP: the execution's 1 is above the environment's 0.1, which counts.",
        "champion: the execution asks for no comparison; the environment's counts.",
        "serving.least_matched: the execution's 0.01 is below the environment's 0.98, which counts.",
        "serving.greatest_difference.mAP: the execution's 1 is above the environment's 0.005, which counts.",
        *(
            f'exempt_classes: the execution exempts "{name}", which the environment asks for; it counts wherever the '
            "test set has a box of it."
            for name in alone
        ),
    ]
    assert 'Of class "cyclist" nothing is asked where the test set has no box of it (exempt_classes).' in left_out


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("metrics", {"mAP_50": 0.6, "mAP": 0.3}, {"mAP_50": 0.6, "mAP": 0.3}),
        ("every_class", {"AP75": 0.1}, {"AP50": 0.25, "AP75": 0.1}),
        ("classes", {"cyclist": {"AP50": 0.5}, "tram": {"AP": 0.1}}, {"cyclist": {"AP50": 0.5}, "tram": {"AP": 0.1}}),
        ("slices", {"time=night": {"mAP": 0.2}}, {"camera=front": {"mAP_50": 0.4}, "time=night": {"mAP": 0.2}}),
    ],
)
def test_what_is_stricter_counts_without_a_word(key: str, value: Any, found: Any) -> None:
    policy, overruled, _ = tightened(FLOOR, run(**{key: value}))
    assert getattr(policy, key) == found
    assert overruled == []


def test_limits_tighten_each_by_itself() -> None:
    stricter = run(
        support={"images": 200, "boxes_per_class": 20, "interval_width": {"mAP": 0.05, "mAP_50": 0.1}},
        champion={"greatest_fall": {"mAP": 0.01, "mAP_50": 0.02}, "least_common_classes": 1},
        serving={
            "least_matched": 0.99, "greatest_difference": {"mAP": 0.001}, "latency_p99_milliseconds": 60,
            "artifact_megabytes": 20,
        },
        recall={"pedestrian": {"precision": 0.95, "recall": 0.6}, "cyclist": {"precision": 0.5, "recall": 0.5}},
        exclusion={"least_images": 60},
    )  # fmt: skip
    policy, overruled, left_out = tightened(FLOOR, stricter)
    assert overruled == []
    assert policy.support == stricter.support
    assert policy.champion == stricter.champion
    assert policy.serving == stricter.serving
    assert policy.recall == stricter.recall
    assert policy.least_images_left == 60
    assert left_out[1:] == ["No memory of the server is asked (serving.resident_megabytes)."]


def test_of_two_that_loosen_each_other_s_rules_the_stricter_of_each_counts() -> None:
    mixed = run(
        serving={"least_matched": 0.99, "greatest_difference": {"mAP": 0.05}, "latency_p99_milliseconds": 500},
        recall={"pedestrian": {"precision": 0.5, "recall": 0.7}},
        exclusion={"least_images": 3},
    )
    policy, overruled, _ = tightened(FLOOR, mixed)
    assert (policy.serving.least_matched, policy.serving.greatest_difference) == (0.99, {"mAP": 0.005})
    assert policy.serving.latency_p99_milliseconds == 80
    assert vars(policy.recall["pedestrian"]) == {"precision": 0.9, "recall": 0.7}
    assert overruled == [
        "serving.greatest_difference.mAP: the execution's 0.05 is above the environment's 0.005, which counts.",
        "serving.latency_p99_milliseconds: the execution's 500 is above the environment's 80, which counts.",
        "recall.pedestrian.precision: the execution's 0.5 is below the environment's 0.9, which counts.",
        "exclusion.least_images: the execution's 3 is below the environment's 40, which counts.",
    ]


def test_the_environments_test_set_counts() -> None:
    policy, overruled, _ = tightened(FLOOR, run(test_set={"uri": "s3://other/", "sha256": "b" * 64}))
    assert policy.test_set == FLOOR.test_set
    assert overruled == ["test_set: the execution names another test set than the environment, whose counts."]
    free = replace(FLOOR, test_set=None)
    named = run(test_set={"uri": "s3://other/", "sha256": "b" * 64})
    assert tightened(free, named)[0].test_set == named.test_set
    assert "No test set is named: the execution chooses its own (test_set)." in tightened(free, None)[2]


def test_an_execution_may_name_the_environments_test_set() -> None:
    named = run(test_set={"uri": "s3://bucket/test/", "sha256": "a" * 64})
    assert tightened(FLOOR, named)[:2] == (FLOOR, [])


def test_either_alone_can_ask_for_images_that_nobody_has_learnt_from() -> None:
    lax = replace(FLOOR, least_images_left=None)
    asked = run(exclusion={"least_images": 3})
    assert tightened(FLOOR, run())[0].least_images_left == 40
    assert tightened(lax, asked)[0].least_images_left == 3
    assert tightened(lax, asked)[1] == tightened(lax, run())[1] == []
    assert tightened(lax, run())[0].least_images_left is None


def test_an_execution_can_ask_for_a_comparison_that_the_environment_does_not() -> None:
    lax = replace(FLOOR, champion=None)
    policy, overruled, _ = tightened(lax, run())
    assert (policy.champion, overruled) == (FLOOR.champion, [])
    told = tightened(lax, None)[2]
    assert "No comparison is asked with what serves now, nor with the best version that ever served (champion)." in told


def test_every_rule_that_is_left_out_is_told() -> None:
    default = read_policy(Path(__file__).parents[3] / "infra/training/defaults/gate_policy.yaml")
    assert tightened(replace(default, exempt_classes=("tram",)), None)[2] == [
        'Of class "tram" neither boxes nor a score are asked (exempt_classes).',
        "No slice of the test set is judged by itself (slices).",
        "No recall at a precision is asked of any class (recall).",
        "No latency is asked (serving.latency_p99_milliseconds).",
        "No memory of the server is asked (serving.resident_megabytes).",
        "No size of the artifact is asked (serving.artifact_megabytes).",
        "No test set is named: the execution chooses its own (test_set).",
    ]
    bare = GatePolicy.of({**ATTACK, "exempt_classes": [], "support": {"images": 1, "boxes_per_class": 1}})
    told = tightened(bare, None)[2]
    assert "No score is asked of every class (every_class)." in told
    assert "No width is asked of any interval (support.interval_width)." in told


def run(**changed: Any) -> GatePolicy:
    """An execution's policy that asks for what the floor does, but for these keys."""
    content: dict[str, Any] = {
        "schema_version": 2,
        "metrics": {"mAP_50": 0.5},
        "every_class": {"AP50": 0.25},
        "exempt_classes": ["tram"],
        "support": {"images": 50, "boxes_per_class": 20, "interval_width": {"mAP": 0.1}},
        "champion": {"greatest_fall": {"mAP": 0.025}, "least_common_classes": 0.5},
        "serving": {"least_matched": 0.98, "greatest_difference": {"mAP": 0.005}},
    }
    return GatePolicy.of(content | changed)
