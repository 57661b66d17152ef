# SPDX-License-Identifier: Apache-2.0
"""Runs a command that must not outlive the cloud: `python -I -S supervisor.py USAGE COMMAND...`.

The cloud holds the other end of standard input. A `t` on it sends SIGTERM to the command, as `docker stop` does; its
end, which also comes when the cloud is killed, kills the command and all that it started. Works wherever there are
pipes and process groups, and depends on nothing but the standard library. Should this very process be killed, Linux
kills the command. When the command has ended, the file USAGE says how many CPU seconds it took, children that it
waited for included.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess  # the standard library is all that is here
import sys
import threading

PR_SET_PDEATHSIG = 1


def main(usage: str, command: list[str]) -> int:
    """Run `command` in a process group of its own; its exit code, 128 + n when signal n ended it."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, lambda *_: None)  # unlike SIG_IGN, not inherited by the command
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_me)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error}", file=sys.stderr)
        return 127
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    code = child.wait()
    _kill(child.pid)  # what the command left behind
    with contextlib.suppress(OSError):  # a full disk, or a folder that is gone, is no failure of the command
        _write_usage(usage)
    return code if code >= 0 else 128 - code


def _write_usage(usage: str) -> None:
    spent, beside = resource.getrusage(resource.RUSAGE_CHILDREN), f"{usage}.partial"
    with open(beside, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would be a tenth of a second
        json.dump({"cpu_seconds": round(spent.ru_utime + spent.ru_stime, 3)}, file)
    os.replace(beside, usage)  # noqa: PTH105


def _die_with_me() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch(child: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1) == b"t":
        child.terminate()
    _kill(child.pid)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    os._exit(main(sys.argv[1], sys.argv[2:]))
