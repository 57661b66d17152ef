# SPDX-License-Identifier: Apache-2.0
"""The inference image's commands.

`serve` (SageMaker runs `docker run IMAGE serve`), `measure` (MeasureServing), and `answer`, which a laptop runs.
"""

import argparse
import logging
import os
import sys
from pathlib import Path


def main() -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 the work failed, 2 bad input.
    """
    parser = argparse.ArgumentParser(prog="python -m inference_src", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve")
    commands.add_parser("measure")
    answering = commands.add_parser("answer")
    answering.add_argument("model", type=Path, help="a model.tar.gz, or its folder")
    answering.add_argument("pictures", type=Path, nargs="+", metavar="picture")
    given = parser.parse_args()
    if given.command == "serve":
        from inference_src.server import serve

        code = serve(os.environ)
        logging.shutdown()
        # A runtime's own threads may abort a process whose interpreter is being taken down beneath them.
        os._exit(code)
    if given.command == "answer":
        from inference_src.answer import answer

        return answer(given.model, given.pictures)
    from inference_src.measure import measure

    return measure()


if __name__ == "__main__":
    sys.exit(main())
