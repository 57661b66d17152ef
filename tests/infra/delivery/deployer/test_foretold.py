# SPDX-License-Identifier: Apache-2.0
"""What the deployer refuses is foretold before anybody approves, in its own words, or there is a reason why not.

Each state in which it refuses is made once: `mapgate models approve` looks at it, then the deployer does.
"""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.delivery.deployer import deployments as deployer
from infra.delivery.deployer.deployments.chain import folder
from pipelines.client import decisions, deployments, registry, surroundings
from pipelines.client.connection import Connection
from pipelines.client.decisions import Outlook
from pipelines.client.deployment import Deployment
from pipelines.client.refusals import refusal
from tests.infra.delivery.deployer.conftest import BUCKET, GROUP, KEYS, PREFIX, REPOSITORY
from tests.infra.delivery.deployer.publishing import FLOOR
from tests.infra.delivery.deployer.test_service import make_old, of_two, replace_both

IMAGES = "nobody but the deployer and the pipeline asks ECR what a tag means"
SIGNED = "`mapgate models provenance` holds the signatures; approving does not wait for it"
BYTES = "an approver may know of artifacts, and read none"
HOSTED = "what lies under the names of models is not an approver's to look at"
ONE_HAND = "PublishDossier records no such evaluation, and nobody else writes there"
OF_CANDIDATES = "a candidate is refused before there is anything to approve"


@dataclass(frozen=True)
class State:
    """A state in which the deployer refuses.

    Attributes:
        says: Of its sentence, as its code has it.
        make: Makes the state, and returns the version that is approved in it.
        untold: Why nobody can foretell it.
    """

    says: str
    make: Callable[[Any], Any]
    untold: str = ""


def serve(world: Any, version: Any) -> Any:
    world.approve(version)
    world.settle()
    return version


def with_container(**members: Any) -> Callable[[Any], Any]:
    def make(world: Any) -> Any:
        version = world.register()
        version.container = members
        return version

    return make


def edited(**members: Any) -> Callable[[Any], Any]:
    def make(world: Any) -> Any:
        version = world.register()
        for name, value in members.items():
            setattr(version, name, value)
        return version

    return make


def recorded(**record: Any) -> Callable[[Any], Any]:
    """What somebody would have to write into the table."""

    def make(world: Any) -> Any:
        version = world.register()
        world.table.put_item(Item=world.record("verdict#000001") | record)
        return version

    return make


def without(uri: Callable[[Any], str]) -> Callable[[Any], Any]:
    def make(world: Any) -> Any:
        version = world.register()
        world.remove(uri(version))
        return version

    return make


def written_over(uri: Callable[[Any], str]) -> Callable[[Any], Any]:
    def make(world: Any) -> Any:
        version = world.register()
        world.put(uri(version), b"{}")
        return version

    return make


def evaluation(version: Any) -> str:
    return f"{version.evaluation_uri}/evaluation.json"


def signed(name: str) -> Callable[[Any], str]:
    return lambda version: f"s3://{BUCKET}/{folder(version.version)}/{name}.json"


def two_containers(world: Any) -> Any:
    world.sagemaker.containers = 2
    return world.register()


def no_image(world: Any) -> Any:
    def gone(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "ImageNotFoundException", "Message": "no"}}, "DescribeImages")

    world.ecr.describe_images = gone
    return world.register()


def moved_image(world: Any) -> Any:
    version = world.register()
    world.ecr.moved[version.image] = "sha256:" + "0" * 64
    return version


def no_record(world: Any) -> Any:
    version = world.register()
    world.forget_verdict(version)
    return version


def no_evaluation(world: Any) -> Any:
    describe = world.sagemaker._describe_model_package
    world.sagemaker._describe_model_package = lambda **asked: describe(**asked) | {"ModelMetrics": {}}
    return world.register()


def evaluated(**parts: Any) -> Callable[[Any], Any]:
    return lambda world: world.register(**parts)


def no_json(world: Any) -> Any:
    first, second = of_two(world)
    world.sagemaker.now -= 7200  # before it served
    world.put(evaluation(first), b"{")
    world.sagemaker.now += 7200
    make_old(world, first, second)
    return first


def signed_over(name: str, **changes: Any) -> Callable[[Any], Any]:
    """A statement that the environment's key signed and that says something else, with a record that takes it."""

    def make(world: Any) -> Any:
        version = world.register()
        envelope = json.loads(world.get(signed(name)(version)))
        statement = json.loads(base64.b64decode(envelope["payload"])) | changes
        digest = world.publisher.put(1, name, statement, again=True)
        world.table.put_item(Item=world.record("verdict#000001") | {"StatementSha256": digest})
        return version

    return make


def released_over(world: Any) -> Any:
    version = world.register()
    world.put(world.released(version), b"something else")
    return version


