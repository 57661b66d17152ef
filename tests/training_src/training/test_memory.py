# SPDX-License-Identifier: Apache-2.0
"""The memory that a training may use."""

import os
from pathlib import Path

import pytest

from training_src.training.batch_size import device_memory
from training_src.training.memory import machines_memory

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/", {"memory.max": "1073741824"}, 1 << 30),
        ("0::/", {"memory.max": "max"}, PHYSICAL),
        ("0::/", {}, PHYSICAL),
        # A group's own limit is below its parent's, or its parent's is the lower.
        ("0::/a/b", {"a/memory.max": "3000000", "a/b/memory.max": "2000000"}, 2_000_000),
        ("0::/a/b", {"a/memory.max": "3000000", "a/b/memory.max": "max"}, 3_000_000),
        ("5:cpu,memory:/docker/1", {"memory/docker/1/memory.limit_in_bytes": "4000000"}, 4_000_000),
        # Version 1 inside a container: the group's path is the host's, its limit stands at the mount.
        ("5:memory:/docker/1", {"memory/memory.limit_in_bytes": "5000000"}, 5_000_000),
        ("5:memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712"}, PHYSICAL),
    ],
)
def test_the_lowest_limit_counts(tmp_path: Path, group: str, files: dict[str, str], expected: int) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(f"4:pids:/elsewhere\n{group}\n")
    for name, text in files.items():
        file = tmp_path / "sys" / "fs" / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    assert machines_memory(tmp_path) == expected


def test_without_control_groups_there_is_what_the_machine_has(tmp_path: Path) -> None:
    assert machines_memory(tmp_path) == PHYSICAL


def test_a_machine_without_a_gpu_has_its_own_memory() -> None:
    assert device_memory().on_gpu is False
    assert 0 < device_memory().total <= PHYSICAL
