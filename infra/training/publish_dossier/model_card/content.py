# SPDX-License-Identifier: Apache-2.0
"""The content of a version's model card: what it is, what it learned from, how good it is and what it is worse at.

A pure function of evaluation.json, dataset.json and what is known of the version, in the form that AWS documents as
"Model package model card schema":
https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html#model-card-schema
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import wording
from .limits import ARN, CARD, DATASETS, LABEL, NAME, NOTE, OBSERVATION, TEXT, sentences, within
from .metric_groups import comparison_groups, is_number, metric_groups

_HYPERPARAMETERS = 100
_CLASSES_TOLD = (1000, 300, 100, 50, 20, 10, 0)


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """What is known of a version beside its evaluation; what nobody knows is empty.

    Attributes:
        arn: Of the model package.
        model_uri: S3 URI of its model.tar.gz.
        execution_arn: Of the pipeline execution that made it.
        report_uri: S3 URI of the evaluation's report.
        dataset_uri: S3 URI of the prepared data set.
        author: Who started the execution.
        purpose: What the model is for, in its author's words.
        champion_arn: Of the version that served when this one was evaluated.
        hyperparameters: Of the training job, by name.
    """

    arn: str
    model_uri: str
    execution_arn: str
    report_uri: str
    dataset_uri: str = ""
    training_job_arn: str = ""
    training_image: str = ""
    inference_image: str = ""
    author: str = ""
    purpose: str = ""
    champion_arn: str = ""
    hyperparameters: Mapping[str, str] = field(default_factory=dict)


def model_card_content(evaluation: Mapping[str, Any], dataset: Mapping[str, Any], version: RegisteredVersion) -> str:
    """Return `ModelCardContent`: JSON of at most 100,000 characters.

    With very many classes only the weakest are told one by one; the card says how many were left out.

    Args:
        evaluation: evaluation.json.
        dataset: dataset.json.
        version: What else is known.
    """
    content = ""
    for most in _CLASSES_TOLD:
        content = json.dumps(model_card(evaluation, dataset, version, most=most), ensure_ascii=False, allow_nan=False)
        if len(content) <= CARD:
            break
    return content


def model_card(
    evaluation: Mapping[str, Any], dataset: Mapping[str, Any], version: RegisteredVersion, *, most: int = 100
) -> dict[str, Any]:
    """Return the card as a value.

    Args:
        evaluation: evaluation.json.
        dataset: dataset.json.
        version: What else is known.
        most: So many classes and slices are told one by one, the weakest first.
    """
    return {
        "model_overview": {
            "model_creator": within(version.author or f"pipeline execution {version.execution_arn}", NOTE),
            "model_artifact": [within(version.model_uri, NOTE)],
        },
        "intended_uses": _intended_uses(evaluation, dataset, version),
        "training_details": _training_details(evaluation, dataset, version),
        "evaluation_details": _evaluation_details(evaluation, version, most),
        "additional_information": {
            "caveats_and_recommendations": sentences(wording.caveats(evaluation), TEXT),
            "custom_details": _custom_details(evaluation, version),
        },
    }


def _intended_uses(
    evaluation: Mapping[str, Any], dataset: Mapping[str, Any], version: RegisteredVersion
) -> dict[str, str]:
    return {
        "purpose_of_model": within(version.purpose or wording.purpose(evaluation), TEXT),
        "intended_uses": sentences(wording.intended_uses(dataset), TEXT),
        "factors_affecting_model_efficiency": sentences(wording.weaknesses(evaluation), TEXT),
        "risk_rating": "Unknown",
        "explanations_for_risk_rating": "Nobody has rated this version. Who approves it can: Studio, Audit, Risk.",
    }


def _training_details(
    evaluation: Mapping[str, Any], dataset: Mapping[str, Any], version: RegisteredVersion
) -> dict[str, Any]:
    images = [version.training_image] if version.training_image else []
    told = list(version.hyperparameters.items())[:_HYPERPARAMETERS]
    model = evaluation["model"]
    job: dict[str, Any] = {
        "training_datasets": [within(version.dataset_uri or f"sha256 {dataset.get('sha256')}", NOTE)],
        "training_environment": {"container_image": [within(image, NOTE) for image in images]},
        "user_provided_training_metrics": [
            {"name": name, "value": model[name]}
            for name in ("steps", "best_step", "seed")
            if is_number(model.get(name))
        ],
        "hyper_parameters": [
            {"name": within(name, NAME), "value": within(value, NAME) or "-"} for name, value in told if name
        ],
    }
    if version.training_job_arn:
        job["training_arn"] = within(version.training_job_arn, NOTE)
    return {
        "objective_function": {
            "function": {"function": "Minimize", "facet": "Loss"},
            "notes": "Losses of classes and boxes, as the detector's pipeline.config weighs them.",
        },
        "training_observations": sentences(wording.training(evaluation, dataset), NOTE),
        "training_job_details": job,
    }


def _evaluation_details(evaluation: Mapping[str, Any], version: RegisteredVersion, most: int) -> list[dict[str, Any]]:
    chosen = wording.weakest_classes(evaluation)[:most]
    slices = dict(list((evaluation.get("slices") or {}).items())[:most])
    tested = {
        "name": "Test set",
        "evaluation_observation": sentences(wording.verdict(evaluation, told=len(chosen)), OBSERVATION),
        "datasets": [within(f"{version.dataset_uri or 'sha256 ' + evaluation['dataset']['sha256']}", NOTE)][:DATASETS],
        "metadata": {name: within(value, NOTE) for name, value in _test_set(evaluation).items()},
        "metric_groups": metric_groups({**evaluation, "slices": slices}, chosen),
    }
    details = [tested]
    for name, key in (("What served at that time", "champion"), ("Best version that ever served", "best")):
        other = evaluation.get(key)
        if other:
            told = {
                "name": within(name, LABEL),
                "evaluation_observation": sentences(wording.comparison(other), OBSERVATION),
                "metric_groups": comparison_groups(other, chosen),
            }
            arn = other.get("arn") or (version.champion_arn if key == "champion" else "")
            details.append(told | ({"metadata": {"model_package_arn": within(arn, ARN)}} if arn else {}))
    return details


def _test_set(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """Metadata keys are words: CloudFormation asks for `[a-zA-Z_][a-zA-Z0-9_]*` of them.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-sagemaker-modelcard-evaluationdetail.html
    """
    scored = evaluation["dataset"]
    named = {"environment": "the environment's policy", "execution": "the execution itself"}
    return {
        "dataset_sha256": scored["sha256"],
        "test_set": str(scored.get("test_set", "")),
        "images": str(scored.get("images", "")),
        "boxes": str(scored.get("boxes", "")),
        "chosen_by": named.get(scored.get("chosen_by"), "unknown"),
        "score_threshold": str(evaluation.get("score_threshold", "")),
    }


def _custom_details(evaluation: Mapping[str, Any], version: RegisteredVersion) -> dict[str, str]:
    policy = evaluation.get("policy") or {}
    floor, run = policy.get("floor") or {}, policy.get("run") or {}
    told = {
        "Version": version.arn,
        "Pipeline execution": version.execution_arn,
        "Report": version.report_uri,
        "Model's sha256": evaluation["model"].get("sha256"),
        "Inference image": version.inference_image,
        "Environment's policy": floor.get("uri"),
        "Environment's policy, sha256": floor.get("sha256"),
        "Execution's policy": run.get("uri"),
        "Execution's policy, sha256": run.get("sha256"),
        "Rules that are not asked": sentences(policy.get("left_out") or [], NOTE),
        "Overruled by the environment's policy": sentences(policy.get("overruled") or [], NOTE),
        "What changed": sentences(wording.changes(evaluation), NOTE),
        "Waiver": (evaluation.get("champion") or {}).get("waiver"),
        "Who approved it": "LastModifiedBy and ApprovalDescription of this version, and `mapgate models history`",
    }
    return {name: within(value, NOTE) for name, value in told.items() if value}