def other_artifact(world: Any) -> Any:
    version = world.register()
    world.put(version.model_uri, b"another model")
    return version


def made_model(world: Any) -> Any:
    version = world.register()
    world.sagemaker.models[world.named(1)] = {"PrimaryContainer": {"Image": "own"}}
    return version


def written_after_service(world: Any) -> Any:
    first, second = of_two(world)
    make_old(world, first, second)
    replace_both(world, first)
    return first


def other_image_than_served(world: Any) -> Any:
    first = serve(world, world.register())
    serve(world, world.register())
    world.forget_verdict(first)
    first.image = f"{REPOSITORY}:another"
    return first


def other_champion(world: Any) -> Any:
    first = serve(world, world.register())
    serve(world, world.register())
    return world.register(recorded={"champion_arn": first.arn})


def compared_with_nothing(world: Any) -> Any:
    serve(world, world.register())
    return world.register()


def spent_waiver(world: Any) -> Any:
    champion = serve(world, world.register())
    return world.register(recorded={"champion_arn": champion.arn, "Waiver": "lost in March - admin"})


def other_best(world: Any) -> Any:
    best = serve(world, world.register(recorded={"MeanAP": Decimal("0.9")}))
    champion = serve(world, world.register())
    assert best.version == 1
    return world.register(recorded={"champion_arn": champion.arn})


def best_that_is_lost(world: Any) -> Any:
    best = serve(world, world.register(recorded={"MeanAP": Decimal("0.9")}))
    champion = serve(world, world.register())
    for place in (best.model_uri, world.released(best)):
        world.remove(place)
    return world.register(recorded={"champion_arn": champion.arn, "best_arn": best.arn})


STATES = (
    State("containers, a detector has one", two_containers),
    State(
        "in its container's environment, which the pipeline does not", with_container(Environment={"LD_PRELOAD": "x"})
    ),
    State("in its container, which the pipeline does not write", with_container(AdditionalModelDataSources=[{}])),
    State("which is not one of", edited(image="somebody/elses:tag")),
    State("is gone from ECR", no_image, IMAGES),
    State("has no verdict record", no_record),
    State("was judged under the gate policy", lambda world: world.register(recorded={"floor": "0" * 64})),
    State("has no evaluation", no_evaluation),
    State("; somebody edited evaluation_uri", edited(metadata={"evaluation_uri": "s3://data/better"})),
    State(": its evaluation ", without(evaluation)),
    State(", its verdict was about ", recorded(ModelUri="s3://data/other.tar.gz")),
    State(", its verdict was about ", recorded(ModelPackageArn=f"{GROUP}/7")),
    State(", its verdict was about ", recorded(EvaluationUri="s3://data/other.json")),
    State(", its verdict was about ", edited(image=f"{REPOSITORY}:other")),
    State(" was changed after its verdict (", written_over(evaluation)),
    State(" is not JSON (", no_json, ONE_HAND),
    State(" did not pass its gate: ", lambda world: world.register(passed=False)),
    State(" has no measured mAP in its gate", evaluated(gate={"passed": True}), ONE_HAND),
    State(" does not say which artifact it evaluated", evaluated(model={}), ONE_HAND),
    State(" does not say with which ", evaluated(serving={"runtime": "", "precision": "f32"}), ONE_HAND),
    State("; evaluate it again", evaluated(gate="good"), ONE_HAND),
    State(", its metadata says ", edited(metadata={"runtime": "tensorflow"})),
    State(" when it was measured", moved_image, IMAGES),
    State(": its evaluation names the ", recorded(Precision="int8"), ONE_HAND),
    State(": its verdict lies at ", recorded(StatementUri="s3://data/verdict.json"), ONE_HAND),
    State(" was changed (its sha256 begins with ", written_over(signed("verdict")), SIGNED),
    State(" is a statement of another kind, ", signed_over("verdict", predicateType="other"), SIGNED),
    State(" was recorded; ", recorded(DatasetSha256="0" * 64), ONE_HAND),
    State(" is gone; ", without(signed("provenance")), SIGNED),
    State(": its artifact ", without(lambda version: version.model_uri)),
    State(" is not the artifact that was evaluated (", other_artifact, BYTES),
    State(", although its name says what it must hold", released_over, BYTES),
    State(" has served since ", written_after_service),
    State(" now; somebody edited it: put the image right", other_image_than_served, IMAGES),
    State(" serves now", other_champion),
    State(" serves now", compared_with_nothing),
    State(" was gone, and it is there now", spent_waiver),
    State(", and the best other version that ever served is ", other_best),
    State(", and the best other version that ever served is ", best_that_is_lost),
    State(" is there already and is not what the deployer makes: ", made_model, HOSTED),
)
ELSEWHERE = {
    " is not in the registry": OF_CANDIDATES,
    "it is deleted: find out who made it, and retry the execution": OF_CANDIDATES,
    ": its data set names a statement before it, ": SIGNED,
    ": ; ": f"the sentence of an envelope that does not open: {SIGNED}",
    " goes back all the same": "the sentences of the comparison, which are made above",
}
"""What is refused in no state of these, and why."""


