# SPDX-License-Identifier: Apache-2.0
"""A quota of CPU time counts as the cores that it is worth, whichever version of cgroups says it."""

import os
from pathlib import Path

import pytest

from containers.contract.cores import cores


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))


def counted(root: Path, membership: str, **files: str) -> int:
    """How many cores there are where the kernel shows `files` (`__` for `/`, `_DOT_` for `.`)."""
    for name, content in files.items():
        file = root / "cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (root / "self").write_text(membership)
    return cores(root / "cgroup", root / "self")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000", 16), ("150000 100000", 2), ("200000 100000", 2), ("50000 100000", 1), ("9900000 100000", 16)],
)
def test_version_2_counts_parts_of_a_core_as_one(tmp_path: Path, limit: str, expected: int) -> None:
    assert counted(tmp_path, "0::/\n", cpu_DOT_max=limit + "\n") == expected


def test_the_tightest_group_on_the_path_counts(tmp_path: Path) -> None:
    files = {"pod__cpu_DOT_max": "300000 100000\n", "pod__one__cpu_DOT_max": "max 100000\n"}
    assert counted(tmp_path, "0::/pod/one\n", cpu_DOT_max="800000 100000", **files) == 3


def test_a_container_s_own_group_is_mounted_at_the_top(tmp_path: Path) -> None:
    """Its path is one of the machine's, which the container does not see."""
    assert counted(tmp_path, "0::/docker/3f2a\n", cpu_DOT_max="400000 100000\n") == 4


@pytest.mark.parametrize("controllers", ["cpu,cpuacct", "cpu"])
def test_version_1(tmp_path: Path, controllers: str) -> None:
    membership = f"5:memory:/a\n4:{controllers}:/docker/3f2a\n1:name=systemd:/docker/3f2a\n0::/docker/3f2a\n"
    files = {
        f"{controllers}__cpu_DOT_cfs_quota_us": "250000\n",
        f"{controllers}__cpu_DOT_cfs_period_us": "100000\n",
        f"{controllers}__docker__3f2a__cpu_DOT_cfs_quota_us": "-1\n",
        f"{controllers}__docker__3f2a__cpu_DOT_cfs_period_us": "100000\n",
        "memory__a__cpu_DOT_max": "100000 100000",
    }
    assert counted(tmp_path, membership, **files) == 3


@pytest.mark.parametrize("content", ["", "0 0\n", "-1 100000\n", "nonsense", "1 2 3"])
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, content: str) -> None:
    assert counted(tmp_path, "0::/../..\n", cpu_DOT_max=content) == 16


def test_without_the_kernel_s_files_affinity_counts(tmp_path: Path) -> None:
    assert cores(tmp_path / "cgroup", tmp_path / "self") == 16


def test_here_there_is_at_least_one() -> None:
    assert 1 <= cores() <= 16
