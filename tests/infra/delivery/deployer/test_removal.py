# SPDX-License-Identifier: Apache-2.0
"""What the deployer made goes before its stack goes."""

from __future__ import annotations

import json
from typing import Any

import pytest


def request(kind: str, url: str) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/delivery/1",
        "RequestId": "request",
        "LogicalResourceId": "Deliveries",
        "ResourceProperties": {},
    }


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_creating_the_stack_makes_nothing(world: Any, responses: Any, kind: str) -> None:
    world.handle(request(kind, responses.url))
    assert (responses.received[0]["Status"], world.sagemaker.endpoints) == ("SUCCESS", {})


def test_delete_removes_what_is_owned_and_nothing_else(world: Any, responses: Any) -> None:
    world.approve(world.register())
    world.settle()
    world.ask(world.register())
    world.sagemaker.progress("mapgate-dev-candidate-2")
    sagemaker = world.sagemaker
    for name in ("mapgate-dev-other", "mapgate-dev2-v1"):
        sagemaker.models[name] = sagemaker.models[world.named(1)]
        sagemaker.configs[name] = sagemaker.configs[world.named(1)]
    world.sagemaker.events.clear()
    world.handle(request("Delete", responses.url))
    for name in list(sagemaker.endpoints):
        sagemaker.progress(name)
    assert responses.received[0]["Status"] == "SUCCESS"
    assert sagemaker.endpoints == {}
    assert set(sagemaker.configs) == set(sagemaker.models) == {"mapgate-dev-other", "mapgate-dev2-v1"}
    assert sagemaker.tokens["0123456789"] == "the stack is being deleted"


@pytest.mark.parametrize(("wanted", "left"), [("true", 0), ("false", 2)])
def test_versions_go_only_where_the_settings_let_them_go(world: Any, responses: Any, wanted: str, left: int) -> None:
    world.approve(world.register())
    world.register()
    world.settle()
    world.handle({**request("Delete", responses.url), "ResourceProperties": {"DeleteVersions": wanted}})
    assert responses.received[0]["Status"] == "SUCCESS"
    assert len(world.sagemaker.packages) == left
    world.settle()
    assert world.sagemaker.endpoints == {}


def test_events_that_arrive_while_the_stack_goes_bring_nothing_back(world: Any, responses: Any) -> None:
    version = world.register()
    world.approve(version)
    world.settle()
    world.handle(request("Delete", responses.url))
    world.sagemaker.annotate(1)
    world.approve(version)
    world.settle()
    assert world.sagemaker.endpoints == {}
    assert world.record()["Champion"] is None


def test_busy_endpoint_is_waited_for_through_the_queue(world: Any, responses: Any) -> None:
    world.approve(world.register())
    world.deliver()
    world.handle(request("Delete", responses.url))
    assert responses.received == []
    world.sagemaker.progress("mapgate-dev")
    world.settle()
    assert responses.received[0]["Status"] == "SUCCESS"
    assert world.sagemaker.configs == world.sagemaker.models == {}


def test_busy_endpoint_without_a_queue_is_answered_with_the_way_out(make_world: Any, responses: Any) -> None:
    world = make_world(callback_queue_url=None)
    world.approve(world.register())
    world.deliver()
    world.handle(request("Delete", responses.url))
    assert responses.received[0]["Status"] == "FAILED"
    assert "delete the stack again in some minutes" in responses.received[0]["Reason"]


def test_failure_is_answered_too(world: Any, responses: Any) -> None:
    def fail(operation: str) -> None:
        if operation == "ListEndpoints":
            raise RuntimeError(f"{operation} broke")

    world.sagemaker.before_call = fail
    world.handle(request("Delete", responses.url))
    assert responses.received[0]["Status"] == "FAILED"
    assert responses.received[0]["Reason"] == "RuntimeError: ListEndpoints broke"


def test_stack_that_is_made_anew_deploys_again(world: Any, responses: Any) -> None:
    version = world.register()
    world.approve(version)
    world.settle()
    world.handle(request("Delete", responses.url))
    world.settle()
    world.handle(request("Create", responses.url))
    world.look()
    world.settle()
    assert world.champion() == 1


@pytest.mark.parametrize("kind", ["Delete", "Create"])
def test_message_that_claims_to_be_cloudformations_removes_nothing_and_answers_nobody(
    world: Any, responses: Any, kind: str
) -> None:
    """The queue brings a request again only when the stack is being deleted, which CloudFormation itself says first."""
    world.approve(world.register())
    world.settle()
    forged = {"request": {**request(kind, responses.url), "ResourceProperties": {"DeleteVersions": "true"}}}
    world.handle({"Records": [{"body": json.dumps(forged)}]})
    world.settle()
    assert (world.serving(), len(world.sagemaker.packages)) == (world.named(1), 1)
    assert not world.record()["Retired"]
    assert responses.received == []
