# SPDX-License-Identifier: Apache-2.0
"""The laptop's cloud says to a call what AWS was recorded to say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.localcloud.conformance import recorded

CASES = [case for service in recorded.SERVICES for case in recorded.cases(service)]
KNOWN = recorded.known_differences()


@pytest.fixture(scope="module")
def player(cloud: Any) -> recorded.Player:
    return recorded.Player(cloud.endpoint_url)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_call_gets_its_verdict(player: recorded.Player, case: recorded.Case) -> None:
    played = player.play(case)
    assert not played.is_kinder(case), f"AWS refuses this: {case.verdict}: {case.message}"
    if case.id in KNOWN:
        assert not played.holds(case), "this holds now: remove it from known_differences.yaml"
    else:
        assert (played.verdict, played.answer) == (case.verdict, case.answer), played.message


def test_at_least_300_cases_of_operations_in_use_and_95_of_100_hold() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 300
    assert {case.id for case in CASES} >= set(KNOWN)
    assert len(KNOWN) <= 0.05 * len(CASES)
    for case in CASES:
        assert case.call.operation in recorded.SERVICES[case.call.service], case.id


def test_every_operation_that_provisions_is_among_those_in_use() -> None:
    sources = (recorded.CHECKOUT / "localcloud" / "cloudformation" / "resource_types").glob("*.py")
    called = {found for source in sources for found in re.findall(r'"([a-z]+)", "([A-Z]\w+)"', source.read_text())}
    left_out = {(service, operation) for service, operation in called if service in recorded.SERVICES}
    left_out = {(service, operation) for service, operation in left_out if operation not in recorded.SERVICES[service]}
    assert {one for one in left_out if one[0] != "ecr"} == set()


def test_the_readme_says_how_many_hold() -> None:
    assert recorded.sentence() in (recorded.CHECKOUT / "README.md").read_text()
