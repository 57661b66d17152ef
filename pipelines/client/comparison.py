# SPDX-License-Identifier: Apache-2.0
"""Two versions beside each other: metrics, classes, data, settings and code, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.client.evaluations import Estimate
from pipelines.client.registry import Version

Part = str
PARTS: tuple[Part, ...] = ("data", "settings", "code", "policy")


@dataclass(frozen=True)
class Numbers:
    """A figure of both.

    Attributes:
        change: The second minus the first on the same images, resample by resample; None where nobody measured that.
    """

    name: str
    first: Estimate
    second: Estimate
    change: Estimate | None = None

    def as_json(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return {
            "first": self.first.as_json(),
            "second": self.second.as_json(),
            "change": self.change.as_json() if self.change else None,
        }


@dataclass(frozen=True)
class Fact:
    """Something of which the two were made."""

    part: Part
    name: str
    first: str
    second: str

    @property
    def differs(self) -> bool:
        """Whether they were made otherwise."""
        return self.first != self.second


@dataclass(frozen=True)
class Comparison:
    """Two versions beside each other.

    Attributes:
        notes: Why their numbers may say less than they seem to.
    """

    first: Version
    second: Version
    metrics: list[Numbers]
    classes: list[Numbers]
    facts: list[Fact]
    notes: list[str] = field(default_factory=list)

    @property
    def differences(self) -> list[Fact]:
        """What was made otherwise."""
        return [fact for fact in self.facts if fact.differs]

    def as_json(self) -> dict[str, Any]:
        """The comparison as plain JSON values."""
        return {
            "first": self.first.number,
            "second": self.second.number,
            "metrics": {one.name: one.as_json() for one in self.metrics},
            "per_class": {one.name: one.as_json() for one in self.classes},
            **{
                part: {
                    fact.name.replace(" ", "_"): {"first": fact.first, "second": fact.second, "differs": fact.differs}
                    for fact in self.facts
                    if fact.part == part
                }
                for part in PARTS
            },
            "notes": self.notes,
        }


def compare(first: Version, one: Mapping[str, Any], second: Version, other: Mapping[str, Any]) -> Comparison:
    """Put two versions beside each other.

    Args:
        first: A version.
        one: Its evaluation.json.
        second: Another.
        other: Its evaluation.json.
    """
    paired = _paired(first, other)
    return Comparison(
        first,
        second,
        metrics=[
            Numbers(
                name,
                Estimate.read(one["metrics"].get(name)),
                Estimate.read(other["metrics"].get(name)),
                _change(paired.get("change"), name),
            )
            for name in dict.fromkeys([*one["metrics"], *other["metrics"]])
        ],
        classes=[
            Numbers(name, _ap(one, name), _ap(other, name), _change(paired.get("per_class_change"), name))
            for name in dict.fromkeys([*one["per_class"], *other["per_class"]])
        ],
        facts=list(_facts(_made(first, one), _made(second, other))),
        notes=list(_notes(first, one, second, other, is_paired=bool(paired))),
    )


def _paired(first: Version, other: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the second's evaluation says of the first, measured on the same images."""
    for key in ("champion", "best"):
        compared = other.get(key) or {}
        if compared.get("arn") == first.arn:
            return dict(compared)
    return {}


def _change(changes: Mapping[str, Any] | None, name: str) -> Estimate | None:
    return Estimate.read(changes[name]) if changes and name in changes else None


def _ap(evaluation: Mapping[str, Any], name: str) -> Estimate:
    one = evaluation["per_class"].get(name)
    return Estimate.read(one.get("AP")) if one else Estimate(None, reason="it has no such class")


def _made(version: Version, evaluation: Mapping[str, Any]) -> dict[tuple[Part, str], object]:
    """What a version was made of, by part and name; from its evaluation, its registry entry and its model card."""
    scored, model, serving = evaluation["dataset"], evaluation["model"], evaluation["serving"]
    job = version.card.get("training_details", {}).get("training_job_details", {})
    policy = evaluation.get("policy") or {}
    return {
        ("data", "data set"): scored["sha256"],
        ("data", "trained on"): model.get("trained_on"),
        ("data", "test images"): scored.get("images"),
        ("data", "test boxes"): scored.get("boxes"),
        ("data", "test set"): scored.get("test_set"),
        ("data", "test set chosen by"): scored.get("chosen_by"),
        ("settings", "architecture"): model.get("architecture"),
        **{("settings", name): model.get(name) for name in ("steps", "best_step", "seed")},
        **{("settings", one["name"]): one["value"] for one in job.get("hyper_parameters", [])},
        ("code", "training image"): ", ".join(job.get("training_environment", {}).get("container_image", [])) or None,
        ("code", "inference image"): version.image or None,
        ("code", "runtime"): f"{serving['runtime']} ({serving['precision']})",
        ("policy", "environment"): (policy.get("floor") or {}).get("sha256"),
        ("policy", "execution"): (policy.get("run") or {}).get("sha256"),
    }


def _facts(one: Mapping[tuple[Part, str], object], other: Mapping[tuple[Part, str], object]) -> Iterator[Fact]:
    names = dict.fromkeys([*one, *other])
    for part, name in sorted(names, key=lambda key: PARTS.index(key[0])):
        first, second = one.get((part, name)), other.get((part, name))
        if first is not None or second is not None:
            yield Fact(part, name, _told(first), _told(second))


def _told(value: object) -> str:
    return "not known" if value is None else str(value)


def _notes(
    first: Version, one: Mapping[str, Any], second: Version, other: Mapping[str, Any], *, is_paired: bool
) -> Iterator[str]:
    if is_paired:
        yield f"The change was measured on the same images when version {second.number} was evaluated."
    elif one["dataset"].get("test_set") != other["dataset"].get("test_set"):
        yield "They were tested on different images: their numbers do not show which of them is better."
    else:
        yield (
            "They were tested on the same images, but not against each other: intervals that overlap do not show that "
            "they are alike."
        )
    for version, evaluation in ((first, one), (second, other)):
        if not evaluation.get("policy"):
            yield f"Version {version.number} was evaluated by an earlier release, which knew no intervals."
