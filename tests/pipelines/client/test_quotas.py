# SPDX-License-Identifier: Apache-2.0
"""What an execution needs of an account's quotas, and the sentence where an account can never meet it."""

from __future__ import annotations

from infra.settings import Delivery, Processing, Settings, Training
from infra.training.binding import bind
from pipelines.client.quotas import Need, Quota, needs_of, shortages
from tests.infra.training.test_binding import COMMITTED, NAMES

BOUND = bind(
    COMMITTED,
    Settings(
        environment="dev",
        processing=Processing(prepare_instance_type="ml.m5.4xlarge", prepare_instance_count=3),
        training=Training(instance_types=("ml.g5.xlarge", "ml.g6.xlarge"), spot=True),
        delivery=Delivery(instance_type="ml.c5.2xlarge"),
    ),
    NAMES,
)


def test_needs_are_those_of_the_definition() -> None:
    assert needs_of(BOUND, {"TrainingInstanceType": None}) == [
        Need("PrepareDataset", "ml.m5.4xlarge", "processing job", 3),
        Need("JoinDataset", "ml.m5.4xlarge", "processing job"),
        Need("TrainDetector", "ml.g5.xlarge", "spot training job"),
        Need("MeasureServing", "ml.c5.2xlarge", "processing job"),
        Need("EvaluateDetector", "ml.m5.xlarge", "processing job"),
        Need("DeployCandidate", "ml.c5.2xlarge", "endpoint"),
    ]
    chosen = needs_of(BOUND, {"TrainingInstanceType": "ml.g6.xlarge"})
    assert Need("TrainDetector", "ml.g6.xlarge", "spot training job") in chosen


def test_a_quota_that_can_never_do_is_told_with_its_way_out() -> None:
    training = Need("TrainDetector", "ml.g5.xlarge", "spot training job")
    preparing = Need("PrepareDataset", "ml.m5.4xlarge", "processing job", 3)
    known = {
        need.quota: Quota(need.quota, code, value)
        for need, code, value in ((training, "L-1", 0), (preparing, "L-2", 2))
    }
    assert [sentence.split(":")[0] for sentence in shortages([training, preparing], known)] == [
        "TrainDetector needs 1 of ml.g5.xlarge for spot training job usage, and this account's quota is 0",
        "PrepareDataset needs 3 of ml.m5.4xlarge for processing job usage, and this account's quota is 2",
    ]
    assert "--quota-code L-2 --desired-value 3`" in shortages([preparing], known)[0]
    known = {name: Quota(name, "L-3", 3) for name in known}
    assert shortages([training, preparing], known) == []
    assert shortages([training], {}) == []
