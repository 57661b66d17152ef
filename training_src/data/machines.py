# SPDX-License-Identifier: Apache-2.0
"""One data set prepared by several machines: who is here, what each leaves, and how the whole is judged.

Images are dealt out (`ShardedByS3Key`), annotations come whole to every machine (`FullyReplicated`, the input
`annotations`), so each machine knows all annotations and prepares the images that it has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from containers.contract.job import read_hosts
from training_src.data.checks.policy import policy_to_json
from training_src.data.examination import Examined

_PART = "part-{}.sqlite"


@dataclass(frozen=True)
class Machines:
    """The machine's name, empty where it is alone, and the names of all."""

    name: str
    hosts: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether it prepares the whole data set."""
        return not self.name


def machines(root: Path) -> Machines:
    """Who prepares the data set, by the platform's `resourceconfig.json`.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
    """
    found = read_hosts(root / "config")
    return Machines(found.current_host, found.hosts) if found and len(found.hosts) > 1 else Machines("")


def link_together(folders: Sequence[Path], destination: Path) -> Path:
    """A folder that shows the files of several as one; of equal names the later's is shown."""
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_dir():
                continue
            link = destination / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            try:
                link.hardlink_to(file)
            except OSError:
                link.symlink_to(file)
    return destination


def write_part(metadata: Path, here: Machines, examined: Examined) -> None:
    """Leave what `join` needs of this machine's part."""
    index = examined.index
    index.set_fact("host", here.name)
    index.set_fact("hosts", json.dumps(here.hosts))
    index.set_fact("format", examined.format)
    index.set_fact("label_map", json.dumps(list(examined.label_map.names.items())))
    index.set_fact("policy", policy_to_json(examined.policy))
    index.set_fact("findings", examined.findings.to_json())
    index.write_part(metadata / _PART.format(here.name))


def part_files(metadata: Path) -> list[Path]:
    """What all machines left."""
    return sorted(metadata.rglob(_PART.format("*")))
