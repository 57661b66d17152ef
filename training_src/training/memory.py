# SPDX-License-Identifier: Apache-2.0
"""How much memory a machine's processes may use, within the limits of their control groups."""

import os
from collections.abc import Iterator
from pathlib import Path


def machines_memory(root: Path = Path("/")) -> int:
    """Bytes that processes here may use: https://docs.kernel.org/admin-guide/cgroup-v2.html, and version 1."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """Of this process's control group and those that it is in; a group without a limit says `max`."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        kind, file = ("memory", "memory.limit_in_bytes") if "memory" in controllers.split(",") else ("", "memory.max")
        mount = root / "sys/fs/cgroup" / kind
        group = mount / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(mount):
                break
            text = (folder / file).read_text().strip() if (folder / file).is_file() else ""
            if text.isdigit():
                yield int(text)
