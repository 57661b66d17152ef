# SPDX-License-Identifier: Apache-2.0
"""The custom resource `Custom::Deliveries`: when the stack goes, what the deployer made goes before it.

Its property `DeleteVersions` ("true" or "false") says whether the registry's versions go, too: a model package group
that still has some cannot be deleted.

CloudFormation waits up to an hour for the answer at ResponseURL, so an endpoint that is busy now is asked for again
through the queue.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

from . import candidate, registry
from .errors import ConflictError

if TYPE_CHECKING:
    from .delivery import Delivery

_REASON_CHARACTERS = 1024


def answer_request(delivery: Delivery, request: dict[str, Any]) -> None:
    """Serve a custom-resource request, and answer it in every case but one: when it is put off."""
    reason = ""
    try:
        if request["RequestType"] == "Delete":
            if not _remove_all(delivery, request):
                return
        else:
            _retire(delivery, retired=False)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        delivery.story.tell(f"failed: {reason}")
    _respond(delivery, request, reason)


def _remove_all(delivery: Delivery, request: dict[str, Any]) -> bool:
    """Remove every endpoint, configuration and model of the deployer; False when a busy one has to be waited for."""
    _retire(delivery, retired=True)
    busy = []
    for name in delivery.hosting.owned_endpoints():
        if name != delivery.settings.endpoint_name:
            candidate.stop(delivery, name, "the stack is being deleted")
        if not delivery.hosting.delete_endpoint(name):
            busy.append(name)
    if busy:
        sentence = f"{', '.join(busy)}: SageMaker is busy with it and cannot delete it now"
        delivery.story.tell(sentence)
        if delivery.ask_again({"request": request}):
            return False
        raise ConflictError(f"{sentence}; delete the stack again in some minutes")
    for name in sorted(delivery.hosting.owned_names()):
        delivery.hosting.remove(name)
    delivery.story.tell("endpoints, configurations and models are removed")
    if str(request.get("ResourceProperties", {}).get("DeleteVersions", "false")).lower() == "true":
        count = registry.delete_all(delivery.clients.sagemaker, delivery.settings.model_package_group)
        delivery.story.tell(f"{count} versions are deleted from the registry")
    return True


def _retire(delivery: Delivery, *, retired: bool) -> None:
    """Say in the records whether anything may still be deployed: events go on arriving while a stack goes."""
    for _ in range(5):
        read = delivery.records.production(delivery.settings.endpoint_name)
        if read.retired == retired:
            return
        read.retired = retired
        if retired:
            read.champion = read.attempt = None
        try:
            delivery.records.save_endpoint(delivery.settings.endpoint_name, read)
        except ConflictError:
            continue
        return
    raise ConflictError("the deployment records keep changing")


def _respond(delivery: Delivery, request: dict[str, Any], reason: str) -> None:
    body = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason[:_REASON_CHARACTERS] or "done",
        "PhysicalResourceId": request.get("PhysicalResourceId") or f"{delivery.settings.prefix}-deliveries",
        "StackId": request["StackId"],
        "RequestId": request["RequestId"],
        "LogicalResourceId": request["LogicalResourceId"],
    }
    answer = urllib.request.Request(
        request["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(answer, timeout=30):
        delivery.story.tell(f"CloudFormation was answered {body['Status']}")
