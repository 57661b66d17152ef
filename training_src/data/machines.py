# SPDX-License-Identifier: Apache-2.0
"""One data set prepared by several machines: who is here, what each leaves, and how the whole is judged.

Images are dealt out (`ShardedByS3Key`), annotations come whole to every machine (`FullyReplicated`, the input
`annotations`), so each machine knows all annotations and prepares the images that it has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from containers.contract.job import Hosts, read_hosts
from training_src.data.checks.policy import policy_to_json
from training_src.data.examination import Examined

_PART = "part-{}.sqlite"


def other_machines(root: Path) -> Hosts | None:
    """This machine and those that it shares the data set with, by the platform's file; None where it is alone.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
    """
    found = read_hosts(root / "config")
    return found if found and len(found.hosts) > 1 else None


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


def write_part(metadata: Path, shared: Hosts, examined: Examined) -> None:
    """Leave what `join` needs of this machine's part."""
    index = examined.index
    index.set_fact("host", shared.current_host)
    index.set_fact("hosts", json.dumps(shared.hosts))
    index.set_fact("format", examined.format)
    index.set_fact("label_map", json.dumps(list(examined.label_map.names.items())))
    index.set_fact("policy", policy_to_json(examined.policy))
    index.set_fact("findings", examined.findings.to_json())
    index.write_part(metadata / _PART.format(shared.current_host))


def part_files(metadata: Path) -> list[Path]:
    """What all machines left."""
    return sorted(metadata.rglob(_PART.format("*")))
