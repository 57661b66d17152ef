# SPDX-License-Identifier: Apache-2.0
"""A version as an approver reads it: what it is, how good and how sure, what it is worse at, and who decided on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.table import Table

from pipelines.client import decisions
from pipelines.client.deployments import Records
from pipelines.client.evaluations import Estimate
from pipelines.client.registry import Version

COCO_NAMES = ("mAP", "mAP_50", "mAP_75", "mAP_small", "mAP_medium", "mAP_large")
_CLASSES = 30


@dataclass(frozen=True)
class Section:
    """Something that is told of a version.

    Attributes:
        facts: What is known, by its name.
        sentences: One a line.
        table: Of classes or slices.
    """

    heading: str
    facts: Mapping[str, object] = field(default_factory=dict)
    sentences: Sequence[str] = ()
    table: Table | None = None


def sections(version: Version, evaluation: Mapping[str, Any] | None, records: Records) -> Iterator[Section]:
    """All that is told of a version.

    Args:
        version: As the registry has it.
        evaluation: The parsed evaluation.json; None where it cannot be read.
        records: The deployer's.
    """
    yield Section("What it is", _identity(version, evaluation))
    if evaluation is None:
        yield from _of_card(version.card)
        yield Section("What its metadata says", dict(sorted(version.dossier.items())))
        yield Section("Approval", approval_facts(version, records))
        return
    yield Section("What it learned from, and was tested on", _data(version, evaluation))
    yield from judged(version, evaluation, records)
    yield Section("How good it is, and how sure that is", _metrics(evaluation), table=_classes(evaluation))
    if evaluation.get("slices"):
        yield Section("Slices of the test set", table=_slices(evaluation["slices"]))
    for name, key in (("What served when it was judged", "champion"), ("The best version that ever served", "best")):
        if evaluation.get(key):
            yield Section(f"Against {_named(evaluation[key])}: {name.lower()}", **_compared(evaluation[key]))
    if changes := evaluation["model"].get("changes"):
        yield Section("What changed", sentences=[_change(one) for one in changes])
    yield Section("Serving", _serving(evaluation))
    yield Section("Approval", approval_facts(version, records))


def judged(version: Version, evaluation: Mapping[str, Any], records: Records) -> Iterator[Section]:
    """The verdict: what an approver has to know before they decide."""
    gate, policy = evaluation["gate"], evaluation.get("policy") or {}
    verdict = records.verdicts.get(version.number)
    facts = {
        "gate": f"{'passed' if gate['passed'] is True else 'FAILED'}: {gate['sentence']}",
        "test set": test_set(evaluation["dataset"]),
        "compared with": _comparison(evaluation, records, verdict.champion if verdict else None),
        **_file("environment's policy", policy.get("floor")),
        **_file("execution's policy", policy.get("run")),
        "signed verdict": verdict.statement_uri if verdict else _unsigned(records),
    }
    yield Section("Verdict", facts, list(_warnings(evaluation)))


def approval_facts(version: Version, records: Records) -> dict[str, object]:
    """Who decided on it, when and why, and what came of it."""
    known = records.approvals.get(version.number)
    serves = records.champion is not None and records.champion.version == version.number
    decided = version.is_decided
    # Whoever edits a version's metadata is its last modifier, too: the deployer's record of this very approval counts.
    of_record = known is not None and version.approval == "Approved" and known.reason == version.reason
    by, at = (known.approved_by, known.approved_at) if known and of_record else ("", None)
    by, at = by or version.decided_by, at or version.modified
    return {
        "status": version.approval,
        "decided by": (by or "the registry does not say") if decided else None,
        "at": told_time(at) if decided and at else None,
        "reason": (version.reason or "none was given") if decided else None,
        "override": "what it was compared with no longer served" if known and of_record and known.override else None,
        "production": "it serves" if serves else _fate(known),
        "since": told_time(since) if serves and (since := records.serves_since()) else None,
        "records": records.unreadable,
    }


def test_set(scored: Mapping[str, Any]) -> str:
    """Which images were asked, and who chose them."""
    chosen = {"environment": "the environment's policy", "execution": "the execution itself"}.get(
        str(scored.get("chosen_by")), "whom it does not say"
    )
    told = f"{scored.get('images')} images with {scored.get('boxes')} boxes, chosen by {chosen}"
    if overlap := scored.get("overlap_with_champion"):
        told += f"; {overlap['images']} of them were in the champion's test, too"
    if left_out := (scored.get("left_out") or {}).get("images"):
        told += f"; {left_out} left out, since a model had learned from them"
    return told


def told_time(moment: datetime) -> str:
    """A time as people read it, with its zone."""
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".rstrip()


def _of_card(card: Mapping[str, Any]) -> Iterator[Section]:
    """What a model card tells, for whoever may read the registry alone."""
    uses, training = card.get("intended_uses") or {}, card.get("training_details") or {}
    job = training.get("training_job_details") or {}
    facts = {
        "data set": ", ".join(job.get("training_datasets") or []) or None,
        "training": training.get("training_observations"),
        "meant for": uses.get("intended_uses"),
        "weak at": uses.get("factors_affecting_model_efficiency"),
        "caveats": (card.get("additional_information") or {}).get("caveats_and_recommendations"),
    }
    if any(facts.values()):
        yield Section("What its model card says", facts)
    for detail in card.get("evaluation_details") or []:
        told = detail.get("evaluation_observation")
        yield Section(str(detail.get("name")), sentences=[told] if told else [])


def _identity(version: Version, evaluation: Mapping[str, Any] | None) -> dict[str, object]:
    overview, uses = version.card.get("model_overview", {}), version.card.get("intended_uses", {})
    return {
        "version": version.number,
        "arn": version.arn,
        "registered": told_time(version.created),
        "by": overview.get("model_creator"),
        "execution": version.dossier.get("execution_arn"),
        "for": uses.get("purpose_of_model") or version.description or None,
        "risk": uses.get("risk_rating"),
        "architecture": evaluation["model"].get("architecture") if evaluation else None,
        "classes": ", ".join(evaluation.get("per_class", {})) if evaluation else None,
        "model": version.model_uri or None,
        "image": version.image or None,
        "report": version.dossier.get("report_uri"),
    }


def _data(version: Version, evaluation: Mapping[str, Any]) -> dict[str, object]:
    details = version.card.get("training_details", {})
    model, scored = evaluation["model"], evaluation["dataset"]
    steps = model.get("steps")
    best = f", the best at step {model['best_step']}" if model.get("best_step") is not None else ""
    trained_on, tested_on = model.get("trained_on"), scored["sha256"]
    return {
        "data set": ", ".join(details.get("training_job_details", {}).get("training_datasets", [])) or None,
        "its sha256": trained_on or "the model does not say what it was trained on",
        "training": details.get("training_observations") or (f"{steps} steps{best}" if steps is not None else None),
        "tested on": test_set(scored),
        "of the data set": f"of sha256 {tested_on}" if tested_on != trained_on else None,
        "unknown ancestors": ", ".join(scored.get("unknown_ancestors") or []) or None,
    }


def _metrics(evaluation: Mapping[str, Any]) -> dict[str, object]:
    metrics = evaluation["metrics"]
    told: dict[str, object] = {name: str(Estimate.read(metrics[name])) for name in COCO_NAMES if name in metrics}
    resolution = evaluation.get("resolution") or {}
    if (smallest := (resolution.get("smallest_difference") or {}).get("mAP")) is not None:
        needed = (resolution.get("images_needed") or {}).get("mAP")
        enough = f"; about {needed} images show what the policy lets it fall" if needed is not None else ""
        told["can show"] = f"a difference of mAP of {smallest:.3f} or more{enough}"
    return told


def _classes(evaluation: Mapping[str, Any]) -> Table:
    """The classes, the weakest first; with very many only these."""
    per_class = evaluation.get("per_class", {})

    def rank(name: str) -> tuple[bool, float]:
        value = Estimate.read(per_class[name].get("AP")).value
        return (value is None, value or 0.0)

    names = sorted(per_class, key=rank)
    further = len(names) - _CLASSES
    caption = f"{further} more in the report" if further > 0 else None
    table = Table("class", "boxes", "AP", "missed", caption=caption, caption_justify="left")
    for name in names[:_CLASSES]:
        one = per_class[name]
        missed = one.get("missed")
        share = f"{missed['count']} ({missed['share']:.0%})" if isinstance(missed, Mapping) else ""
        table.add_row(name, str(one.get("support", "")), str(Estimate.read(one.get("AP"))), share)
    return table


def _slices(slices: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("slice", "images", "boxes", "mAP")
    for name, one in slices.items():
        told = Estimate.read(one.get("metrics", {}).get("mAP"))
        table.add_row(name, str(one.get("images", "")), str(one.get("boxes", "")), str(told))
    return table


def _compared(other: Mapping[str, Any]) -> dict[str, Any]:
    changes = {name: signed(Estimate.read(one)) for name, one in (other.get("change") or {}).items()}
    facts = {"not measured": other.get("reason"), "waiver": other.get("waiver"), **changes}
    classes = other.get("classes") or {}
    for kind in ("new", "missing"):
        facts[f"{kind} classes"] = ", ".join(classes.get(kind) or []) or None
    facts["renamed"] = ", ".join(f"{theirs} to {ours}" for theirs, ours in classes.get("renamed") or []) or None
    fallen = worse(other)
    told = fallen or (["Worse at no class."] if other.get("per_class_change") else [])
    return {"facts": facts, "sentences": told}


def worse(other: Mapping[str, Any]) -> list[str]:
    """A sentence for each class whose AP fell, the greatest fall first."""
    fallen = {name: Estimate.read(one) for name, one in (other.get("per_class_change") or {}).items()}
    named = [(one.value, name, one) for name, one in fallen.items() if one.value is not None and one.value < 0]
    return [
        f"Worse at {name}: AP {signed(one)}" + (", surely" if one.upper is not None and one.upper < 0 else "")
        for _, name, one in sorted(named, key=lambda each: (each[0], each[1]))
    ]


def signed(change: Estimate) -> str:
    """A difference: `+0.0120 (90 %: -0.0100 to +0.0300)`."""
    if change.value is None:
        return str(change)
    if change.lower is None or change.upper is None:
        return f"{change.value:+.4f}"
    return f"{change.value:+.4f} (90 %: {change.lower:+.4f} to {change.upper:+.4f})"


def _warnings(evaluation: Mapping[str, Any]) -> Iterator[str]:
    for rule in evaluation["gate"].get("rules", []):
        if rule["passed"] is not True:
            yield f"Failed: {rule['sentence']}"
    if waiver := (evaluation.get("champion") or {}).get("waiver"):
        yield f"Waived: {waiver}"
    policy = evaluation.get("policy") or {}
    yield from (f"Overruled: {sentence}" for sentence in policy.get("overruled") or [])
    yield from (f"Not asked: {sentence}" for sentence in policy.get("left_out") or [])
    if unknown := evaluation["dataset"].get("unknown_ancestors"):
        yield f"Unknown what these ancestors learned from: {', '.join(unknown)}"


def _comparison(evaluation: Mapping[str, Any], records: Records, recorded: int | None) -> str:
    champion = evaluation.get("champion")
    if champion is None:
        now = records.champion
        return "nothing, as nothing served" + (f"; version {now.version} serves now" if now else "")
    arn = str(champion.get("arn") or "")
    compared = recorded or (int(arn.rsplit("/", 1)[-1]) if arn else None)
    if compared is None:
        return "what served then"
    if records.unreadable:
        return f"version {compared}"
    serves = records.champion.version if records.champion else None
    if serves == compared:
        return f"version {compared}, which still serves"
    return f"version {compared}, which no longer serves: " + (f"version {serves} does" if serves else "nothing does")


def _serving(evaluation: Mapping[str, Any]) -> dict[str, object]:
    serving, resources = evaluation["serving"], evaluation.get("resources") or {}
    chosen = (serving.get("runtimes") or {}).get(serving["runtime"]) or {}
    latency = resources.get("latency_milliseconds") or chosen.get("latency_milliseconds") or {}
    speed = chosen.get("images_per_second")
    told = ", ".join(f"{name} {value:.1f} ms" for name, value in latency.items() if isinstance(value, int | float))
    return {
        "runtime": f"{serving['runtime']} ({serving['precision']})",
        "speed": f"{speed:.1f} images a second" if speed else chosen.get("untimed"),
        "latency": told or None,
        "memory": _megabytes(resources.get("resident_megabytes")),
        "artifact": _megabytes(resources.get("artifact_megabytes")),
    }


def _megabytes(value: object) -> str | None:
    return f"{value:.0f} MiB" if isinstance(value, int | float) else None


def _fate(known: Any) -> str | None:
    if known is None:
        return None
    if known.outcome:
        return f"{known.outcome}: {known.sentence}"
    return f"served last from {told_time(known.served_at)}" if known.served_at else None


def _unsigned(records: Records) -> str | None:
    return None if records.unreadable else f"none: {decisions.UNSIGNED}"


def _named(other: Mapping[str, Any]) -> str:
    arn = str(other.get("arn") or "")
    return f"version {arn.rsplit('/', 1)[-1]}" if arn else "the champion"


def _change(one: Mapping[str, Any]) -> str:
    return f"{one['what']}: {one['name']} was {one.get('champion')}, is {one.get('challenger')}"


def _file(name: str, policy: Mapping[str, Any] | None) -> dict[str, object]:
    return {name: policy.get("uri") or "of unknown place", f"{name}, sha256": policy["sha256"]} if policy else {}
