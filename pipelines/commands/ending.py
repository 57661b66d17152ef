# SPDX-License-Identifier: Apache-2.0
"""How an execution ended, for whoever waited for it: mAP, verdict, version, report, and what to type next."""

from __future__ import annotations

from pipelines.client.executions import Execution, Step
from pipelines.client.results import NAMES_OF_DATA, Results


def told_of(results: Results, command: str) -> dict[str, str | None]:
    """What an ended execution came to, by name.

    Args:
        command: How a command line for the same deployment begins.
    """
    evaluation, number = results.evaluation, results.version_number
    report = next((report.uri for report in results.reports), None)
    return {
        "mAP": str(evaluation.mean_ap) if evaluation else None,
        "mAP_50": str(evaluation.metrics["mAP_50"]) if evaluation and "mAP_50" in evaluation.metrics else None,
        "verdict": f"{'passed' if evaluation.passed else 'failed'}: {evaluation.sentence}" if evaluation else None,
        "version": None if number is None else str(number),
        "report": report,
        "next": next_command(results, command),
    }


def next_command(results: Results, command: str) -> str:
    """What whoever waited for an execution types next."""
    execution = results.execution
    identifier, number = execution.identifier, results.version_number
    if number is not None and execution.status == "Succeeded":
        return f"{command} models show {number} --report report.html, then {command} models approve {number}"
    failed = failed_step(execution)
    if failed is not None and failed.job is not None and not (results.reports and failed.name in NAMES_OF_DATA):
        return f"{command} executions logs {failed.name} {identifier}"
    if results.reports:
        return f"{command} executions report {identifier} --output report.html"
    return f"{command} executions show {identifier}"


def reason_of(results: Results) -> str:
    """Why an execution ended as it did, unshortened; SageMaker's own sentence breaks off after 1,300 characters."""
    execution, evaluation = results.execution, results.evaluation
    if execution.status == "Stopped":
        return execution.failure_reason or "somebody stopped it; the same run goes on from its last checkpoint"
    failed = failed_step(execution)
    if evaluation is not None and not evaluation.passed and (failed is None or failed.job is None):
        return " ".join([evaluation.sentence, *(rule for rule in evaluation.failed if rule not in evaluation.sentence)])
    if failed is not None and failed.failure_reason:
        return f"{failed.name}: {failed.failure_reason}"
    return execution.failure_reason or "SageMaker gives no reason; its steps may say more"


def failed_step(execution: Execution) -> Step | None:
    """The step that ended it; None where none failed."""
    return next((step for step in execution.steps if step.status == "Failed"), None)
