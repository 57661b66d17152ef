# SPDX-License-Identifier: Apache-2.0
"""Instance types: what they cost, hold and do, from `instance_types.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("instance_types.yaml")


@dataclass(frozen=True)
class InstanceType:
    """One type; None where something is not known.

    Attributes:
        usd_per_hour: On demand.
        memory_gib: Of the machine.
        gpu_memory_gib: Of one GPU, as far as a training may use it; None also where there is none.
        speed: Of training, as a multiple of the machine on which steps were measured.
        gpus: How many.
    """

    name: str
    usd_per_hour: float | None = None
    memory_gib: float | None = None
    gpu_memory_gib: float | None = None
    speed: float | None = None
    gpus: int = 0

    @property
    def training_memory_gib(self) -> float | None:
        """What a batch has to fit into."""
        return self.gpu_memory_gib if self.gpus else self.memory_gib

    @property
    def is_known(self) -> bool:
        """Whether its memory and speed are."""
        return self.training_memory_gib is not None and self.speed is not None


def instance_type(name: str) -> InstanceType:
    """The type of that name, all of it unknown where the file has no line for it."""
    numbers = _file()["instance_types"].get(name, {})
    return InstanceType(name, gpus=1 if "gpu_memory_gib" in numbers else 0, **numbers)


def known() -> list[str]:
    """The names of the types that the file has a line for."""
    return sorted(_file()["instance_types"])


def prices_of() -> str:
    """The date and the region of the prices."""
    return f"{_file()['prices_of']}, {_file()['region']}"


@cache
def _file() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return read
