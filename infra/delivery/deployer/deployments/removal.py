# SPDX-License-Identifier: Apache-2.0
"""The custom resource `Custom::Deliveries`: when the stack goes, what the deployer made goes before it.

It holds the settings of hosting, so that a deployment of the app which changes them wakes the deployer. Its property
`DeleteVersions` ("true" or "false") says whether the registry's versions go, too: a model package group that still has
some cannot be deleted.

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
    from .context import EventContext

_REASON_CHARACTERS = 1024


def answer_request(context: EventContext, request: dict[str, Any]) -> None:
    """Serve a custom-resource request, and answer it in every case but one: when it is put off."""
    reason = ""
    try:
        if request["RequestType"] == "Delete":
            if not _remove_all(context, request):
                return
        else:
            _retire(context, retired=False)
            # Changed settings reach production by a message that comes again until it was handled.
            context.ask_again({"endpoint": context.settings.endpoint_name}, seconds=0)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        context.log.tell(f"failed: {reason}")
    _respond(context, request, reason)


def answer_again(context: EventContext, request: dict[str, Any]) -> None:
    """Serve a request that was put off: CloudFormation itself brought it first, so that the records say so.

    Whoever may write to the queue removes nothing by that.
    """
    if not context.records.production(context.settings.endpoint_name).retired:
        context.log.tell("a message claims that the stack is being deleted, which it is not")
        return
    answer_request(context, request)


def _remove_all(context: EventContext, request: dict[str, Any]) -> bool:
    """Remove every endpoint, configuration and model of the deployer; False when a busy one has to be waited for."""
    _retire(context, retired=True)
    busy = []
    for name in context.hosting.owned_endpoints():
        if name != context.settings.endpoint_name:
            candidate.stop(context, name, "the stack is being deleted")
        if not context.hosting.delete_endpoint(name):
            busy.append(name)
    if busy:
        sentence = f"{', '.join(busy)}: SageMaker is busy with it and cannot delete it now"
        context.log.tell(sentence)
        if context.ask_again({"request": request}):
            return False
        raise ConflictError(f"{sentence}; delete the stack again in some minutes")
    for name in sorted(context.hosting.owned_names()):
        context.hosting.remove(name)
    context.log.tell("endpoints, configurations and models are removed")
    if str(request.get("ResourceProperties", {}).get("DeleteVersions", "false")).lower() == "true":
        count = registry.delete_all(context.clients.sagemaker, context.settings.model_package_group)
        context.log.tell(f"{count} versions are deleted from the registry")
    return True


def _retire(context: EventContext, *, retired: bool) -> None:
    """Say in the records whether anything may still be deployed: events go on arriving while a stack goes."""
    for _ in range(5):
        read = context.records.production(context.settings.endpoint_name)
        if read.retired == retired:
            return
        read.retired = retired
        if retired:
            read.champion = read.attempt = read.attempt_hosting = None
        try:
            context.records.save_endpoint(context.settings.endpoint_name, read)
        except ConflictError:
            continue
        return
    raise ConflictError("the deployment records keep changing")


def _respond(context: EventContext, request: dict[str, Any], reason: str) -> None:
    body = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason[:_REASON_CHARACTERS] or "done",
        "PhysicalResourceId": request.get("PhysicalResourceId") or f"{context.settings.prefix}-deliveries",
        "StackId": request["StackId"],
        "RequestId": request["RequestId"],
        "LogicalResourceId": request["LogicalResourceId"],
    }
    answer = urllib.request.Request(
        request["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(answer, timeout=30):
        context.log.tell(f"CloudFormation was answered {body['Status']}")
