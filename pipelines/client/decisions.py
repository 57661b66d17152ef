# SPDX-License-Identifier: Apache-2.0
"""What will happen when a version is approved or rejected: what the deployer does by its records, foretold.

Production serves the newest approval that stands and did not fail. A version goes there only when the champion that it
was compared with still serves, or an approver overrides that, or it has served before; rejecting what serves rolls
production back to the newest approval that is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.client.deployments import Approval, Records, Verdict
from pipelines.client.registry import Version

UNSIGNED = "registered before verdicts were signed, or outside the pipeline"
OVERRIDE = "override: "
"""How the description of an approval begins that lets a version go although its champion no longer serves."""
REASON_CHARACTERS = 1024
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html, ApprovalDescription"""
_HELD = (
    "First the deployer holds evidence, artifact, image and gate policy against what was signed; what it finds is told "
    "as a message and by `mapgate models history`."
)
_CANARY = (
    "a part of the traffic first, then all of it; while it rolls out, alarms on errors and latency roll it back by "
    "themselves"
)


@dataclass(frozen=True)
class Outlook:
    """What a decision will bring about.

    Attributes:
        sentences: What happens, in the order in which it does.
        refusal: Why the deployer will not deploy the version; None where nothing speaks against it.
        changes: Whether production will change.
    """

    sentences: list[str] = field(default_factory=list)
    refusal: str | None = None
    changes: bool = False

    def as_json(self) -> dict[str, Any]:
        """The outlook as plain JSON values."""
        return {"changes_production": self.changes, "refusal": self.refusal, "sentences": self.sentences}


def approval(version: Version, records: Records, *, override: bool, pipeline: str = "") -> Outlook:
    """What approving a version will bring about, as far as the records tell.

    Args:
        version: As the registry has it.
        records: The deployer's.
        override: Whether the approver lets it go although the champion that it was compared with no longer serves.
        pipeline: Its name, for the command that compares anew.
    """
    told = []
    if version.approval == "Rejected":
        why = f": {version.reason}" if version.reason else ""
        by = f" by {version.decided_by}" if version.decided_by else ""
        told.append(f"Version {version.number} was Rejected{by}{why}. Approving it lets it go to production after all.")
    if records.unreadable:
        return Outlook([*told, f"What production will do is not known here: {records.unreadable}."])
    if records.retired:
        return Outlook(told, "the stack is being deleted, so nothing is deployed any more")
    serves = records.champion.version if records.champion else None
    if serves == version.number and version.approval == "Approved":
        return Outlook([*told, f"Production serves version {serves} already: nothing changes."])
    if refusal := _refusal(version, records, override=override, pipeline=pipeline):
        return Outlook([*told, _stays(serves)], refusal)
    if serves == version.number:
        return Outlook([*told, f"Production serves version {serves} already, and goes on doing so."])
    if records.attempt not in (None, version.number):
        told.append(f"The rollout of version {records.attempt}, which is under way, ends first.")
    if serves is None:
        told.append(f"Nothing serves yet: version {version.number} is brought up on a new endpoint.")
    else:
        told.append(f"Production goes from version {serves} to version {version.number}: {_CANARY}.")
    told.append(_HELD)
    return Outlook(told, changes=True)


def rejection(version: Version, records: Records) -> Outlook:
    """What rejecting a version will bring about.

    Args:
        version: As the registry has it.
        records: The deployer's.
    """
    if records.unreadable:
        return Outlook([f"What production will do is not known here: {records.unreadable}."])
    serves = records.champion.version if records.champion else None
    next_one = _newest(records, without=version.number)
    if version.number == records.attempt and version.number != serves:
        after = f"production then serves {_named(next_one.version if next_one else serves)}"
        return Outlook([f"Its rollout is under way and ends first; {after}."], changes=True)
    if version.number != serves:
        return Outlook([_stays(serves)])
    if next_one is None:
        return Outlook(
            [
                f"Version {serves} serves production, and no other approval stands: it keeps serving, because an empty "
                "endpoint helps nobody. Approve another version to replace it, or delete the endpoint."
            ]
        )
    return Outlook(
        [f"Production rolls back from version {serves} to version {next_one.version}: {_CANARY}."], changes=True
    )


