# SPDX-License-Identifier: Apache-2.0
"""How many cores a process may really use: what the scheduler lets it run on, and the time that its cgroups give it.

A container that may use 1.5 cores of a machine with 64 sees 64; with as many threads it spends its share in the first
instants of a period and stands still for the rest.

Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`) and
https://docs.kernel.org/scheduler/sched-bwc.html (`cpu.cfs_quota_us`, `cpu.cfs_period_us`).
"""

import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
"""Where the kernel shows its groups."""
MEMBERSHIP = Path("/proc/self/cgroup")
"""Where the kernel says of which groups the process is."""


def cores(groups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """The cores that this process may use: at least 1, and a part of a core counts as one.

    Args:
        groups: Where the kernel shows its groups.
        membership: The process' own groups, a line each.
    """
    shares = [_share(folder) for folder in _folders(groups, membership)]
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(share) for share in shares if share is not None)]))


def _folders(groups: Path, membership: Path) -> Iterator[Path]:
    """Each group whose limit holds for the process: its own, and every one above it.

    A line reads `0::/path` (version 2) or `4:cpu,cpuacct:/path` (version 1). What a container sees is mounted at the
    top, whatever the path says, so the top is always one of them.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # no Linux, or no /proc
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        own = PurePosixPath("/", path).relative_to("/")
        for top in {groups / controllers, groups / "cpu"} if controllers else {groups}:
            yield from (top / each for each in (own, *own.parents) if ".." not in each.parts)


def _share(folder: Path) -> Fraction | None:
    """How many cores' time a group may use, or None where it has no limit."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not (quota.isdecimal() and period.isdecimal() and int(quota) and int(period)):
        return None  # "max" and -1 mean no limit
    return Fraction(int(quota), int(period))
