# SPDX-License-Identifier: Apache-2.0
"""Changed settings of hosting reach a production that serves, behind a trial and alarms on the new fleet."""

from __future__ import annotations

from typing import Any

import pytest

from infra.delivery.deployer.deployments import names, rollback
from infra.delivery.deployer.deployments.settings import DeployerSettings
from tests.infra.delivery.deployer.conftest import image_digest
from tests.infra.delivery.deployer.test_removal import request

TRIAL = "mapgate-dev-candidate-1"


def serve(world: Any) -> str:
    """Bring the first version to production; returns its configuration's name."""
    world.approve(world.register())
    world.settle()
    return str(world.serving())


@pytest.mark.parametrize(
    ("changed", "place", "expected"),
    [
        ({"instance_type": "ml.c5.2xlarge"}, "variant", {"InstanceType": "ml.c5.2xlarge"}),
        ({"instance_count": 3}, "variant", {"InitialInstanceCount": 3}),
        ({"ami_version": "al2-ami-sagemaker-inference-gpu-3-1"}, "variant", {"InferenceAmiVersion": "al2-ami-"}),
        ({"data_capture_percent": 20}, "config", {"DataCaptureConfig": {"InitialSamplingPercentage": 20}}),
        ({"kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1"}, "config", {"KmsKeyId": "arn:aws:kms:"}),
        ({"subnet_ids": ("subnet-1",), "security_group_ids": ("sg-1",)}, "model", {"VpcConfig": {}}),
    ],
)
def test_changed_setting_is_tried_and_rolled_out_without_a_new_version(
    world: Any, changed: dict[str, Any], place: str, expected: dict[str, Any]
) -> None:
    before = serve(world)
    world.change(**changed)
    world.deliver()
    (trial,) = [name for name in world.sagemaker.endpoints if name.startswith(f"{TRIAL}-")]
    assert world.sagemaker.updates == []
    world.settle()
    assert world.serving() == world.named(1) != before
    assert [each["EndpointName"] for each in world.runtime.requests] == [trial] * 6
    config = world.sagemaker.configs[world.serving()]
    places = {
        "variant": config["ProductionVariants"][0],
        "config": config,
        "model": world.sagemaker.models[world.serving()],
    }
    assert expected.keys() <= places[place].keys()
    assert set(world.sagemaker.configs) == set(world.sagemaker.models) == {world.serving()}
    assert set(world.sagemaker.endpoints) == {"mapgate-dev"}
    assert (world.champion(), world.sagemaker.violations) == (1, [])


@pytest.mark.parametrize(
    ("changed", "instances", "retained"),
    [
        ({"instance_count": 3}, 3, False),
        ({"data_capture_percent": 20}, 2, False),
        ({"instance_type": "ml.c5.2xlarge"}, 5, True),
    ],
)
def test_what_autoscaling_set_stays_unless_a_setting_says_otherwise(
    make_world: Any, changed: dict[str, Any], instances: int, retained: bool
) -> None:
    world = make_world(instance_count=2)
    serve(world)
    world.sagemaker.endpoints["mapgate-dev"].instances = 5
    world.change(**changed)
    world.settle()
    assert world.sagemaker.updates[0]["RetainAllVariantProperties"] is retained
    assert world.sagemaker.endpoints["mapgate-dev"].instances == instances


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_count_that_leaves_no_room_for_a_canary_rolls_out_at_once_and_the_next_version_after_it(
    make_world: Any, before: int, after: int
) -> None:
    world = make_world(instance_count=before)
    serve(world)
    world.change(instance_count=after)
    world.settle()
    world.approve(world.register())
    world.settle()
    kinds = [
        update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"]
        for update in world.sagemaker.updates
    ]
    assert kinds == ["ALL_AT_ONCE", "CANARY" if after == 2 else "ALL_AT_ONCE"]
    assert (world.champion(), world.sagemaker.endpoints["mapgate-dev"].instances) == (2, after)


