# SPDX-License-Identifier: Apache-2.0
"""A version of before verdicts were recorded serves again what it has served, and nothing in its stead."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.infra.delivery.deployer.conftest import REPOSITORY, image_digest

LATER = {
    "ApprovedBy",
    "Reason",
    "Override",
    "ServedAt",
    "ServedImage",
    "Decision",
    "RejectedBy",
    "LastNotice",
    "StatedAt",
}


def serve(world: Any, version: Any) -> Any:
    world.approve(version)
    world.settle()
    return version


def make_old(world: Any, *versions: Any) -> None:
    """Leave of versions what a deployer of before wrote: neither verdicts, nor who approved, nor what has served."""
    for version in versions:
        world.forget_verdict(version)
        item = world.record(f"version#{version.version:06d}")
        world.table.put_item(Item={name: value for name, value in item.items() if name not in LATER} | {"Untold": ""})


def of_two(world: Any) -> tuple[Any, Any]:
    """Two versions of before, of which the second serves."""
    first, second = serve(world, world.register()), serve(world, world.register())
    world.sagemaker.now += 3600
    return first, second


def replace_both(world: Any, version: Any) -> None:
    """Write another artifact and an evaluation that praises it, as whoever may write to the bucket can."""
    uri = f"{version.evaluation_uri}/evaluation.json"
    evaluation = json.loads(world.get(uri))
    evaluation["model"]["sha256"] = hashlib.sha256(b"another model").hexdigest()
    world.put(version.model_uri, b"another model")
    world.put(uri, json.dumps(evaluation).encode())


def test_rejection_rolls_back_to_a_version_of_before_and_says_so(world: Any) -> None:
    first, second = of_two(world)
    make_old(world, first, second)
    world.reject(second)
    world.settle()
    assert world.champion() == 1
    assert "v1 goes back all the same" in [message["Subject"].partition(": ")[2] for message in world.topic.faults]
    assert "v1 has no verdict record: it was registered by hand, or by an older release; it has served before" in {
        event["Sentence"] for event in world.history()
    }


def test_version_of_before_that_serves_moves_to_changed_settings_and_says_so(world: Any) -> None:
    first, second = of_two(world)
    make_old(world, first, second)
    world.change(instance_type="ml.m5.2xlarge")
    world.settle()
    assert world.serving() == world.named(2)
    assert world.sagemaker.configs[world.named(2)]["ProductionVariants"][0]["InstanceType"] == "ml.m5.2xlarge"
    assert any("it has served before" in event["Sentence"] for event in world.history())


@pytest.mark.parametrize("way", ["rejection", "approval"])
def test_evaluation_and_artifact_that_were_replaced_after_it_served_are_refused(world: Any, way: str) -> None:
    first, second = of_two(world)
    make_old(world, first, second)
    replace_both(world, first)
    world.remove(world.released(first))
    if way == "rejection":
        world.reject(second)
    else:
        world.approve(first)
    world.settle()
    assert world.champion() == 2
    assert world.record("version#000001")["Outcome"] == "refused"
    (told,) = [message for message in world.topic.faults if "v1 has served since 2026-" in message["Message"]]
    assert "delete what was written over the object" in told["Message"]


def test_version_of_before_that_serves_keeps_what_it_has_when_both_were_replaced(world: Any) -> None:
    first, second = of_two(world)
    make_old(world, first, second)
    replace_both(world, second)
    before = world.serving()
    world.change(instance_type="ml.m5.2xlarge")
    world.settle()
    world.look()
    world.settle()
    assert world.serving() == before
    assert any("v2 has served since" in message["Message"] for message in world.topic.faults)


def test_image_by_which_it_served_is_recorded_and_no_other_takes_its_place(world: Any) -> None:
    first = serve(world, world.register())
    assert world.record("version#000001")["ServedImage"] == f"{REPOSITORY}@{image_digest(first.image)}"
    second = serve(world, world.register())
    world.forget_verdict(first)
    first.image = f"{REPOSITORY}:another"
    world.reject(second)
    world.settle()
    assert world.champion() == 2
    served_by = f"v1 served by {REPOSITORY}@{image_digest(f'{REPOSITORY}:tag')}, and names"
    assert any(served_by in message["Message"] for message in world.topic.faults)