def reason_of(reason: str | None, *, override: bool) -> str | None:
    """The description that the registry keeps with a decision, one line.

    Raises:
        ValueError: It is too long, or says that it overrides where nobody asked for that, or the other way round.
    """
    said = " ".join((reason or "").split())
    if override and not said:
        raise ValueError("--override needs a --reason: it is recorded with the approval")
    if not override and said.lower().startswith(OVERRIDE.strip()):
        raise ValueError(f'a --reason that begins with "{OVERRIDE.strip()}" is what --override writes; take that')
    told = OVERRIDE + said if override else said
    if len(told) > REASON_CHARACTERS:
        raise ValueError(f"the --reason has {len(told)} characters, the registry keeps {REASON_CHARACTERS}; shorten it")
    return told or None


def _refusal(version: Version, records: Records, *, override: bool, pipeline: str) -> str | None:
    """Why the deployer will refuse a version, as far as its records tell."""
    known = records.approvals.get(version.number)
    verdict = records.verdicts.get(version.number)
    if verdict is not None and (edited := _edited(version, verdict)):
        return edited
    serves = records.champion is not None and records.champion.version == version.number
    if serves or (known is not None and known.has_served):
        return None
    if verdict is None:
        return (
            f"version {version.number} was {UNSIGNED}, and has never served; run the pipeline again and approve the "
            "new version"
        )
    return None if override else _compared_with_another(verdict, records, pipeline)


def _edited(version: Version, verdict: Verdict) -> str | None:
    """What of a version is no longer what was judged; None where all is."""
    for name, now, then in (
        ("evaluation", version.evaluation_uri, verdict.evaluation_uri),
        ("artifact", version.model_uri, verdict.model_uri),
        ("image", version.image, verdict.image),
    ):
        if then and now != then:
            return f"version {version.number} names the {name} {now}, its verdict was about {then}; somebody edited it"
    return None


def _compared_with_another(verdict: Verdict, records: Records, pipeline: str) -> str | None:
    """Why a comparison no longer counts: what it was made with does not serve any more; None where it may go.

    Whatever takes the place of a version that was rejected may go: production is to get rid of it.
    """
    serves = records.champion.version if records.champion else None
    reigning = records.approvals.get(serves) if serves is not None else None
    if serves is None or serves in (verdict.champion, verdict.version) or (reigning and not reigning.standing):
        return None
    return (
        f"version {verdict.version} was compared with {_named(verdict.champion)}, and {_named(serves)} serves now. "
        "Start the same execution again, of which all but measuring and evaluating comes from the cache, and approve "
        f"the version that it registers: `{_again(pipeline, verdict.execution_arn)}`. Or approve it without a "
        f"comparison: `mapgate models approve {verdict.version} --override --reason WHY`"
    )


def _again(pipeline: str, execution_arn: str) -> str:
    """The command that starts an execution with the parameters of another one.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListPipelineParametersForExecution.html
    """
    parameters = (
        f"aws sagemaker list-pipeline-parameters-for-execution --pipeline-execution-arn {execution_arn} "
        "--query PipelineParameters --output json"
    )
    return f'aws sagemaker start-pipeline-execution --pipeline-name {pipeline} --pipeline-parameters "$({parameters})"'


def _newest(records: Records, *, without: int) -> Approval | None:
    eligible = [one for one in records.approvals.values() if one.is_eligible and one.version != without]
    never = datetime.fromtimestamp(0, UTC)
    return max(eligible, key=lambda one: (one.approved_at or never, one.version), default=None)


def _stays(serves: int | None) -> str:
    return "Nothing serves, and nothing will." if serves is None else f"Production goes on serving version {serves}."


def _named(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"
