# SPDX-License-Identifier: Apache-2.0
"""A version's chain of evidence as people read it: each link, its digest, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.client.links import Link
from pipelines.client.provenance import Chain

_NAMES = {
    "dataset": "Data set",
    "provenance": "Execution, image and model",
    "verdict": "Verdict",
    "approval": "Approval",
    "deployment": "Deployment",
}


def told(chain: Chain) -> Iterator[tuple[str, dict[str, object]]]:
    """Heading and facts of each link."""
    for link in chain.links:
        facts: dict[str, object] = {**_facts(link), "statement": link.uri, "sha256": link.digest or None}
        facts["follows"] = link.previous
        facts["signature"] = "holds" if link.signed else "DOES NOT HOLD"
        facts["link"] = "holds" if link.linked else "DOES NOT HOLD"
        for number, fault in enumerate(link.faults, 1):
            facts["fault" if number == 1 else f"fault {number}"] = fault
        for number, sentence in enumerate(link.unchecked, 1):
            facts["not checked" if number == 1 else f"not checked {number}"] = sentence
        yield f"{_NAMES[link.kind]}{'' if link.holds else ' (broken)'}", facts


def _facts(link: Link) -> dict[str, object]:
    """What a statement says, in a few lines."""
    predicate: Mapping[str, Any] = link.statement.get("predicate") or {}
    subject = link.subject
    artifact = {"model": subject.get("uri"), "model's sha256": subject.get("sha256")} if subject else {}
    if not link.statement:
        return {}
    if link.kind == "dataset":
        return {"document": subject.get("uri"), "content": predicate.get("contentSha256")}
    if link.kind == "provenance":
        run = predicate.get("runDetails") or {}
        image = ((predicate.get("buildDefinition") or {}).get("resolvedDependencies") or [{}])[-1]
        return {
            "execution": (run.get("metadata") or {}).get("invocationId"),
            "started by": predicate.get("mapgate_startedBy"),
            "started": (run.get("metadata") or {}).get("startedOn"),
            "for": predicate.get("mapgate_description") or None,
            "only ran": ", ".join(predicate.get("mapgate_selectedSteps") or ()) or None,
            "all else of": predicate.get("mapgate_sourceExecution"),
            **_resource("image", image),
            **artifact,
        }
    if link.kind == "verdict":
        return {
            "result": predicate.get("verificationResult"),
            "gate": predicate.get("mapgate_sentence"),
            "at": predicate.get("timeVerified"),
            **artifact,
            **_resource("evaluation", predicate.get("mapgate_evaluation")),
            **_resource("policy", predicate.get("policy")),
            **_resource("served by", predicate.get("mapgate_image")),
            "compared with": predicate.get("mapgate_champion"),
            "and with the best": predicate.get("mapgate_best"),
            "waiver": predicate.get("mapgate_waiver") or None,
        }
    if link.kind == "approval":
        override = "yes" if predicate.get("override") else None
        return {
            "status": predicate.get("status"),
            "by": predicate.get("approvedBy"),
            "at": predicate.get("approvedAt"),
            "reason": predicate.get("reason") or None,
            "override": override,
        }
    return {
        "endpoint": predicate.get("endpoint"),
        "at": predicate.get("deployedAt"),
        **artifact,
        **_resource("image", predicate.get("image")),
        "runtime": f"{predicate.get('runtime')} ({predicate.get('precision')})",
    }


def _resource(name: str, descriptor: Mapping[str, Any] | None) -> dict[str, object]:
    if not descriptor:
        return {}
    return {name: descriptor.get("uri"), f"{name}'s sha256": (descriptor.get("digest") or {}).get("sha256")}
