# SPDX-License-Identifier: Apache-2.0
"""What every part of the cloud is given when it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CloudContext:
    """Where the cloud keeps its files and where it answers.

    Attributes:
        home: The `.mapgate` directory, absolute.
        port: The loopback port.
    """

    home: Path
    port: int

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"
