# SPDX-License-Identifier: Apache-2.0
"""One endpoint: its durable record, its fleets, its changes of state and their events."""

from __future__ import annotations

import copy
import random
import re
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localcloud.alarms.actions import samples
from localcloud.alarms.samples import Metric, dimensions
from localcloud.clients import SAGEMAKER, client_as
from localcloud.endpoints import capture, rollout
from localcloud.endpoints.fleets import Answer, Fleet, FleetError
from localcloud.events.event_bridge import announce
from localcloud.home import write_json
from localcloud.times import in_milliseconds, now, time_scale

IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
PATIENCE = 60.0
"""Seconds that an invocation waits for containers which come back after the cloud's start."""
LOOK = 0.25
"""Seconds between two looks at the alarms."""


class Endpoint:
    """An endpoint and the containers behind it.

    Args:
        record: `account`, `region`, `name`, `arn`, `status`, `created`, `modified`, `serving` (plan of the fleet that
            answers, None until there is one), `target` (plan of the fleet that is coming up), `deployment`, `tags`.
        directory: `.mapgate/endpoints/<name>`.
        forget: Called when the endpoint has been deleted.
    """

    def __init__(self, record: dict[str, Any], directory: Path, forget: Callable[[Endpoint], None]) -> None:
        self.record, self._directory, self._forget = record, directory, forget
        self.account, self.region, self.name, self.arn = (record[key] for key in ("account", "region", "name", "arn"))
        self.lock = threading.RLock()
        self._fleet: Fleet | None = None
        self._candidate: Fleet | None = None
        self._share = 0.0
        self._ready = threading.Event()

    @property
    def status(self) -> str:
        return str(self.record["status"])

    def create(self) -> None:
        """Bring the first fleet up, in a new thread."""
        self._enter("Creating")
        self._in_thread(self._create)

    def update(self, target: Mapping[str, Any], deployment: Mapping[str, Any]) -> None:
        """Replace the fleet by that of another configuration, in a new thread.

        Args:
            target: The new fleet's plan.
            deployment: DeploymentConfig.
        """
        self._enter(
            "Updating", target=dict(target), deployment=dict(deployment), failure_reason=None, update_began=now()
        )
        self._in_thread(self._update)

    def rescale(self, wishes: Mapping[str, Mapping[str, Any]]) -> None:
        """Change weights and instance counts by variant name."""
        with self.lock:
            self._enter("Updating")
            for variant in self.record["serving"]["variants"]:
                wish = wishes.get(variant["name"], {})
                variant["weight"] = float(wish.get("DesiredWeight", variant["weight"]))
                variant["instances"] = int(wish.get("DesiredInstanceCount", variant["instances"]))
            self._enter("InService")

    def delete(self) -> None:
        """End the containers and forget the endpoint, in a new thread."""
        self._enter("Deleting")
        self._in_thread(self._delete)

    def resume(self) -> None:
        """Go on where the record stands, after the cloud's start."""
        match self.status:
            case "Creating":
                self._in_thread(self._create)
            case "Deleting":
                self._in_thread(self._delete)
            case "Updating" if self.record.get("target"):
                self._in_thread(self._restart_and_update)
            case "InService" | "Updating":
                self._in_thread(self._restart)

    def invoke(self, variant: str | None, headers: Mapping[str, str], body: bytes) -> Answer:
        """A container's answer. Waits while the containers come back after the cloud's start.

        Raises:
            KeyError: There is no such variant.
            OSError: The container took too long, or could not be reached.
        """
        self._ready.wait(PATIENCE)
        with self.lock:
            new = self._candidate is not None and random.random() < self._share  # traffic, no secret
            fleet = self._candidate if new else self._fleet
        if fleet is None:
            raise ConnectionError(f"endpoint {self.name} has no container")
        begun = time.monotonic()
        try:
            answer = fleet.invoke(variant, headers, body)
        except OSError:
            self._measure(fleet, variant or fleet.plan["variants"][0]["name"], 500, time.monotonic() - begun)
            raise
        self._measure(fleet, answer.variant, answer.status, time.monotonic() - begun)
        if answer.status < 400 and capture.samples(fleet.plan.get("data_capture")):
            # Nobody waits for it: AWS delivers within minutes.
            threading.Thread(target=self._capture, args=(fleet, headers, body, answer), daemon=True).start()
        return answer

    def _capture(self, fleet: Fleet, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        (role,) = [each["role"] for each in fleet.plan["variants"] if each["name"] == answer.variant]
        capture.keep(
            client_as(role, SAGEMAKER, "s3", self.region),
            fleet.plan["data_capture"],
            endpoint=self.name,
            variant=answer.variant,
            request=capture.Message(headers.get("Content-Type", ""), body),
            answer=capture.Message(answer.headers.get("content-type", ""), answer.body),
        )

    def _measure(self, fleet: Fleet, variant: str, status: int, seconds: float) -> None:
        """What SageMaker tells CloudWatch of an invocation: of the endpoint, and of the fleet that answered.

        https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
        https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
        """
        instances = next(each["instances"] for each in fleet.plan["variants"] if each["name"] == variant)
        values = {
            "Invocations": 1.0,
            "InvocationsPerInstance": 1.0 / max(instances, 1),
            "Invocation4XXErrors": float(400 <= status < 500),
            "Invocation5XXErrors": float(status >= 500),
            "ModelLatency": seconds * 1e6,
        }
        whole = dimensions(EndpointName=self.name, VariantName=variant)
        for named in (whole, whole | dimensions(EndpointConfigName=fleet.plan["config"])):
            for name, value in values.items():
                samples.measure(Metric(self.account, self.region, "AWS/SageMaker", name, named), value)

    def description(self) -> dict[str, Any]:
        """What DescribeEndpoint answers now."""
        with self.lock:
            record = copy.deepcopy(self.record)
        plan = record["serving"] or record["target"]
        described = {
            "EndpointName": self.name,
            "EndpointArn": self.arn,
            "EndpointConfigName": plan["config"],
            "ProductionVariants": [_variant(each) for each in plan["variants"]],
            "DataCaptureConfig": _data_capture(plan.get("data_capture")),
            "EndpointStatus": record["status"],
            "FailureReason": record.get("failure_reason"),
            "CreationTime": record["created"],
            "LastModifiedTime": record["modified"],
            "LastDeploymentConfig": record.get("last_deployment"),
            "PendingDeploymentSummary": record.get("pending") if record["status"] == "Updating" else None,
        }
        return {key: value for key, value in described.items() if value is not None}

    def _create(self) -> None:
        if self._bring_up(self.record["target"]):
            self._enter("InService", serving=self.record["target"], target=None)

    def _restart_and_update(self) -> None:
        self._restart()
        if self._fleet:
            self._update()

    def _restart(self) -> None:
        up = self._bring_up(self.record["serving"])
        if up and self.status == "Updating" and not self.record.get("target"):
            self._enter("InService")

    def _bring_up(self, plan: dict[str, Any]) -> bool:
        """Start the endpoint's only fleet; False where it does not come up, and the endpoint has failed."""
        fleet = self._make_fleet(plan)
        try:
            fleet.start()
        except FleetError as error:
            self._enter("Failed", failure_reason=str(error)[:1024])
            return False
        with self.lock:
            self._fleet = fleet
        self._ready.set()
        return True

    def _update(self) -> None:
        """Blue/green: the new fleet comes up beside the old one, takes over in stages, and the old one ends.

        Whatever goes wrong, the old fleet goes on serving and the endpoint is InService with the old configuration.
        """
        target, deployment = self.record["target"], self.record["deployment"]
        candidate = self._make_fleet(target)
        try:
            self._announce_deployment("Creating")
            candidate.start()
            with self.lock:
                self._candidate, self._share = candidate, 0.0
            instances = sum(variant["instances"] for variant in target["variants"])
            for stage in rollout.stages(deployment, instances):
                self._announce_deployment("ActivatingTraffic")
                with self.lock:
                    self._share = stage.share
                self._announce_deployment("Baking")
                self._bake(stage.seconds, deployment)
        except FleetError as error:
            with self.lock:
                self._candidate, self._share = None, 0.0
            candidate.discard()
            self._enter("InService", target=None, failure_reason=str(error)[:1024], last_deployment=deployment or None)
            return
        with self.lock:
            old, self._fleet, self._candidate = self._fleet, candidate, None
            self.record["serving"] = target
        self._announce_deployment("Deleting")
        if old:
            old.discard()
        self._enter("InService", target=None, last_deployment=deployment or None)

    def _bake(self, seconds: float, deployment: Mapping[str, Any]) -> None:
        alarms = [each["AlarmName"] for each in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", ())]
        until = time.monotonic() + seconds * time_scale()
        while True:
            ringing = self._ringing(alarms)
            if ringing:
                raise FleetError(
                    f"The deployment was rolled back because of alarms in state ALARM: {', '.join(ringing)}"
                )
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(LOOK, left))

    def _ringing(self, alarms: list[str]) -> list[str]:
        if not alarms:
            return []
        role = self.record["target"]["variants"][0]["role"]
        try:
            # https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
            found = client_as(role, SAGEMAKER, "cloudwatch", self.region).describe_alarms(
                AlarmNames=alarms, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
            )
        except ClientError as error:
            raise FleetError(error.response["Error"]["Message"]) from error
        every = [*found.get("MetricAlarms", ()), *found.get("CompositeAlarms", ())]
        return [each["AlarmName"] for each in every if each.get("StateValue") == "ALARM"]

    def _delete(self) -> None:
        with self.lock:
            fleets, self._fleet, self._candidate = (self._fleet, self._candidate), None, None
        for fleet in fleets:
            if fleet:
                fleet.stop()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._forget(self)
        self._emit("State Change", self._event_detail() | {"EndpointStatus": "DELETED"})

    def _make_fleet(self, plan: Mapping[str, Any]) -> Fleet:
        return Fleet(plan, self._directory / plan["generation"], self.name, self.account, self.region)

    def _enter(self, status: str, **fields: Any) -> None:
        with self.lock:
            self.record |= fields | {"status": status, "modified": now()}
            if status != "Updating":
                self.record.pop("pending", None)
            self._directory.mkdir(parents=True, exist_ok=True)
            write_json(self._directory / "endpoint.json", self.record)
            detail = self._event_detail()
        self._emit("State Change", detail)

    def _announce_deployment(self, status: str) -> None:
        with self.lock:
            target = self.record["target"]
            told = {"Status": status, "StartTime": now()}
            self.record["pending"] = {
                "EndpointConfigName": target["config"],
                "StartTime": self.record["update_began"],
                "ProductionVariants": [_variant(each) | {"VariantStatus": [told]} for each in target["variants"]],
            }
            detail = self._event_detail() | {"PendingDeploymentSummary": in_milliseconds(self.record["pending"])}
        self._emit("Deployment State Change", detail)

    def _event_detail(self) -> dict[str, Any]:
        described: dict[str, Any] = in_milliseconds(self.description())
        left_out = ("DataCaptureConfig", "LastDeploymentConfig", "PendingDeploymentSummary")
        return {key: value for key, value in described.items() if key not in left_out} | {
            "EndpointStatus": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.status).upper(),
            "Tags": {tag["Key"]: tag["Value"] for tag in self.record["tags"]},
        }

    def _emit(self, what: str, detail: dict[str, Any]) -> None:
        announce(self.account, self.region, f"Endpoint {what}", detail, [self.arn])

    def _in_thread(self, work: Callable[[], object]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:  # the endpoint must leave the state it is in, whatever breaks here
                traceback.print_exc(file=sys.stderr)
                status = "InService" if self._fleet else "Failed"
                self._enter(status, target=None if self._fleet else self.record["target"], failure_reason=repr(error))

        threading.Thread(target=guarded, name=f"endpoint {self.name}", daemon=True).start()


def _variant(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "VariantName": plan["name"],
        "DeployedImages": [{"SpecifiedImage": plan["image"], "ResolvedImage": plan["image"]}],
        "CurrentWeight": plan["weight"],
        "DesiredWeight": plan["weight"],
        "CurrentInstanceCount": plan["instances"],
        "DesiredInstanceCount": plan["instances"],
    }


def _data_capture(configuration: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not configuration or not configuration.get("EnableCapture"):
        return None
    return {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": configuration.get("InitialSamplingPercentage", 100),
        "DestinationS3Uri": configuration.get("DestinationS3Uri"),
        "KmsKeyId": configuration.get("KmsKeyId", ""),
    }