def test_settings_that_the_trial_does_not_survive_leave_production_alone(world: Any) -> None:
    before = serve(world)
    world.runtime.answer = {"error": "no detections here"}
    world.change(instance_type="ml.c5.large")
    world.settle()
    assert (world.serving(), world.champion(), world.sagemaker.updates) == (before, 1, [])
    assert [message["Subject"] for message in world.topic.faults] == ["mapgate-dev: v1 keeps its old settings"]
    assert "v1 keeps serving with its old settings" in world.topic.faults[0]["Message"]
    world.handle({"detail-type": "Scheduled Event"})
    world.settle()
    assert (len(world.topic.faults), set(world.sagemaker.endpoints)) == (1, {"mapgate-dev"})


def test_trial_whose_beginning_died_is_taken_up_by_the_next_look(world: Any) -> None:
    before = serve(world)
    world.change(instance_type="ml.c5.large")

    def die(operation: str) -> None:
        if operation == "CreateModel":
            raise RuntimeError("the function timed out")

    world.sagemaker.before_call = die
    with pytest.raises(RuntimeError):
        world.deliver()
    world.sagemaker.before_call = print
    world.queue.sent.clear()
    world.settle()
    assert world.serving() == before
    world.handle({"detail-type": "Scheduled Event"})
    world.settle()
    assert world.serving() == world.named(1) != before


def test_approval_given_anew_tries_the_settings_once_more(world: Any) -> None:
    before = serve(world)
    good, world.runtime.answer = world.runtime.answer, {"error": "no detections here"}
    world.change(instance_type="ml.c5.large")
    world.settle()
    assert world.serving() == before
    world.runtime.answer = good
    world.sagemaker.review(1, "Approved")
    world.settle()
    assert world.serving() == world.named(1) != before


