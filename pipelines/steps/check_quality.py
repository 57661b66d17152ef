# SPDX-License-Identifier: Apache-2.0
"""CheckQuality: only the gate's verdict, and a threshold that can tighten it, let a model through."""

from collections.abc import Sequence

from sagemaker.core.helper.pipeline_variable import PipelineVariable
from sagemaker.core.workflow.conditions import ConditionEquals, ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.mlops.workflow import ConditionStep, FailStep, ProcessingStep

from pipelines.parameters import Parameters
from pipelines.steps.evaluate_detector import EVALUATION
from pipelines.steps.processing import output_of


def check_quality(
    parameters: Parameters, *, evaluate: ProcessingStep, if_passed: Sequence[object], otherwise: FailStep
) -> ConditionStep:
    """Return the condition `gate.passed and gate.mAP >= MapThreshold`.

    evaluation.json always holds both fields, finite: a JsonGet of a missing path or of null would fail this step
    itself, with AWS's sentence and not with the gate's.
    """
    return ConditionStep(
        "CheckQuality",
        conditions=[
            ConditionEquals(left=_gate(evaluate, "passed"), right=True),
            ConditionGreaterThanOrEqualTo(left=_gate(evaluate, "mAP"), right=parameters.map_threshold),
        ],
        if_steps=list(if_passed),
        else_steps=[otherwise],
    )


def quality_gate_failed(*, evaluate: ProcessingStep) -> FailStep:
    """Return the step that ends the execution with the gate's sentence.

    The sentence is the evaluation job's exit message. AWS documents JsonGet, of a property file as of an S3 object, for
    conditions only (https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-propertyfile.html), but a job's
    properties may stand anywhere, and what the container left in /opt/ml/output/message is one of them, of completed
    jobs too (https://docs.aws.amazon.com/sagemaker/latest/dg/byoc-metadata.html).
    """
    return FailStep(
        "QualityGateFailed",
        error_message=Join(
            on="",
            values=[
                "The quality gate did not let this model through: ",
                evaluate.properties.ExitMessage,
                " Rule by rule: ",
                output_of(evaluate, "evaluation"),
                "/report.html",
            ],
        ),
    )


def _gate(evaluate: ProcessingStep, field: str) -> PipelineVariable:
    return JsonGet(step_name=evaluate.name, property_file=EVALUATION, json_path=f"gate.{field}")