@dataclass(frozen=True)
class Seen:
    """What `mapgate models` sees of a version."""

    version: registry.Version
    records: deployments.Records
    around: surroundings.Surroundings


def foretold(world: Any, version: Any) -> Outlook:
    """What `mapgate models approve` tells of a version."""
    seen = look(world, version)
    return decisions.approval(seen.version, seen.records, override=False, around=seen.around)


def look(world: Any, version: Any) -> Seen:
    """Look at a version through the clients of this world."""
    clients = {"sagemaker": world.sagemaker, "s3": world.s3, "dynamodb": boto3.client("dynamodb", **KEYS)}
    connection = Connection(_clients=clients)
    deployment = Deployment(
        data_bucket=BUCKET,
        pipeline_name=PREFIX,
        model_package_group=GROUP,
        endpoint_name=PREFIX,
        training_image="",
        inference_image=f"{REPOSITORY}:tag",
        deployment_table="deployments",
        gate_policy=f"s3://{BUCKET}/defaults/gate-policy/{FLOOR}/",
    )
    found = registry.describe(connection, version.arn)
    around = surroundings.look(connection, deployment, found)
    return Seen(found, deployments.read(connection, deployment), around)


@pytest.mark.parametrize("state", STATES, ids=[state.make.__qualname__ + state.says for state in STATES])
def test_refusal_is_foretold_in_the_deployers_own_words(world: Any, state: State) -> None:
    version = state.make(world)
    before = world.champion()
    outlook = foretold(world, version)
    world.approve(version, why="")
    world.settle()
    record = world.record(f"version#{version.version:06d}")
    assert (record["Outcome"], world.champion()) == ("refused", before)
    assert state.says in record["Sentence"]
    if state.untold:
        assert outlook.refusal is None, "it can be foretold, and no reason is needed"
    else:
        assert outlook.refusal == record["Sentence"]
        assert not outlook.changes


@pytest.mark.parametrize(
    "make",
    [
        lambda world: world.register(),
        lambda world: world.register(recorded={"champion_arn": serve(world, world.register()).arn}),
        lambda world: of_two(world)[0],
    ],
    ids=["first", "compared with what serves", "has served"],
)
def test_what_the_deployer_serves_is_not_said_to_be_refused(world: Any, make: Callable[[Any], Any]) -> None:
    version = make(world)
    outlook = foretold(world, version)
    world.approve(version, why="")
    world.settle()
    assert (outlook.refusal, outlook.changes, world.champion()) == (None, True, version.version)


def test_version_to_which_a_rejection_cannot_go_back_is_foretold(world: Any) -> None:
    versions = [serve(world, world.register()) for _ in range(3)]
    world.sagemaker.now += 3600
    make_old(world, *versions)
    replace_both(world, versions[1])
    rejected = look(world, versions[2])
    seen = {version.version: look(world, version) for version in versions}

    def refuses(number: int) -> str | None:
        return refusal(seen[number].version, seen[number].records, seen[number].around, override=True)

    outlook = decisions.rejection(rejected.version, rejected.records, refuses)
    world.reject(versions[2])
    world.settle()
    assert world.champion() == 1
    assert outlook.sentences[0] == f"Version 2 will be refused: {world.record('version#000002')['Sentence']}."
    assert outlook.sentences[1].startswith("Production rolls back from version 3 to version 1: ")


def test_every_refusal_of_the_deployer_is_made_above() -> None:
    known = [*(state.says for state in STATES), *ELSEWHERE]
    found = list(refusals())
    assert len(found) > 25
    assert [(place, text) for place, text in found if not any(says in text for says in known)] == []
    assert [says for says in known if not any(says in text for _, text in found)] == []


def refusals() -> Iterator[tuple[str, str]]:
    """The words of each refusal in the deployer's code; where it raises a variable, those of its whole function."""
    for file in sorted(Path(deployer.__file__).parent.glob("*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Raise) and _is_refusal(node.exc):
                    text = _words(node)
                    yield f"{file.name}:{node.lineno}", text if len(text) > 10 else _words(function)
                if function.name == "_why" and file.name == "comparison.py" and isinstance(node, ast.Return):
                    text = _words(node)
                    if text:
                        yield f"{file.name}:{node.lineno}", text


def _is_refusal(raised: ast.expr | None) -> bool:
    return isinstance(raised, ast.Call) and isinstance(raised.func, ast.Name) and raised.func.id == "RefusedError"


def _words(node: ast.AST) -> str:
    return "".join(
        each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )
