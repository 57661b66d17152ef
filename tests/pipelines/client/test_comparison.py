# SPDX-License-Identifier: Apache-2.0
"""Two versions are put beside each other, and what their numbers cannot say is said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipelines.client.comparison import Comparison, compare
from pipelines.client.registry import Version
from pipelines.display.comparison import markdown
from tests.evaluations import evaluation

GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev"


def version(number: int, **further: Any) -> Version:
    return Version(number, f"{GROUP}/{number}", "Approved", datetime(2026, 11, 30, tzinfo=UTC), "", {}, **further)


def compared(one: dict[str, Any], other: dict[str, Any], **further: Any) -> Comparison:
    return compare(version(1), one, version(2, **further), other)


def test_versions_tested_on_different_images_are_not_ranked() -> None:
    other = evaluation()
    other["dataset"]["test_set"] = "u" * 64
    found = compared(evaluation(champion=None), other)
    assert found.notes == ["They were tested on different images: their numbers do not show which of them is better."]
    assert all(one.change is None for one in [*found.metrics, *found.classes])
    assert [fact.name for fact in found.differences] == ["test set"]


def test_versions_tested_on_the_same_images_are_not_paired() -> None:
    found = compared(evaluation(champion=None), evaluation(champion=None))
    assert "not against each other" in found.notes[0]
    assert found.differences == []


def test_best_version_that_ever_served_is_paired_too() -> None:
    other = evaluation()
    other["best"] = dict(other["champion"]) | {"arn": f"{GROUP}/1"}
    changes = {one.name: one.change for one in compared(evaluation(), other).metrics}
    assert changes["mAP"] is not None and changes["mAP"].value == 0.012


def test_classes_of_either_are_told_by_name() -> None:
    found = compared(evaluation(("car", "van")), evaluation(("car", "bus")))
    assert [one.name for one in found.classes] == ["car", "van", "bus"]
    assert found.classes[1].second.reason == "it has no such class"


def test_evaluation_of_the_release_before_is_compared_too() -> None:
    old = evaluation()
    for later in ("policy", "resolution", "resources", "slices", "best"):
        del old[later]
    assert "earlier release" in compared(old, evaluation()).notes[-1]


def test_markdown_keeps_its_columns_whatever_a_setting_holds() -> None:
    settings = [{"name": "a|b", "value": "1\n2"}]
    card = {"training_details": {"training_job_details": {"hyper_parameters": settings}}}
    page = markdown(compared(evaluation(), evaluation(), card=card))
    assert "| settings: a\\|b | not known | 1 2 |" in page
