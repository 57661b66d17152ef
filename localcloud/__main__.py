# SPDX-License-Identifier: Apache-2.0
"""`python -m localcloud --home DIR --port N`: the server process of the laptop's cloud."""

from __future__ import annotations

import argparse
from pathlib import Path

from localcloud.context import CloudContext


def main() -> None:
    """Read the two options and serve."""
    parser = argparse.ArgumentParser(prog="python -m localcloud")
    parser.add_argument("--home", type=Path, required=True, help="the .mapgate directory")
    parser.add_argument("--port", type=int, required=True, help="loopback port")
    options = parser.parse_args()

    from localcloud.server import serve  # imports moto, after --help

    serve(CloudContext(home=options.home.resolve(), port=options.port))


if __name__ == "__main__":
    main()
