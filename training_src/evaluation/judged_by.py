# SPDX-License-Identifier: Apache-2.0
"""By whose rules an execution is judged: the environment's policy, tightened by the execution's own, and the record."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training_src.evaluation.floor import tightened
from training_src.evaluation.policy import GatePolicy, read_policy
from training_src.evaluation.schema import JudgedBy, PolicyFile


@dataclass(frozen=True)
class GivenPolicy:
    """A policy as the job was given it: the file, and the address that it was copied from, where that is told."""

    file: Path
    uri: str | None

    @property
    def record(self) -> PolicyFile:
        """What evaluation.json says of it."""
        return PolicyFile(uri=self.uri, sha256=hashlib.sha256(self.file.read_bytes()).hexdigest())


@dataclass(frozen=True)
class Rules:
    """The rules that count, who asked for what, and who chose the test set."""

    policy: GatePolicy
    judged_by: JudgedBy
    chosen_by: Literal["environment", "execution"]


def read_rules(floor: GivenPolicy, run: GivenPolicy | None, map_threshold: float) -> Rules:
    """Read and join the policies.

    Args:
        floor: The environment's.
        run: The execution's own; None where it has none.
        map_threshold: The parameter MapThreshold.

    Raises:
        PolicyError: One of them is no policy.
    """
    environment = read_policy(floor.file)
    policy, overruled, left_out = tightened(environment, read_policy(run.file) if run else None)
    return Rules(
        policy,
        JudgedBy(
            floor=floor.record,
            run=run.record if run else None,
            map_threshold=map_threshold,
            overruled=overruled,
            left_out=left_out,
        ),
        "execution" if environment.test_set is None else "environment",
    )
