# SPDX-License-Identifier: Apache-2.0
"""Whatever an archive holds, extracting it ends with its files or with our error, and writes nothing else."""

from __future__ import annotations

import random
import resource
import shutil
import tarfile
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from containers.contract.archive import extract
from containers.contract.errors import ArchiveError
from tests.conftest import Record
from tests.fuzzing.archives import archives, mutated_archive, packed

SEED = 20_26
MAX_BYTES, MAX_MEMBERS = 100_000, 60
MEMORY = 1 << 30
"""Bytes of addresses that the extracting process may have."""


def test_some_hundreds_of_mutated_archives_end_well(tmp_path: Path) -> None:
    _assert_sound(_fuzz(500, SEED, tmp_path))


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_twenty_thousand_mutated_archives_end_well(tmp_path: Path, record: Record) -> None:
    ends = _fuzz(20_000, SEED + 1, tmp_path)
    _assert_sound(ends)
    told = ", ".join(f"{end}: {count:,}" for end, count in sorted(ends.items()))
    record("mutated archives: other ends than files or our error in 20,000", f"0 ({told})")


def test_the_archives_themselves_are_extracted(tmp_path: Path) -> None:
    for number, (name, tar) in enumerate(archives().items()):
        archive = tmp_path / f"{number}.tar.gz"
        archive.write_bytes(packed(tar))
        if name == "a link":
            with pytest.raises(ArchiveError, match="link"):
                extract(archive, tmp_path / str(number), max_bytes=MAX_BYTES)
        else:
            extract(archive, tmp_path / str(number), max_bytes=MAX_BYTES)


def test_a_record_of_more_bytes_than_there_are_numbers_is_refused(tmp_path: Path) -> None:
    """Found by the mutations: tarfile goes on behind a record by the length that it announces."""
    records = b"9" * 25 + b" path=a\n"
    header = tarfile.TarInfo("header")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(packed(header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + bytes(1024)))
    with pytest.raises(ArchiveError, match="cannot be read"):
        extract(archive, tmp_path / "model")


def _assert_sound(ends: Counter[str]) -> None:
    faults = [end for end in ends if end not in ("extracted", "refused")]
    assert not faults, "\n".join(faults[:20])
    assert ends["extracted"] > 0.05 * ends.total()  # else the mutations go too far to reach what is behind
    assert ends["refused"] > 0.2 * ends.total()


def _fuzz(count: int, seed: int, folder: Path) -> Counter[str]:
    """Extract mutated archives in a process of bounded memory; how they ended: what is a fault, in a sentence."""
    with ProcessPoolExecutor(1, get_context("spawn"), _bound_memory) as process:
        return process.submit(_extract_all, count, seed, folder).result()


def _bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _extract_all(count: int, seed: int, folder: Path) -> Counter[str]:
    ends: Counter[str] = Counter()
    tars = archives()
    for number in range(count):
        draw = random.Random(f"{seed}/{number}")
        name = draw.choice(sorted(tars))
        content = mutated_archive(tars[name], draw)
        end = _end(content)
        if end not in ("extracted", "refused"):
            file = folder / f"case-{number}.tar.gz"
            file.write_bytes(content)
            end = f"case {number} of seed {seed} ({name}): {end}; the archive is {file}"
        ends[end] += 1
    return ends


def _end(content: bytes) -> str:
    place = Path(tempfile.mkdtemp(prefix="archive-"))
    archive, target = place / "model.tar.gz", place / "inside" / "model"
    target.parent.mkdir()
    archive.write_bytes(content)
    try:
        extract(archive, target, max_bytes=MAX_BYTES, max_members=MAX_MEMBERS)
        end = "extracted"
    except ArchiveError as error:
        end = "refused" if str(archive) in str(error) else f"the error does not name the archive: {error}"
    except BaseException as error:
        end = f"{type(error).__name__}: {error}"
    try:
        return _wrong(place, target) or end
    finally:
        shutil.rmtree(place)


def _wrong(place: Path, target: Path) -> str:
    """What was written that should not be; empty where nothing was."""
    beside = {path.relative_to(place).as_posix() for path in place.rglob("*") if target not in (path, *path.parents)}
    if beside != {"model.tar.gz", "inside"}:
        return f"written outside: {sorted(beside)}"
    inside = list(target.rglob("*")) if target.exists() else []
    if odd := [path for path in inside if path.is_symlink() or not (path.is_file() or path.is_dir())]:
        return f"neither file nor folder: {odd}"
    written = sum(path.stat().st_size for path in inside if path.is_file())
    return f"{written} bytes written" if written > MAX_BYTES else ""
