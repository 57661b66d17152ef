# SPDX-License-Identifier: Apache-2.0
"""A version is compared with what serves, and with the best of what ever served that can still be measured."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.delivery.deployer.deployments.approval import Approval
from infra.delivery.deployer.deployments.records import Champion, Production
from infra.delivery.deployer.deployments.rivals import Rivals, best_served, find_rivals
from tests.infra.delivery.deployer.conftest import refusal


def recorded(version: int, mean_ap: float, test_set: str = "t") -> Any:
    return SimpleNamespace(version=version, arn=f"arn/{version}", mean_ap=mean_ap, test_set=test_set)


@pytest.mark.parametrize(
    ("served", "champion", "best"),
    [
        ([], 1, None),
        ([(1, 0.5)], 1, 1),
        ([(1, 0.5), (2, 0.6), (3, 0.4)], 3, 2),
        ([(2, 0.6), (1, 0.6), (3, 0.4)], 3, 2),  # the newest of equal ones
        ([(1, 0.9, "u"), (2, 0.5), (3, 0.4)], 3, 2),  # a figure of other images says nothing beside one of these
        ([(1, 0.9, "u"), (3, 0.4)], 3, 1),  # where there is no other
        ([(1, 0.9, "u"), (2, 0.5)], 3, 1),  # nor a verdict on the champion
    ],
)
def test_the_best_is_of_the_champions_test_set_where_there_is_another(
    served: list[Any], champion: int, best: int | None
) -> None:
    found = best_served([recorded(*each) for each in served], f"arn/{champion}")
    assert (found.version if found else None) == best


def reading(champion: Any, served: list[Any], waiting: Any = None) -> Production:
    """Production's records after these have served."""
    approvals = {each.version: approval(each, served_at=1) for each in served}
    if waiting:
        approvals[waiting.version] = approval(waiting)
    reigning = Champion(
        version=champion.version, arn=champion.arn, model_uri=champion.model_uri, runtime="openvino", precision="f32"
    )
    return Production(champion=reigning, approvals=approvals)


def approval(version: Any, served_at: int = 0) -> Approval:
    return Approval(version=version.version, arn=version.arn, approved_at=1, announced=True, served_at=served_at)


def test_where_nothing_serves_there_is_nothing_to_compare_with(world: Any) -> None:
    nothing = find_rivals(world.context(), Production())
    assert nothing == Rivals(champion_arn="none", champion_is_there=False, best_arn="none")


def test_only_what_has_served_is_a_rival(world: Any) -> None:
    best = world.register(recorded={"MeanAP": Decimal("0.8")})
    champion = world.register(recorded={"MeanAP": Decimal("0.7")})
    waiting = world.register(recorded={"MeanAP": Decimal("0.9")})
    world.forget_verdict(world.register())
    found = find_rivals(world.context(), reading(champion, [best, champion, world.sagemaker.packages[4]], waiting))
    assert found == Rivals(champion_arn=champion.arn, champion_is_there=True, best_arn=best.arn)


def test_a_champion_that_is_the_best_is_compared_with_once(world: Any) -> None:
    champion, other = world.register(recorded={"MeanAP": Decimal("0.8")}), world.register()
    assert find_rivals(world.context(), reading(champion, [champion, other])).best_arn == "none"


@pytest.mark.parametrize(
    ("gone", "there"), [(["model"], True), (["released"], True), (["model", "released"], False), ([], True)]
)
def test_the_best_can_be_measured_as_long_as_it_or_its_released_copy_is_there(
    world: Any, gone: list[str], there: bool
) -> None:
    best, champion = world.register(recorded={"MeanAP": Decimal("0.8")}), world.register()
    world.put(world.released(best), b"model 1")
    for place in gone:
        world.remove(best.model_uri if place == "model" else world.released(best))
    assert find_rivals(world.context(), reading(champion, [best, champion])).best_arn == (best.arn if there else "none")


def test_a_champion_whose_artifact_is_gone_is_told_as_that(world: Any) -> None:
    champion = world.register()
    world.remove(champion.model_uri)
    assert find_rivals(world.context(), reading(champion, [champion])) == Rivals(champion_arn=champion.arn)


def test_what_may_not_be_looked_for_is_not_taken_for_gone(world: Any) -> None:
    champion = world.register()

    def forbid(called: str) -> None:
        if called == "head_object":
            raise refusal("HeadObject", "no", "403")

    world.sagemaker.before_call = forbid
    with pytest.raises(ClientError, match="403"):
        find_rivals(world.context(), reading(champion, [champion]))
