# SPDX-License-Identifier: Apache-2.0
"""How approvals reach the production endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.infra.delivery.deployer.conftest import APPROVER, REPOSITORY, image_digest


def refusal(operation: str, message: str, code: str = "ValidationException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def pinned(tag: str) -> str:
    return f"{REPOSITORY}@{image_digest(f'{REPOSITORY}:{tag}')}"


def test_approved_version_becomes_the_champion(world: Any) -> None:
    version = world.register()
    world.approve(version)
    world.settle()
    assert world.serving() == world.named(1)
    assert world.record()["Champion"] == {
        "Version": 1,
        "ModelPackageArn": version.arn,
        "ModelUri": world.released(version),
        "Runtime": "openvino",
        "Precision": "f32",
        "InstanceType": "ml.m5.xlarge",
        "MeasuredInstanceType": "ml.m5.xlarge",
    }
    model = world.sagemaker.models[world.named(1)]
    assert model["PrimaryContainer"]["Environment"] == {
        "MAPGATE_RUNTIME": "openvino",
        "MAPGATE_PRECISION": "f32",
        "MAPGATE_METRICS_NAMESPACE": "mapgate-dev",
    }
    assert model["EnableNetworkIsolation"] is True
    assert {tag["Key"]: tag["Value"] for tag in model["Tags"]} == {
        "sagemaker:project-name": "mapgate",
        "sagemaker:deployment-stage": "dev",
    }
    assert world.topic.faults == []


def test_a_version_registered_before_serves_by_tensorflow_from_its_own_image(world: Any) -> None:
    """The image of today has no TensorFlow, and the next version and a way back to this one change nothing of that."""
    older = world.register(tag="with-tensorflow", serving={"runtime": "tensorflow", "precision": "f32"})
    own = {"MAPGATE_RUNTIME": "tensorflow", "MAPGATE_PRECISION": "f32", "MAPGATE_METRICS_NAMESPACE": "mapgate-dev"}
    newer = world.register()

    world.approve(older)
    world.settle()
    served = world.sagemaker.models[world.named(1)]["PrimaryContainer"]
    assert (served["Image"], served["Environment"]) == (pinned("with-tensorflow"), own)
    assert world.record()["Champion"]["Runtime"] == "tensorflow"

    world.approve(newer)
    world.settle()
    assert world.sagemaker.models[world.named(2)]["PrimaryContainer"]["Image"] == pinned("tag")
    world.reject(newer)
    world.settle()
    assert world.serving() == world.named(1)
    served = world.sagemaker.models[world.named(1)]["PrimaryContainer"]
    assert (served["Image"], served["Environment"]) == (pinned("with-tensorflow"), own)


def test_pending_version_is_not_deployed(world: Any) -> None:
    world.register()
    world.settle()
    assert world.sagemaker.endpoints == {}


def test_next_version_replaces_the_one_before_and_leaves_nothing_behind(world: Any) -> None:
    for _ in range(2):
        world.approve(world.register())
        world.settle()
    assert (world.serving(), world.champion()) == (world.named(2), 2)
    assert set(world.sagemaker.configs) == set(world.sagemaker.models) == {world.named(2)}
    assert world.sagemaker.updates[0]["RetainAllVariantProperties"] is True


def test_version_approved_while_another_rolls_out_waits_its_turn(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.approve(world.register())
    world.deliver()
    world.approve(world.register())
    world.deliver()
    assert world.sagemaker.endpoints["mapgate-dev"].pending == world.named(2)
    world.settle()
    assert (world.serving(), world.champion()) == (world.named(3), 3)


def test_rolled_back_version_is_recorded_as_failed_and_told(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.sagemaker.doomed.add(2)
    world.approve(world.register())
    world.settle()
    assert (world.serving(), world.champion()) == (world.named(1), 1)
    assert world.record("version#000002")["Outcome"] == "failed"
    (message,) = world.topic.faults
    assert "v2 was rolled back by SageMaker, production serves v1" in message["Message"]
    assert set(world.sagemaker.configs) == {world.named(1)}


def test_failed_version_is_tried_again_when_it_is_approved_again(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.sagemaker.doomed.add(2)
    second = world.register()
    world.approve(second)
    world.settle()
    world.sagemaker.doomed.clear()
    world.sagemaker.annotate(2)
    world.settle()
    assert world.champion() == 1
    world.reject(second)
    world.approve(second)
    world.settle()
    assert world.champion() == 2


def test_endpoint_that_does_not_come_up_is_deleted_and_the_next_best_version_serves(world: Any) -> None:
    world.approve(world.register())
    world.sagemaker.doomed.add(2)
    world.approve(world.register())
    world.settle()
    assert (world.serving(), world.champion()) == (world.named(1), 1)
    assert "ping health check" in world.topic.faults[0]["Message"]


def test_mixed_fleet_is_never_deleted_and_mended_by_the_next_version(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.sagemaker.stuck.add(2)
    world.approve(world.register())
    world.settle()
    assert world.sagemaker.endpoints["mapgate-dev"].status == "UpdateRollbackFailed"
    assert "neither rolled out nor rolled back" in world.topic.faults[0]["Message"]
    world.approve(world.register())
    world.settle()
    assert world.champion() == 3


def test_rejecting_what_serves_rolls_back_to_the_newest_standing_approval(world: Any) -> None:
    versions = [world.register() for _ in range(3)]
    for version in versions:
        world.approve(version)
        world.settle()
    world.reject(versions[1])
    world.reject(versions[2])
    world.settle()
    assert (world.serving(), world.champion()) == (world.named(1), 1)


def test_rejecting_the_last_approval_leaves_it_serving_and_tells_people_once(world: Any) -> None:
    version = world.register()
    world.approve(version)
    world.settle()
    world.reject(version)
    world.sagemaker.events.append(world.sagemaker.events[-1])
    world.settle()
    assert world.champion() == 1
    assert [message["Subject"] for message in world.topic.faults] == ["mapgate-dev: v1 keeps serving"]


def test_older_version_approved_later_goes_to_production(world: Any) -> None:
    older, newer = world.register(), world.register()
    world.approve(newer)
    world.settle()
    world.approve(older)
    world.settle()
    assert world.champion() == 1


def test_version_rejected_before_its_event_is_handled_is_not_deployed(world: Any) -> None:
    version = world.register()
    world.approve(version)
    world.reject(version)
    world.settle()
    assert world.sagemaker.endpoints == {}
    assert world.topic.faults == []


def test_version_rejected_during_its_roll_out_is_rolled_back(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    second = world.register()
    world.approve(second)
    world.deliver()
    world.reject(second)
    world.settle()
    assert world.champion() == 1


def test_version_rejected_while_its_approval_is_handled_is_not_deployed(world: Any) -> None:
    version = world.register()
    world.approve(version)

    def reject(operation: str) -> None:
        if operation == "DescribeEndpoint":
            world.sagemaker.before_call = print
            world.reject(version)

    world.sagemaker.before_call = reject
    world.handle(world.sagemaker.events[-1])
    assert world.sagemaker.endpoints == {}


@pytest.mark.parametrize("serving", [False, True])
def test_two_events_that_deploy_at_the_same_time_do_it_once(world: Any, serving: bool) -> None:
    if serving:
        world.approve(world.register())
        world.settle()
    world.approve(world.register())
    event = world.sagemaker.events[-1]

    def overtake(operation: str) -> None:
        if operation in {"CreateEndpoint", "UpdateEndpoint"}:
            world.sagemaker.before_call = print
            world.handle(event)

    world.sagemaker.before_call = overtake
    world.handle(event)
    world.settle()
    assert world.champion() == (2 if serving else 1)
    assert (world.topic.faults, world.sagemaker.violations) == ([], [])


def test_crash_between_update_and_record_leaves_the_roll_out_alone(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.approve(world.register())
    world.die_between_order_and_record()
    world.approve(world.register())
    world.deliver()
    assert world.named(2) in world.sagemaker.configs
    world.settle()
    assert (world.champion(), world.sagemaker.violations) == (3, [])


def test_same_event_twice_deploys_once(world: Any) -> None:
    world.approve(world.register())
    world.sagemaker.events *= 2
    world.settle()
    last = world.record()["Revision"]
    world.handle(
        {
            "detail-type": "SageMaker Endpoint State Change",
            "detail": {"EndpointName": "mapgate-dev", "EndpointStatus": "IN_SERVICE"},
        }
    )
    assert world.record()["Revision"] == last


def test_metadata_edit_of_an_older_approved_version_does_not_deploy_it_again(world: Any) -> None:
    for _ in range(2):
        world.approve(world.register())
        world.settle()
    world.sagemaker.annotate(1)
    world.settle()
    assert world.champion() == 2
    assert len(world.sagemaker.updates) == 1


def test_version_that_did_not_pass_its_gate_is_refused(world: Any) -> None:
    world.approve(world.register(passed=False))
    world.settle()
    assert world.sagemaker.endpoints == {}
    assert world.record("version#000001")["Outcome"] == "refused"
    assert "v1 did not pass its gate: mAP 0.1" in world.topic.faults[0]["Message"]


def test_missing_artifact_is_refused(world: Any) -> None:
    version = world.register()
    world.remove(version.model_uri)
    world.approve(version)
    world.settle()
    assert world.sagemaker.endpoints == {}
    assert f"its artifact {version.model_uri} is gone" in world.topic.faults[0]["Message"]


def test_refused_creation_is_told_and_does_not_block_the_next_version(world: Any) -> None:
    def refuse(operation: str) -> None:
        if operation == "CreateModel" and len(world.sagemaker.packages) == 1:
            raise refusal("CreateModel", "Requested image image:tag not found.")

    world.sagemaker.before_call = refuse
    world.approve(world.register())
    world.settle()
    assert (
        "v1 could not be deployed: Requested image image:tag not found. (CreateModel)"
        in world.topic.faults[0]["Message"]
    )
    world.approve(world.register())
    world.settle()
    assert world.champion() == 2


def test_throttling_fails_the_event_so_that_it_comes_again(world: Any) -> None:
    def throttle(operation: str) -> None:
        if operation == "CreateEndpoint":
            raise refusal("CreateEndpoint", "Rate exceeded", "ThrottlingException")

    world.approve(world.register())
    world.sagemaker.before_call = throttle
    with pytest.raises(Exception, match="Rate exceeded"):
        world.handle(world.sagemaker.events[-1])
    world.sagemaker.before_call = print
    world.settle()
    assert world.champion() == 1
    assert world.topic.faults == []


def test_every_event_ends_in_one_line_of_log(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.approve(world.register(), why="")
    approval = world.sagemaker.events[-1]
    capsys.readouterr()
    world.handle(approval)
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told["message"].startswith(f"v1 was approved by {APPROVER}; no reason was given; v1 is being brought up (op")
    assert told["trigger"] == "SageMaker Model Package State Change"
    assert told["status"] == "Creating"


def test_other_groups_and_endpoints_are_passed_over(world: Any) -> None:
    package = {"ModelPackageGroupName": "other", "ModelPackageArn": "arn", "ModelApprovalStatus": "Approved"}
    world.handle({"detail-type": "SageMaker Model Package State Change", "detail": package})
    for name in ("mapgate-dev2", "mapgate-dev-candidate-x", "other"):
        world.handle({"detail-type": "SageMaker Endpoint State Change", "detail": {"EndpointName": name}})
    assert world.sagemaker.endpoints == {}


@pytest.mark.parametrize(
    ("count", "percent", "size"), [(1, 10, None), (2, 80, 50), (4, 10, 25), (4, 30, 30), (20, 10, 10)]
)
def test_update_goes_by_canary_where_one_is_possible(
    make_world: Callable[..., Any], count: int, percent: int, size: int | None
) -> None:
    world = make_world(instance_count=count, canary_percent=percent)
    for _ in range(2):
        world.approve(world.register())
        world.settle()
    (update,) = world.sagemaker.updates
    policy = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    canary = {"WaitIntervalInSeconds": 300, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": size}}
    assert policy["TrafficRoutingConfiguration"] == (
        {"Type": "CANARY", **canary} if size else {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    )
    assert policy["TerminationWaitInSeconds"] == 300


@pytest.mark.parametrize("key", ["arn:aws:kms:us-east-1:123456789012:key/1", None])
def test_volumes_are_encrypted_with_the_key_that_the_stack_gives(
    make_world: Callable[..., Any], key: str | None
) -> None:
    world = make_world(kms_key_arn=key)
    world.approve(world.register())
    world.settle()
    assert world.sagemaker.configs[world.named(1)].get("KmsKeyId") == key


def test_capture_and_network_follow_the_settings(make_world: Callable[..., Any]) -> None:
    world = make_world(data_capture_percent=20, subnet_ids=("subnet-1",), security_group_ids=("sg-1",))
    world.approve(world.register())
    world.settle()
    assert world.sagemaker.configs[world.named(1)]["DataCaptureConfig"]["InitialSamplingPercentage"] == 20
    network = world.sagemaker.models[world.named(1)]["VpcConfig"]
    assert network == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}


def test_endpoint_that_somebody_deleted_comes_back_with_the_next_look(world: Any) -> None:
    world.approve(world.register())
    world.settle()
    del world.sagemaker.endpoints["mapgate-dev"]
    world.look()
    world.settle()
    assert world.serving() == world.named(1)
