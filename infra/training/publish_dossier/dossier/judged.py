# SPDX-License-Identifier: Apache-2.0
"""What is demanded of an evaluation before its verdict is recorded: that it is of exactly what this function read.

Pure: the evaluation and what was read go in, the verdict or every reason against it comes out. What is absent or odd is
a reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from containers.evidence.statements import Resource

from .errors import DossierError
from .jobs import Ran, job_faults
from .objects import Document
from .settings import Inputs, Settings

SCHEMA_VERSION = 2
NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What this function read by itself.

    Attributes:
        evaluation: `evaluation.json`.
        dataset: `dataset.json`.
        model: The artifact.
        floor_policy: The environment's policy.
        inference_image: The image that measures and serves, by its digest now.
        training_image: The image that trains and evaluates, by its digest now.
        containers: Of the registered version, as `Image` and `ModelDataUrl`.
        report: The evaluation's report, as it lies beside it.
        jobs: That prepared, measured and evaluated.
    """

    evaluation: Document
    dataset: Document
    model: Resource
    floor_policy: Resource
    inference_image: Resource
    training_image: Resource
    containers: tuple[Mapping[str, Any], ...]
    report: bytes
    jobs: tuple[Ran, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What may be recorded.

    Attributes:
        gate_policy: The execution's own policy as the evaluation names it; None where it brought none.
        waiver: Empty where nobody waived the comparison with the champion.
    """

    mean_ap: float
    sentence: str
    runtime: str
    precision: str
    test_set: str
    dataset_sha256: str
    champion_arn: str
    best_arn: str
    waiver: str
    gate_policy: Resource | None


def judge(found: Found, inputs: Inputs, settings: Settings) -> Verdict:
    """Return the verdict.

    Raises:
        DossierError: With every reason why it must not be recorded.
    """
    evaluation = found.evaluation.content
    if evaluation.get("schema_version") != SCHEMA_VERSION:
        raise DossierError(
            f"{inputs.evaluation} has schema_version {evaluation.get('schema_version')}, and {SCHEMA_VERSION} is read: "
            "deploy the stacks again, push the images, and start a new execution"
        )
    reasons = [
        *_gate(evaluation, inputs),
        *_artifact(evaluation, found, inputs),
        *_images(found, inputs, settings),
        *_policy(evaluation, found, settings),
        *_data(evaluation, found, settings),
        *_compared(evaluation, inputs),
        *(fault for ran in found.jobs for fault in job_faults(ran, settings)),
    ]
    if reasons:
        raise DossierError(f"v{inputs.version} gets no verdict. {' '.join(reasons)}")
    run = _at(evaluation, "policy", "run")
    return Verdict(
        mean_ap=float(_at(evaluation, "gate", "mAP")),
        sentence=str(_at(evaluation, "gate", "sentence")),
        runtime=str(_at(evaluation, "serving", "runtime")),
        precision=str(_at(evaluation, "serving", "precision")),
        test_set=str(_at(evaluation, "dataset", "test_set")),
        dataset_sha256=str(found.dataset.content["sha256"]),
        champion_arn=inputs.champion_arn,
        best_arn=inputs.best_arn,
        waiver=str(_at(evaluation, "champion", "waiver") or ""),
        gate_policy=Resource(uri=str(run.get("uri") or ""), sha256=str(run["sha256"])) if run else None,
    )


def _gate(evaluation: Mapping[str, Any], inputs: Inputs) -> Iterator[str]:
    gate = _at(evaluation, "gate")
    if _at(gate, "passed") is not True:
        yield f"The gate did not pass: {_at(gate, 'sentence') or 'it gave no sentence'}"
    rules = _at(gate, "rules")
    failed = [str(_at(rule, "rule")) for rule in rules or () if _at(rule, "passed") is not True]
    if _at(gate, "passed") is True and (failed or not rules):
        named = ", ".join(failed) or "it has none"
        yield f"{inputs.evaluation} says that the gate passed, but not its rules ({named}): somebody edited it."
    measured = _at(gate, "mAP")
    if isinstance(measured, bool) or not isinstance(measured, int | float) or not 0 <= measured <= 1:
        yield f"{inputs.evaluation} has no measured mAP in its gate."
    for name in ("runtime", "precision"):
        if not _at(evaluation, "serving", name):
            yield f"{inputs.evaluation} does not say by which {name} it was judged."
    runtime, precision = (_at(evaluation, "serving", name) for name in ("runtime", "precision"))
    judged = _at(evaluation, "serving", "runtimes", str(runtime))
    if runtime and precision and (_at(judged, "precision") != precision or not _is_same(_at(judged, "mAP"), measured)):
        yield (
            f"{inputs.evaluation} says that {runtime} in {precision} serves, and its mAP of {measured} is not that "
            "runtime's: somebody edited it."
        )


def _is_same(one: Any, other: Any) -> bool:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return numbers and math.isclose(one, other, abs_tol=1e-9)


def _artifact(evaluation: Mapping[str, Any], found: Found, inputs: Inputs) -> Iterator[str]:
    judged = str(_at(evaluation, "model", "sha256"))
    if judged != found.model.sha256:
        yield (
            f"{inputs.model_uri} is not the artifact that was evaluated (its sha256 begins with "
            f"{found.model.sha256[:12]}, the evaluated one's with {judged[:12]}): somebody replaced one of the two; "
            "start a new execution."
        )
    registered = [container.get("ModelDataUrl") for container in found.containers]
    if registered != [inputs.model_uri]:
        yield f"The version was registered with {registered}, not with {inputs.model_uri} alone."


def _images(found: Found, inputs: Inputs, settings: Settings) -> Iterator[str]:
    for what, image, before in (
        ("measures and serves", found.inference_image, inputs.inference_image_digest),
        ("trains and evaluates", found.training_image, inputs.training_image_digest),
    ):
        if image.sha256 != before:
            yield (
                f"The image that {what}, {image.uri}, is another one than before (its digest is {image.sha256[:19]}, "
                f"it was {before[:19]}): somebody replaced it; push the images, and start a new execution."
            )
    registered = [container.get("Image") for container in found.containers]
    if registered != [settings.inference_image]:
        yield f"The version was registered with the images {registered}, not with {settings.inference_image} alone."


def _policy(evaluation: Mapping[str, Any], found: Found, settings: Settings) -> Iterator[str]:
    deployed, judged = settings.floor_policy_sha256, str(_at(evaluation, "policy", "floor", "sha256"))
    if found.floor_policy.sha256 != deployed:
        yield (
            f"{found.floor_policy.uri} is not the gate policy that was deployed (its sha256 begins with "
            f"{found.floor_policy.sha256[:12]}, the deployed one's with {deployed[:12]}): deploy the stacks again."
        )
    if judged != deployed:
        yield (
            f"It was judged by another gate policy than the environment's (sha256 {judged[:12]} instead of "
            f"{deployed[:12]}): start a new execution."
        )
    run = _at(evaluation, "policy", "run")
    if run is not None and not _at(run, "sha256"):
        yield "The evaluation does not say which policy of its own the execution brought."


def _data(evaluation: Mapping[str, Any], found: Found, settings: Settings) -> Iterator[str]:
    scored, wanted = _at(evaluation, "dataset"), settings.floor_test_set
    chosen, test_set = _at(scored, "chosen_by"), _at(scored, "test_set")
    if wanted and (test_set != wanted or chosen != "environment"):
        yield (
            f"It was judged on another test set than the environment's policy names (digest {str(test_set)[:12]} "
            f"instead of {wanted[:12]}): start a new execution."
        )
    if not wanted and chosen != "execution":
        yield f"The evaluation's test set was chosen by {chosen}, and the environment's policy names none."
    if not test_set:
        yield "The evaluation does not say on which test set it was made."
    prepared, trained = found.dataset.content.get("sha256"), _at(evaluation, "model", "trained_on")
    if not prepared or trained != prepared:
        yield (
            f"The model was trained on {str(trained)[:12]}, and {found.dataset.resource.uri} is of "
            f"{str(prepared)[:12]}: start a new execution."
        )
    if chosen == "execution" and _at(scored, "sha256") != prepared:
        yield (
            f"It was judged on the data set {str(_at(scored, 'sha256'))[:12]}, and {found.dataset.resource.uri} is of "
            f"{str(prepared)[:12]}: start a new execution."
        )


def _compared(evaluation: Mapping[str, Any], inputs: Inputs) -> Iterator[str]:
    for name, role, found in (
        ("champion", "", inputs.champion_arn),
        ("best", " as the best version that ever served", inputs.best_arn),
    ):
        other = evaluation.get(name)
        compared = NONE if other is None else str(_at(other, "arn"))
        if compared != found:
            yield f"It was compared with {compared}{role}, and FindChampion found {found}: start a new execution."


def _at(content: Any, *path: str) -> Any:
    """What stands at a path; None where nothing does."""
    for name in path:
        content = content.get(name) if isinstance(content, Mapping) else None
    return content
