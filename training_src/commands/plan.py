# SPDX-License-Identifier: Apache-2.0
"""`plan`: an execution judged where it is started, as far as a laptop can see: nothing is uploaded, nothing is paid."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from training_src.data.checks.policy import read_policy_of
from training_src.data.examination import examine
from training_src.data.label_map import read_label_map
from training_src.errors import BadInputError, DataError
from training_src.evaluation.floor import tightened
from training_src.evaluation.policy import GatePolicy, read_policy
from training_src.models.config.pipeline import bundled_architectures, load
from training_src.plan import judge_class_names, judge_dataset, judge_settings
from training_src.prepare import SHOWN
from training_src.progress import Progress


def run(
    folder: Path | None = None,
    *,
    architecture: str | None = None,
    config: Path | None = None,
    label_map: Path | None = None,
    floor_policy: Path | None = None,
    gate_policy: Path | None = None,
    training_settings: str = "",
    map_threshold: float = 0.0,
) -> int:
    """Judge what an execution is started with, a sentence for each fault: 0 nothing is wrong, 2 something is.

    What is not given lies elsewhere and is judged there. `floor_policy` is the environment's gate policy, and
    `gate_policy` the execution's own, which can only tighten it: what it would loosen is told, and is no fault.
    """
    faults = judge_settings(training_settings, map_threshold)
    if config is None and architecture and architecture not in (known := bundled_architectures()):
        faults.append(f'Architecture "{architecture}" is not known; choose one of {", ".join(known)}.')
    policy, overruled = _policy(floor_policy, gate_policy, faults)
    with _noted(faults):
        if folder is not None:
            _judge_folder(folder, config, label_map, policy, faults)
        else:
            _judge_classes(config, label_map, policy, faults)
    for sentence in (*overruled, *faults):
        print(sentence, file=sys.stderr)
    return BadInputError.exit_code if faults else 0


def _policy(
    floor_policy: Path | None, gate_policy: Path | None, faults: list[str]
) -> tuple[GatePolicy | None, list[str]]:
    """The policy by which will be judged, as far as it is here, and what of the execution's own is overruled."""
    found: list[GatePolicy | None] = []
    for file in (floor_policy, gate_policy):
        read = None
        with _noted(faults):
            read = read_policy(file) if file else None
        found.append(read)
    floor, own = found
    if floor is None:
        return own, []
    policy, overruled, _ = tightened(floor, own)
    return policy, overruled


def _judge_folder(
    folder: Path, config: Path | None, label_map: Path | None, policy: GatePolicy | None, faults: list[str]
) -> None:
    """Add what PrepareDataset and CheckPlan would say of a folder, of whose images only the headers are read."""
    data_policy = replace(read_policy_of(folder), decode_check="header")
    with examine(
        folder, config=config, label_map=label_map, policy=data_policy, progress=Progress("looked at")
    ) as examined:
        if examined.findings.number("error"):
            faults += examined.findings.sentences("error", SHOWN)
            return
        if policy is not None:
            faults += judge_dataset(policy, examined.description)
        if config is not None:
            load(config, examined.label_map.greatest_id, len(examined.label_map.names))


def _judge_classes(config: Path | None, label_map: Path | None, policy: GatePolicy | None, faults: list[str]) -> None:
    """Add what a label map tells of a config and a policy, and a config of itself."""
    labels = read_label_map(label_map) if label_map else None
    if labels is not None and policy is not None:
        faults += judge_class_names(policy, list(labels.names.values()))
    if config is not None:
        load(config, labels.greatest_id if labels else 1, len(labels.names) if labels else 0)


@contextmanager
def _noted(faults: list[str]) -> Iterator[None]:
    """Bad input is noted beside the other faults."""
    try:
        yield
    except DataError as error:
        faults += error.sentences
    except BadInputError as error:
        faults.append(str(error))
