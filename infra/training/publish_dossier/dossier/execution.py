# SPDX-License-Identifier: Apache-2.0
"""The pipeline execution: who started it, when, what for and with which parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """An execution as SageMaker tells of it.

    Attributes:
        started_by: ARN of who started it; a Studio user's profile, or `unknown`, where SageMaker tells no ARN.
        started_at: RFC 3339.
        description: What it is for; empty where nobody said.
        parameters: All of them, by name; those of the steps that ran.
        selected: The steps that ran, where others were taken from an earlier execution; else none.
        source_arn: That execution; empty where every step ran, or where SageMaker took the latest one.
    """

    arn: str
    pipeline_arn: str
    started_by: str
    started_at: str
    description: str
    parameters: Mapping[str, str]
    selected: tuple[str, ...] = ()
    source_arn: str = ""

    @property
    def told(self) -> str:
        """Its id as people read it, and what of it is another one's."""
        name = self.arn.rpartition("/")[2]
        if not self.selected:
            return name
        source = self.source_arn.rpartition("/")[2] or "an earlier one"
        return f"{name}: only {', '.join(self.selected)}; all else, and its parameters, are of {source}"


def describe(sagemaker: SageMakerClient, arn: str) -> Execution:
    """Ask SageMaker about an execution.

    One of chosen steps has parameters that its other steps never saw: those had the source's.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SelectiveExecutionConfig.html
    """
    told: Mapping[str, Any] = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    parameters: dict[str, str] = {}
    query: dict[str, Any] = {"PipelineExecutionArn": arn}
    while True:
        page = sagemaker.list_pipeline_parameters_for_execution(**query)
        parameters |= {each["Name"]: each["Value"] for each in page["PipelineParameters"]}
        if not page.get("NextToken"):
            break
        query["NextToken"] = page["NextToken"]
    selection: Mapping[str, Any] = told.get("SelectiveExecutionConfig") or {}
    return Execution(
        arn=arn,
        pipeline_arn=str(told["PipelineArn"]),
        started_by=_who(told.get("CreatedBy") or {}),
        started_at=moment(told["CreationTime"]),
        description=str(told.get("PipelineExecutionDescription") or ""),
        parameters=parameters,
        selected=tuple(str(step["StepName"]) for step in selection.get("SelectedSteps") or ()),
        source_arn=str(selection.get("SourcePipelineExecutionArn") or ""),
    )


def moment(time: datetime) -> str:
    """A time as RFC 3339, to the second."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _who(context: Mapping[str, Any]) -> str:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UserContext.html.

    The session of a user of Studio has the role of the whole domain: the profile says who it is.
    """
    identity = context.get("IamIdentity") or {}
    return str(context.get("UserProfileArn") or identity.get("Arn") or identity.get("PrincipalId") or UNKNOWN)
