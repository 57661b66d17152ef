# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.localcloud.conformance`: how many of the recorded answers hold, and where the others differ."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from localcloud import cloud
from tests.localcloud.conformance import recorded


def main() -> None:
    """Play every case on a cloud of its own, and print a line for each service and each known difference."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / ".mapgate"
        try:
            player = recorded.Player(cloud.up(home).endpoint_url)
            for service in recorded.SERVICES:
                cases = list(recorded.cases(service))
                count = sum(player.play(case).holds(case) for case in cases)
                print(f"{service:15} {count:4} of {len(cases):4}")
        finally:
            cloud.down(home)
    print(recorded.sentence())
    for reason, count in Counter(recorded.known_differences().values()).items():
        print(f"{count:4} differ: {reason}")


if __name__ == "__main__":
    main()
