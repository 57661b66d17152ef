# SPDX-License-Identifier: Apache-2.0
"""What an execution takes, as it is told before it starts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.settings import ENVIRONMENTS, Settings, Training
from infra.training.binding import Resources, bind
from pipelines.estimates.deployed import Deployed, Job, read_definition
from pipelines.estimates.instance_types import InstanceType, instance_type
from pipelines.estimates.training_estimate import Estimate
from training_src.commands import estimate as command

CHECKOUT = Path(__file__).parents[3]
COMMITTED = json.loads((CHECKOUT / "pipelines" / "definition.json").read_text())
RESOURCES = Resources(**dict.fromkeys(Resources.__dataclass_fields__, "named"))
M5 = instance_type("ml.m5.xlarge")
PLAN = {
    "model": "ssd_mobilenet_v2_fpnlite_320x320",
    "input": {"size": [320, 320], "follows_data": True, "decided": True},
    "steps": 4000,
    "batch_size": 40,
    "configs_batch_size": 128,
    "learning_rate": 0.025,
    "configs_learning_rate": 0.08,
    "seconds_an_image": 0.065,
    "reference": "two cores of an AMD EPYC",
    "memory": {"needed": 9 << 30, "total": 16 << 30, "gpu": False},
}
DEPLOYED = Deployed(
    defaults={},
    training_types=("ml.m5.xlarge", "ml.c5.2xlarge"),
    jobs=(Job("PrepareDataset", "ml.m5.xlarge", 1, 7200), Job("TrainDetector", "", 1, 86400)),
    spot=True,
)


def told(estimate: Estimate) -> str:
    return "\n".join(f"{subject}: {sentence}" for subject, sentence in estimate.lines())


def of_environment(settings: Settings) -> Deployed:
    return read_definition(bind(COMMITTED, settings, RESOURCES))


def planned(capsys: pytest.CaptureFixture[str], deployed: Deployed, instance: InstanceType) -> dict[str, Any]:
    assert instance.training_memory_gib is not None
    command.run(
        architecture=deployed.defaults["Architecture"],
        training_settings=deployed.defaults["TrainingSettings"],
        training_steps=deployed.defaults["TrainingSteps"],
        memory_gib=instance.training_memory_gib,
        gpu=instance.gpus > 0,
    )
    plan: dict[str, Any] = json.loads(capsys.readouterr().out)
    return plan


@pytest.mark.parametrize("environment", sorted(file.stem for file in ENVIRONMENTS.glob("*.yaml")))
def test_every_default_ends_within_its_environments_limits_however_wrong_the_estimate(
    environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = of_environment(Settings.read(environment))
    for name in deployed.training_types:
        instance = instance_type(name)
        estimate = Estimate(planned(capsys, deployed, instance), instance, deployed, on_this_machine=False)
        assert estimate.plan is not None and estimate.seconds is not None
        assert estimate.plan["memory"]["needed"] <= estimate.plan["memory"]["total"], name
        assert estimate.seconds.most <= deployed.training.limit_seconds, name
        assert estimate.refusal() is None


@pytest.mark.parametrize(("environment", "usd"), [("dev", ".2f"), ("staging", ".0f"), ("prod", ".0f")])
def test_the_readme_tells_what_an_environments_defaults_take(
    environment: str, usd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.read(environment)
    deployed, instance = of_environment(settings), instance_type(settings.training.instance_types[0])
    estimate = Estimate(planned(capsys, deployed, instance), instance, deployed, on_this_machine=False)
    endpoint = instance_type(settings.delivery.instance_type).usd_per_hour
    assert estimate.seconds is not None and estimate.usd is not None and endpoint is not None
    told = " ".join((CHECKOUT / "README.md").read_text().split())
    assert f"about {estimate.seconds.likely / 60:.0f} minutes and {estimate.usd.likely:{usd}} USD" in told
    assert f"cost {endpoint * settings.delivery.instance_count:g} USD an hour" in told.replace("costs", "cost")


def test_the_zoos_own_length_does_not_end_on_a_small_instance(capsys: pytest.CaptureFixture[str]) -> None:
    """What was every environment's default: 50,000 steps of the 640x640 detector."""
    before = Training(
        instance_types=("ml.m5.xlarge",), default_architecture="ssd_mobilenet_v2_fpnlite_640x640", default_steps=50_000
    )
    deployed = of_environment(Settings(environment="dev", training=before))
    plan = planned(capsys, deployed, M5)
    assert (plan["batch_size"], plan["steps"]) == (8, 50_000)
    # At the batch of 128 that it was made for.
    refusal = Estimate(plan | {"batch_size": 128}, M5, deployed, on_this_machine=False).refusal()
    assert refusal is not None
    assert "and a training is stopped after 24.0 h: take --training-steps " in refusal


