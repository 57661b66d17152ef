# SPDX-License-Identifier: Apache-2.0
"""The entries of metadata that show a verdict where people look at versions; nothing is decided by them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from .chain import Kept
from .errors import DossierError
from .judged import Found, Verdict
from .settings import Inputs

VALUE_CHARACTERS = 256
PROPERTIES = 50
_PUNCTUATION = "_.:/=+-@"
_SPOKEN = {">=": " at least ", "≥": " at least ", "<=": " at most ", "≤": " at most ", ">": " above ", "<": " below "}
_SPOKEN |= {"%": " percent", "\u2013": "-", "\u2014": "-", "(": "- ", ")": " ", ";": ".", ",": " -", "|": "/"}


def properties(
    inputs: Inputs, found: Found, verdict: Verdict, kept: Kept, report: str, before: Mapping[str, str]
) -> dict[str, str]:
    """Return the version's entries, those that it has already among them.

    They are sent whole: what a version has is kept, whether a service merges the entries or replaces them.

    Args:
        inputs: The step's.
        found: What was read.
        verdict: What was demanded of it.
        kept: The signed verdict.
        report: Its address.
        before: The entries that the version has.

    Raises:
        DossierError: An address is no metadata value, or there would be too many entries.
    """
    evaluation = found.evaluation.content
    metrics, scored = evaluation["metrics"], evaluation["dataset"]
    entries = {
        "mAP": _number(metrics.get("mAP")),
        "mAP_50": _number(metrics.get("mAP_50")),
        "gate": readable(f"passed: {verdict.sentence}"),
        "runtime": readable(verdict.runtime),
        "precision": readable(verdict.precision),
        "report_uri": address("report_uri", report),
        "evaluation_uri": address("evaluation_uri", inputs.evaluation),
        "evaluation_sha256": found.evaluation.resource.sha256,
        "execution_arn": address("execution_arn", inputs.execution_arn),
        "dataset_sha256": readable(verdict.dataset_sha256),
        "test_set": readable(verdict.test_set),
        "test_set_chosen_by": readable(str(scored.get("chosen_by"))),
        "test_images": readable(str(scored.get("images"))),
        "model_sha256": found.model.sha256,
        "image_digest": readable(found.inference_image.sha256),
        "floor_policy_sha256": found.floor_policy.sha256,
        "champion": address("champion", verdict.champion_arn),
        "verdict_uri": address("verdict_uri", kept.uri),
        "verdict_sha256": kept.sha256,
        **({"gate_policy_sha256": readable(verdict.gate_policy.sha256)} if verdict.gate_policy else {}),
        **({"champion_waiver": readable(verdict.waiver)} if verdict.waiver else {}),
    }
    every = {**before, **entries}
    if len(every) > PROPERTIES:
        raise DossierError(
            f"{inputs.model_package_arn} would have {len(every)} metadata entries, {PROPERTIES} are allowed; remove "
            "some of its own"
        )
    return every


def readable(text: str) -> str:
    """Return a text within the characters that metadata values may have, at most 256 of them.

    Letters, numbers, separators and `_ . : / = + - @` are allowed; what can be said in words is.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html
    """
    for sign, words in _SPOKEN.items():
        text = text.replace(sign, words)
    kept = "".join(character if _is_allowed(character) else " " for character in text)
    return " ".join(kept.split())[:VALUE_CHARACTERS].rstrip() or "-"


def address(name: str, value: str) -> str:
    """Return an address, which is never cut or reworded.

    Raises:
        DossierError: It is no metadata value.
    """
    if readable(value) != value:
        raise DossierError(
            f"{name} {value!r} is no metadata value: at most {VALUE_CHARACTERS} letters, digits and {_PUNCTUATION}"
        )
    return value


def _is_allowed(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character)[0] in "LNZ"


def _number(estimate: Any) -> str:
    value = estimate.get("value") if isinstance(estimate, Mapping) else estimate
    return f"{value:.4f}" if isinstance(value, int | float) else "unknown"
