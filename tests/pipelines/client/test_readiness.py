# SPDX-License-Identifier: Apache-2.0
"""What a first deployment needs, each thing found or told with its way out."""

from __future__ import annotations

import json

import pytest

from infra.settings import Delivery, Processing, Settings, Training
from pipelines.client.quotas import Need
from pipelines.client.readiness import image_store, needs_of_settings, region

CONTAINERD = {"ServerVersion": "29.0.1", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
DOCKER = {"ServerVersion": "20.10.24", "DriverStatus": [["Backing Filesystem", "extfs"]]}


def test_counts_what_the_settings_use_at_once() -> None:
    settings = Settings(
        environment="prod",
        processing=Processing(prepare_instance_count=4),
        training=Training(instance_types=("ml.g5.xlarge", "ml.g6.xlarge")),
        delivery=Delivery(instance_type="ml.m5.xlarge", instance_count=3),
    )
    said = json.loads(settings.model_dump_json())
    # Twice the fleet of three, for blue/green, and the candidate; jobs of one quota follow one another.
    assert {need.quota: need.count for need in needs_of_settings(said)} == {
        "ml.m5.xlarge for processing job usage": 4,
        "ml.g5.xlarge for spot training job usage": 1,
        "ml.g6.xlarge for spot training job usage": 1,
        "ml.m5.xlarge for endpoint usage": 7,
    }
    said["training"]["spot"] = False
    assert Need("TrainDetector", "ml.g5.xlarge", "training job") in needs_of_settings(said)


@pytest.mark.parametrize(
    ("chosen", "said", "default", "told"),
    [
        (None, None, None, "none is named: set AWS_REGION and AWS_DEFAULT_REGION, or give --region"),
        (
            "us-east-1",
            "eu-west-1",
            None,
            "is chosen, and the settings say eu-west-1: give --region eu-west-1",
        ),
        ("us-east-1", None, "eu-west-1", "AWS_DEFAULT_REGION is eu-west-1: set both AWS_REGION and AWS_DEFAULT_REGION"),
    ],
)
def test_a_region_that_not_everybody_reads_is_wrong(
    chosen: str | None, said: str | None, default: str | None, told: str
) -> None:
    environment = {"AWS_DEFAULT_REGION": default} if default else {}
    found = region(chosen, {"region": said}, environment)
    assert found.verdict == "wrong" and told in found.told
    assert region("us-east-1", {"region": None}, {"AWS_DEFAULT_REGION": "us-east-1"}).verdict == "good"


@pytest.mark.parametrize(
    ("info", "buildx", "verdict"),
    [(DOCKER, True, "good"), (DOCKER, False, "good"), (CONTAINERD, True, "good"), (CONTAINERD, False, "wrong")],
)
def test_docker_must_make_manifests_that_sagemaker_takes(info: dict[str, object], buildx: bool, verdict: str) -> None:
    assert image_store(json.dumps(info), buildx).verdict == verdict
