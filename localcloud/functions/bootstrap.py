# SPDX-License-Identifier: Apache-2.0
"""The bootstrap of a Lambda function's own process. Started by path and isolated, it imports nothing of this project.

The first line on standard input is a JSON object: `paths` (task, layers, boto3: put in front of sys.path), `handler`,
`event`, `context`, `timeout` and `result` (a file). Before the handler is called, a line goes to the descriptor that
the arguments name; its answer, or the error as Lambda shapes it, goes to the result file. The end of standard input is
the end of the server, so this process ends too.
"""

import importlib
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path


class Context:
    """The second argument of a handler."""

    def __init__(self, given: dict[str, str], deadline: float) -> None:
        self.__dict__.update(given)
        self._deadline = deadline
        self.identity = None
        self.client_context = None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the time-out."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def log(self, message: object) -> None:
        """Print, as the runtime does."""
        sys.stdout.write(str(message))


def main() -> None:
    """Import the handler, call it, write what came of it."""
    outcome: dict[str, object]
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    sys.path[:0] = request["paths"]
    try:
        module, _, name = request["handler"].rpartition(".")
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
        os.write(int(sys.argv[1]), b"ready\n")
        deadline = time.monotonic() + request["timeout"]
        outcome = {"payload": json.dumps(handler(request["event"], Context(request["context"], deadline)))}
    except BaseException as error:
        frames = traceback.format_exception(type(error), error, error.__traceback__)
        sys.stdout.write(f"[ERROR] {type(error).__name__}: {error}\n" + "".join(frames[:1] + frames[2:]))
        outcome = {
            "error": {
                "errorMessage": str(error),
                "errorType": type(error).__name__ if not isinstance(error, SystemExit) else "Runtime.ExitError",
                "requestId": request["context"]["aws_request_id"],
                "stackTrace": frames[2:-1],
            }
        }
    outcome["memory"] = _peak_megabytes()
    sys.stdout.flush()
    beside = Path(request["result"] + ".part")
    beside.write_text(json.dumps(outcome))
    beside.replace(request["result"])  # its time may be up at any moment: there is a whole result, or none
    os._exit(0)


def _end_with_the_server() -> None:
    sys.stdin.read()
    os._exit(3)


def _peak_megabytes() -> int:
    try:
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024**2


if __name__ == "__main__":
    main()
