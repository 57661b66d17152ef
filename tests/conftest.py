# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the switch for the long ones, where their figures are written, the reference's numbers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from tests.golden.make_checkpoint import make_checkpoint

# How long an example takes depends on what else the machine does.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

CHECKOUT = Path(__file__).resolve().parent.parent
VERIFICATION = CHECKOUT / "docs" / "verification.md"
# Begun first, so that no process waits for it at the end.
LONGEST = CHECKOUT / "tests" / "end_to_end"

Record = Callable[[str, str], None]
"""Called with what was measured and its figure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--verify", action="store_true", help="run the long tests instead, and write docs/verification.md")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "verify: too long for every run; `make verify` runs it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = bool(config.getoption("--verify"))
    chosen = [item for item in items if (item.get_closest_marker("verify") is not None) == wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = sorted(chosen, key=lambda item: not item.path.is_relative_to(LONGEST))


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of what the OD API computes; its README says what is in it."""
    return CHECKOUT / "tests" / "golden"


@pytest.fixture(scope="session")
def golden_checkpoint(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The prefix of a reference case's checkpoint, laid out as the zoo's, by the case's folder."""

    @cache
    def prefix(case: str) -> str:
        made = str(tmp_path_factory.mktemp(case) / "ckpt-0")
        make_checkpoint(golden / case / "variables.json", made)
        return made

    return prefix


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    """Keep a figure; those of a test that passed go to docs/verification.md."""
    figures: list[tuple[str, str]] = []
    yield lambda what, figure: figures.append((what, figure))
    _write(request.node.nodeid, figures)


def _write(test: str, figures: list[tuple[str, str]]) -> None:
    """Replace this test's rows in the table, and leave the others' as they are."""
    head = [
        "# Verification",
        "",
        "Figures of `make verify`, each with the commit and the test that measured it "
        "(`pytest --verify <test>` repeats one).",
        "",
        "| what | figure | test | commit | day |",
        "|---|---|---|---|---|",
    ]
    rows = VERIFICATION.read_text().splitlines()[len(head) :] if VERIFICATION.exists() else []
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.strip()
    kept = [row for row in rows if f"| `{test}` |" not in row]
    day = datetime.now(UTC).date().isoformat()
    kept += [f"| {what} | {figure} | `{test}` | {commit} | {day} |" for what, figure in figures]
    VERIFICATION.parent.mkdir(exist_ok=True)
    beside = VERIFICATION.with_suffix(".tmp")
    beside.write_text("\n".join([*head, *sorted(kept)]) + "\n")
    beside.replace(VERIFICATION)