def test_tells_time_and_cost_with_their_bounds() -> None:
    said = told(Estimate(PLAN, M5, DEPLOYED, on_this_machine=False))
    assert "training: 4,000 steps of batch 40 (the config's is 128), learning rate 0.025, in proportion" in said
    assert "instance: ml.m5.xlarge, on spare capacity; at most 9.0 of its 16.0 GiB of memory" in said
    # 120 s, and 4000 * 40 * 0.065 s / 1.3, and a tenth of it.
    assert "time: training about 2.5 h (74 min to 5.0 h, reckoned from steps measured on two cores" in said
    assert "cost: training about 0.57 USD (0.28 to 1.14, less on spare capacity); at most 5.98 USD for all jobs" in said
    assert "prices of 20" in said


def test_tells_the_input_where_the_data_decide_it() -> None:
    def said(**changed: object) -> str:
        plan = PLAN | {"input": {"size": [416, 416], "follows_data": True, "decided": True} | changed}
        return told(Estimate(plan, M5, DEPLOYED, on_this_machine=False))

    assert "model: ssd_mobilenet_v2_fpnlite_320x320, input 416x416, as the data's boxes decide\n" in said()
    assert "input 416x416 or larger: the data's boxes decide, and time, memory and cost grow" in said(decided=False)
    assert "model: ssd_mobilenet_v2_fpnlite_320x320\n" in said(follows_data=False)


def test_a_type_that_is_not_known_is_said_to_be() -> None:
    plan = PLAN | {"batch_size": None, "memory": {"needed": None, "total": None, "gpu": False}}
    unknown = Estimate(plan, instance_type("ml.z9.huge"), DEPLOYED, on_this_machine=False)
    said = told(unknown)
    assert "a batch that fits, at most 128" in said
    assert "how much memory it has is not known here" in said
    assert "time: not known here; training is stopped after 24.0 h" in said
    assert "cost: not known here, nor how much at most: ml.z9.huge has no price in instance_types.yaml" in said
    assert unknown.refusal() is None


def test_where_only_the_time_is_unknown_the_bound_is_time_limit_times_price() -> None:
    said = told(Estimate(None, M5, DEPLOYED, on_this_machine=False))
    assert "cost: not known here; at most 5.98 USD for all jobs" in said


def test_on_this_machine_nothing_costs_anything() -> None:
    estimate = Estimate(PLAN, replace(M5, name="this machine"), DEPLOYED, on_this_machine=True)
    assert "cost: nothing: all jobs run here" in told(estimate)
    assert "instance: this machine; at most 9.0" in told(estimate)


def test_what_cannot_end_in_time_is_refused_with_the_way_out() -> None:
    refusal = Estimate(PLAN | {"steps": 500_000}, M5, DEPLOYED, on_this_machine=False).refusal()
    assert refusal is not None
    assert refusal.startswith("500000 steps of batch 40 take at least ")
    assert "another --training-instance-type (ml.c5.2xlarge)" in refusal
    steps = int(refusal.split("--training-steps ")[1].split(",")[0])
    assert Estimate(PLAN | {"steps": steps}, M5, DEPLOYED, on_this_machine=False).refusal() is None


def test_scripts_are_told_the_same() -> None:
    said = Estimate(PLAN, M5, DEPLOYED, on_this_machine=False).as_json()
    assert json.loads(json.dumps(said)) == said
    assert said["training"]["batch_size"] == 40
    assert said["usd"]["least"] < said["usd"]["likely"] < said["usd"]["most"] < said["usd_at_most"]
