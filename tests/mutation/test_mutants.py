# SPDX-License-Identifier: Apache-2.0
"""What decides is told with mutants: the nearest tests notice each, or survivors.toml says why none could."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mutation.mutants import CHECKOUT, read_explained, read_targets, tell

TARGETS = read_targets()


@pytest.mark.verify
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("name", TARGETS)
def test_leaves_no_survivor_that_is_not_explained(
    name: str, tmp_path: Path, record: Callable[[str, str], None]
) -> None:
    told, survivors = tell(TARGETS[name], tmp_path)
    explained = read_explained()
    assert [mutant for mutant in survivors if mutant not in explained] == []
    drawn = "all" if TARGETS[name].sample is None else "drawn"
    record(
        f"mutants of {name} ({drawn}) that its tests notice", f"{told - len(survivors)} of {told}, the rest explained"
    )


def test_every_target_and_every_explanation_is_of_what_stands_there() -> None:
    for target in TARGETS.values():
        assert [path for path in [*target.modules, *target.tests] if not (CHECKOUT / path).exists()] == []
    for mutant, why in read_explained().items():
        lines = [line.strip() for line in (CHECKOUT / mutant.module).read_text().splitlines()]
        assert mutant.line in lines, f"{mutant.module} no longer says {mutant.line!r}: drop its explanation"
        assert why
