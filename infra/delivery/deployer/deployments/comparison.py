# SPDX-License-Identifier: Apache-2.0
"""Whether a verdict compared a version with what production serves now, and with the best that it ever served.

"Not worse than the champion" was measured against one champion. When another one serves by the time that the version
would replace it, nothing is known of the two, and promotions of a little worse each would pass one after another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import names
from .rivals import NONE

if TYPE_CHECKING:
    from .approval import Approval
    from .records import Production
    from .rivals import Rivals
    from .verdict_record import VerdictRecord


def stale_comparison(
    record: VerdictRecord | None, read: Production, approval: Approval, rivals: Rivals, pipeline: str
) -> str | None:
    """Return why a version must not replace what serves, with the way out; None where it may.

    A version that has served was compared when it began to. So may go what a rejection rolls back to: production is to
    get rid of what it has.

    Args:
        record: Of the version's verdict; None for a version from before there were any.
        read: Production's records.
        approval: The version's.
        rivals: With what it would be compared now.
        pipeline: Name of the environment's pipeline.
    """
    champion = read.champion
    if record is None or champion is None or approval.served_at or champion.arn == approval.arn:
        return None
    reigning = read.approvals.get(champion.version)
    if approval.override or (reigning is not None and not reigning.standing):
        return None
    why = _why(record, rivals)
    if why is None:
        return None
    return (
        f"v{approval.version} {why}. Start the same execution again, of which all but measuring and evaluating comes "
        "from the cache, and approve the version that it registers: "
        f"`{again(pipeline, record.execution_arn)}`. Or approve it without a comparison: "
        f"`mapgate models approve {approval.version} --override --reason WHY`"
    )


def _why(record: VerdictRecord, rivals: Rivals) -> str | None:
    """Return how a new comparison would be another one than that of the verdict; None where it would be the same."""
    serves = _name(rivals.champion_arn)
    if record.champion_arn != rivals.champion_arn:
        return f"was compared with {_name(record.champion_arn)}, and {serves} serves now"
    if record.waiver and rivals.champion_is_there:
        return f"was compared with nothing, as the artifact of {serves} was gone, and it is there now"
    if record.best_arn != rivals.best_arn:
        besides, best = _name(record.best_arn), _name(rivals.best_arn)
        return f"was compared with {besides} besides {serves}, and the best other version that ever served is {best}"
    return None


def _name(arn: str) -> str:
    return "nothing" if arn == NONE else f"v{names.package_version(arn)}"


def again(pipeline: str, execution_arn: str) -> str:
    """Return the command that starts an execution with the parameters of another one.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListPipelineParametersForExecution.html
    """
    parameters = (
        f"aws sagemaker list-pipeline-parameters-for-execution --pipeline-execution-arn {execution_arn} "
        "--query PipelineParameters --output json"
    )
    return f'aws sagemaker start-pipeline-execution --pipeline-name {pipeline} --pipeline-parameters "$({parameters})"'
