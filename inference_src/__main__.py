# SPDX-License-Identifier: Apache-2.0
"""The inference image's commands: `serve` (SageMaker runs `docker run IMAGE serve`) and `measure` (MeasureServing)."""

import argparse
import logging
import os
import sys


def main() -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 the work failed, 2 bad input.
    """
    parser = argparse.ArgumentParser(prog="python -m inference_src", description=__doc__)
    parser.add_argument("command", choices=["serve", "measure"])
    command = parser.parse_args().command
    if command == "serve":
        from inference_src.server import serve

        code = serve(os.environ)
        logging.shutdown()
        # The HTTP server's own threads may abort a process whose interpreter is being taken down beneath them.
        os._exit(code)
    from inference_src.measure import measure

    return measure()


if __name__ == "__main__":
    sys.exit(main())
