# SPDX-License-Identifier: Apache-2.0
"""Why the deployer will refuse a version, foretold in its own sentences.

It holds a version against its registration, the record of its verdict, what was signed, and what it would be compared
with now. Whoever approves may read the registry, the records and the evaluation, and may list artifacts; what takes
more than that (an image's digest, an artifact's bytes, models that somebody made beforehand) is left to the deployer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from pipelines.client.deployments import NOTHING_COMPARED, Approval, Records, Verdict
from pipelines.client.registry import Version
from pipelines.client.surroundings import Surroundings

VARIABLES = frozenset(f"MAPGATE_{name}" for name in ("PRECISION", "RUNTIME"))
"""Of the server, as PublishDossier writes them into a container's environment."""
_FOREIGN = ("AdditionalModelDataSources", "AdditionalS3DataSource", "ModelDataSource", "ProductId")
_ANEW = "register it through the pipeline"


def refusal(version: Version, records: Records, around: Surroundings, *, override: bool) -> str | None:
    """Return why the deployer will refuse a version that does not serve; None as far as nothing speaks against it.

    Args:
        version: As the registry has it.
        records: The deployer's.
        around: What there is to look at besides.
        override: Whether the approver lets it go although nobody compared it with what serves.
    """
    return next(_found(version, records, around, override=override), None)


def _found(version: Version, records: Records, around: Surroundings, *, override: bool) -> Iterator[str]:
    """What speaks against a version, in the order in which the deployer looks."""
    known, verdict = records.approvals.get(version.number), records.verdicts.get(version.number)
    has_served = known is not None and known.has_served
    yield from _registration(version, around.inference_repository)
    if not has_served:
        yield from _unjudged(version, verdict, around.floor_policy_sha256)
    yield from _evaluation(version, verdict, around)
    if verdict is None:
        yield from _service(version, known, around)
    elif not has_served and not override:
        yield from _comparison(verdict, records, around)


def _registration(version: Version, repository: str) -> Iterator[str]:
    """What of a version is not as the pipeline registers it."""
    name = f"v{version.number}"
    containers = version.containers or ({"Image": version.image, "ModelDataUrl": version.model_uri},)
    if len(containers) != 1:
        yield f"{name} has {len(containers)} containers, a detector has one; {_ANEW}"
    container = containers[0]
    variables = sorted(set(container.get("Environment") or {}) - VARIABLES)
    if variables:
        yield f"{name} sets {', '.join(variables)} in its container's environment, which the pipeline does not; {_ANEW}"
    for member in _FOREIGN:
        if container.get(member) and not (
            member == "ModelDataSource" and _is_same_object(container[member], version.model_uri)
        ):
            yield f"{name} has {member} in its container, which the pipeline does not write; {_ANEW}"
    image, _, tag = version.image.rpartition(":")
    if repository and (image != repository or not tag):
        yield f"{name} names the image {version.image}, which is not one of {repository}; {_ANEW}"


def _is_same_object(source: Any, uri: str) -> bool:
    """Whether a ModelDataSource says no more than a ModelDataUrl does, as SageMaker fills it in.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3ModelDataSource.html
    """
    said = dict(source.get("S3DataSource") or {}) if isinstance(source, dict) else {}
    given = {name: value for name, value in said.items() if value}
    asked = {"S3Uri": uri, "S3DataType": "S3Object", "CompressionType": "Gzip"}
    return set(source or {}) == {"S3DataSource"} and given == asked


def _unjudged(version: Version, verdict: Verdict | None, floor: str) -> Iterator[str]:
    """Why a version that has never served has no verdict that counts."""
    name = f"v{version.number}"
    if verdict is None:
        yield (
            f"{name} has no verdict record: it was registered by hand, or by an older release; run the pipeline again "
            "and approve the version that it registers"
        )
    elif floor and verdict.floor_policy_sha256 != floor:
        yield (
            f"{name} was judged under the gate policy {verdict.floor_policy_sha256[:12]}, and the environment's is "
            f"{floor[:12]} now; run the pipeline again, of which all but evaluating comes from the cache, and approve "
            "that version"
        )


def _evaluation(version: Version, verdict: Verdict | None, around: Surroundings) -> Iterator[str]:
    """What of registry and evaluation is no longer what was judged."""
    name, uri = f"v{version.number}", version.evaluation_uri
    if not uri:
        yield f"{name} has no evaluation; {_ANEW}"
    uri = uri if uri.endswith(".json") else f"{uri.rstrip('/')}/evaluation.json"
    stated = version.dossier.get("evaluation_uri", "")
    stated = stated if not stated or stated.endswith(".json") else f"{stated.rstrip('/')}/evaluation.json"
    if stated and stated != uri:
        yield f"{name} was registered with {uri}, its metadata names {stated}; somebody edited evaluation_uri"
    if around.evaluation == b"":
        yield f"{name}: its evaluation {uri} is gone; run the pipeline again"
    if verdict is not None:
        yield from _edited(version, uri, verdict, around.evaluation)
    content = _parsed(around.evaluation)
    yield from _judged(version, content)
    sha256 = verdict.model_sha256 if verdict is not None else str(content.get("model", {}).get("sha256", ""))
    places = (f"s3://{around.bucket}/released/{sha256}/model.tar.gz", version.model_uri)
    if sha256 and all(around.is_there(place) is False for place in places):
        yield f"{name}: its artifact {version.model_uri} is gone; run the pipeline again and approve the new version"