def test_settings_that_production_rolls_back_do_not_fail_their_version(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.approve(world.register())
    world.settle()
    before = world.serving()
    world.change(instance_type="ml.c5.large")
    world.sagemaker.doomed.add(world.named(2))
    world.settle()
    assert (world.serving(), world.champion()) == (before, 2)
    assert world.record("version#000002")["Outcome"] is None
    assert "SageMaker rolled it back to the old settings" in world.topic.faults[0]["Message"]
    assert len(world.sagemaker.updates) == 2
    assert world.sagemaker.alarms == {}


def test_old_name_without_settings_is_read_and_brought_up_to_date(world: Any) -> None:
    serve(world)
    old, new = "mapgate-dev-v1", world.named(1)
    for kept in (world.sagemaker.configs, world.sagemaker.models):
        kept[old] = kept.pop(new)
    world.sagemaker.configs[old]["ProductionVariants"][0]["ModelName"] = old
    world.sagemaker.endpoints["mapgate-dev"].config = old
    world.handle({"detail-type": "Scheduled Event"})
    world.settle()
    assert (world.serving(), set(world.sagemaker.configs)) == (new, {new})


def test_another_type_than_the_measured_one_is_recorded_and_told_once(world: Any) -> None:
    serve(world)
    assert world.topic.faults == []
    world.change(instance_type="ml.g5.xlarge")
    world.settle()
    champion = world.record()["Champion"]
    assert (champion["InstanceType"], champion["MeasuredInstanceType"]) == ("ml.g5.xlarge", "ml.m5.xlarge")
    (message,) = world.topic.faults
    assert "v1 serves on ml.g5.xlarge and was measured on ml.m5.xlarge" in message["Message"]


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_deployment_of_the_app_wakes_the_deployer(world: Any, responses: Any, kind: str) -> None:
    serve(world)
    world.change(instance_count=2)
    world.queue.sent.clear()
    world.handle(request(kind, responses.url))
    assert responses.received[0]["Status"] == "SUCCESS"
    world.settle()
    assert world.sagemaker.endpoints["mapgate-dev"].instances == 2


def test_alarms_see_nothing_but_the_new_fleet_and_are_there_as_long_as_the_update(world: Any) -> None:
    serve(world)
    assert world.sagemaker.alarms == {}
    world.approve(world.register())
    world.deliver()
    config = world.named(2)
    watched = world.sagemaker.updates[0]["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert {each["AlarmName"] for each in watched} == set(world.sagemaker.alarms) == set(rollback.alarm_names(config))
    for alarm in world.sagemaker.alarms.values():
        named = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
        assert named == {"EndpointName": "mapgate-dev", "VariantName": "AllTraffic", "EndpointConfigName": config}
    world.settle()
    assert (world.champion(), world.sagemaker.alarms, world.sagemaker.violations) == (2, {}, [])


def test_alarms_of_a_failed_update_and_of_a_stack_that_goes_go_too(world: Any, responses: Any) -> None:
    serve(world)
    world.sagemaker.doomed.add(2)
    world.approve(world.register())
    world.settle()
    assert (world.champion(), world.sagemaker.alarms) == (1, {})
    world.approve(world.register())
    world.deliver()
    assert world.sagemaker.alarms
    world.sagemaker.progress("mapgate-dev")
    world.sagemaker.events.clear()
    world.handle(request("Delete", responses.url))
    world.settle()
    assert world.sagemaker.alarms == {}


def test_names_fit_into_what_sagemaker_takes_and_tell_what_they_say() -> None:
    prefix = "p" * 20 + "-" + "e" * 20
    for name in (names.production(prefix, 9999, "a1b2c3"), names.trial(prefix, 9999, "a1b2c3")):
        assert len(name) <= 63
        assert (names.hosting(prefix, name), names.is_owned(prefix, name)) == ("a1b2c3", True)
    assert names.production_version(prefix, f"{prefix}-v12-a1b2c3") == 12
    assert names.candidate_version(prefix, f"{prefix}-candidate-12-a1b2c3") == 12
    assert (names.production_version("m", "m-v3"), names.hosting("m", "m-v3")) == (3, None)
    assert not names.is_owned("m", "m-v3-other")


def test_latency_alarm_follows_the_setting() -> None:
    told = DeployerSettings.read(
        dict.fromkeys(
            [
                "PREFIX",
                "TABLE",
                "BUCKET",
                "MODEL_PACKAGE_GROUP",
                "ENDPOINT_NAME",
                "TOPIC_ARN",
                "INFERENCE_INSTANCE_TYPE",
                "EXECUTION_ROLE_ARN",
                "SIGNING_KEY_ARN",
                "FLOOR_POLICY_SHA256",
                "INFERENCE_REPOSITORY",
            ],
            "x",
        )
        | {"INFERENCE_INSTANCE_COUNT": "1", "LATENCY_ALARM_MILLISECONDS": "700"}
    )
    assert told.latency_alarm_milliseconds == 700


def test_production_of_an_older_release_moves_to_its_released_copy_by_itself(world: Any) -> None:
    """It serves where it was trained, from an image by its tag, under a name of before, and has no verdict's record."""
    version = world.register()
    world.approve(version)
    world.settle()
    sagemaker, old = world.sagemaker, "mapgate-dev-v1-a0b1c2"
    config, model = sagemaker.configs.pop(world.serving()), sagemaker.models.pop(world.serving())
    container = model["PrimaryContainer"] | {"Image": version.image, "ModelDataUrl": version.model_uri}
    sagemaker.models[old] = model | {"ModelName": old, "PrimaryContainer": container}
    variant = config["ProductionVariants"][0] | {"ModelName": old}
    sagemaker.configs[old] = config | {"EndpointConfigName": old, "ProductionVariants": [variant]}
    sagemaker.endpoints["mapgate-dev"].config = old
    world.forget_verdict(version)
    world.look()
    world.settle()
    assert world.serving() == world.named(1)
    served = sagemaker.models[world.named(1)]["PrimaryContainer"]
    assert served["ModelDataUrl"] == world.released(version)
    assert served["Image"].endswith(image_digest(version.image))
    assert set(sagemaker.models) == set(sagemaker.configs) == {world.named(1)}
    assert (world.champion(), world.record()["Champion"]["ModelUri"]) == (1, world.released(version))