def _edited(version: Version, uri: str, verdict: Verdict, evaluation: bytes | None) -> Iterator[str]:
    name = f"v{version.number}"
    for what, now, then in (
        ("version", version.arn, verdict.arn),
        ("evaluation", uri, verdict.evaluation_uri),
        ("artifact", version.model_uri, verdict.model_uri),
        ("image", version.image, verdict.image),
    ):
        if then and now != then:
            yield f"{name} names the {what} {now}, its verdict was about {then}; somebody edited it"
    digest = hashlib.sha256(evaluation or b"").hexdigest()
    if evaluation is not None and verdict.evaluation_sha256 and digest != verdict.evaluation_sha256:
        yield (
            f"{name}: {uri} was changed after its verdict (its sha256 begins with {digest[:12]}, the recorded one "
            f"with {verdict.evaluation_sha256[:12]}); restore the object's first version, or run the pipeline again"
        )


def _parsed(evaluation: bytes | None) -> dict[str, Any]:
    """The parts of an evaluation; none of what PublishDossier would not have recorded, nor an older release served."""
    try:
        content = json.loads(evaluation or b"{}")
    except ValueError:
        return {}
    return {name: part for name, part in content.items() if isinstance(part, dict)} if isinstance(content, dict) else {}


def _judged(version: Version, content: dict[str, Any]) -> Iterator[str]:
    """What an evaluation itself says against its version."""
    name, gate = f"v{version.number}", content.get("gate", {"passed": True})
    if gate.get("passed") is not True:
        yield f"{name} did not pass its gate: {gate.get('sentence') or 'the gate gave no sentence'}"
    for what in ("runtime", "precision"):
        judged = content.get("serving", {}).get(what)
        if judged and version.dossier.get(what, judged) != judged:
            yield (
                f"{name} was judged with {what} {judged}, its metadata says {version.dossier[what]}; put the metadata "
                "right, or evaluate again what should serve"
            )


def _service(version: Version, known: Approval | None, around: Surroundings) -> Iterator[str]:
    """Why a version without a verdict record would not serve again what it has served."""
    written_at, served_at = around.evaluation_written_at, known.served_since if known is not None else None
    if written_at is not None and served_at is not None and written_at > served_at:
        name = f"v{version.number}"
        yield (
            f"{name}: {version.evaluation_uri} was written at {_moment(written_at)}, and {name} has served since "
            f"{_moment(served_at)}, without a verdict record that would tell what it was judged by; delete what was "
            "written over the object, or run the pipeline again and approve the version that it registers"
        )


def _comparison(verdict: Verdict, records: Records, around: Surroundings) -> Iterator[str]:
    """Why a comparison no longer counts: another one would be made now.

    Whatever takes the place of a version that was rejected may go: production is to get rid of it.
    """
    champion = records.champion
    if champion is None or champion.version == verdict.version:
        return
    reigning = records.approvals.get(champion.version)
    if reigning is not None and not reigning.standing:
        return
    serves, why = _name(champion.arn), None
    if verdict.champion_arn != champion.arn:
        why = f"was compared with {_name(verdict.champion_arn)}, and {serves} serves now"
    elif verdict.waiver and around.is_there(champion.model_uri):
        why = f"was compared with nothing, as the artifact of {serves} was gone, and it is there now"
    elif verdict.best_arn != (best := _best_arn(records, champion.arn, around)):
        besides = _name(verdict.best_arn)
        other = f"the best other version that ever served is {_name(best)}"
        why = f"was compared with {besides} besides {serves}, and {other}"
    if why is not None:
        yield (
            f"v{verdict.version} {why}. Start the same execution again, of which all but measuring and evaluating "
            "comes from the cache, and approve the version that it registers: "
            f"`{_again(around.pipeline, verdict.execution_arn)}`. Or approve it without a comparison: "
            f"`mapgate models approve {verdict.version} --override --reason WHY`"
        )


def _best_arn(records: Records, champion_arn: str, around: Surroundings) -> str:
    """The best version that ever served, `none` where the champion is it or its artifact is gone."""
    served = (number for number, one in records.approvals.items() if one.has_served or _reigns(records, number))
    best = best_served((records.verdicts[number] for number in served if number in records.verdicts), champion_arn)
    if best is None or best.arn == champion_arn:
        return NOTHING_COMPARED
    places = (f"s3://{around.bucket}/released/{best.model_sha256}/model.tar.gz", best.model_uri)
    # What nobody may look at is taken to be there, as it is on all days but the worst.
    return NOTHING_COMPARED if all(around.is_there(uri) is False for uri in places) else best.arn


def best_served(served: Iterable[Verdict], champion_arn: str) -> Verdict | None:
    """The version with the greatest mAP, the newest of equal ones, as FindChampion and the deployer choose it.

    Where another version that served was judged on the champion's test set, only figures of that one count.
    """
    found = list(served)
    test_set = next((one.test_set for one in found if one.arn == champion_arn), None)
    comparable = [one for one in found if one.test_set == test_set]
    if any(one.arn != champion_arn for one in comparable):
        found = comparable
    return max(found, key=lambda one: (one.mean_ap, one.version), default=None)


def _reigns(records: Records, number: int) -> bool:
    return records.champion is not None and records.champion.version == number


def _name(arn: str) -> str:
    return "nothing" if arn in ("", NOTHING_COMPARED) else f"v{arn.rpartition('/')[2]}"


def _again(pipeline: str, execution_arn: str) -> str:
    """The command that starts an execution with the parameters of another one.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListPipelineParametersForExecution.html
    """
    parameters = (
        f"aws sagemaker list-pipeline-parameters-for-execution --pipeline-execution-arn {execution_arn} "
        "--query PipelineParameters --output json"
    )
    return f'aws sagemaker start-pipeline-execution --pipeline-name {pipeline} --pipeline-parameters "$({parameters})"'


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
