# SPDX-License-Identifier: Apache-2.0
"""Runs of the same tests in forks of one process that has their libraries loaded, which is most of a short run.

`python -P forks.py serve SOCKET TESTS...` runs the tests once, loads what they loaded of what lies outside the working
folder, says `ready` and answers; `python -P forks.py ask SOCKET` has one run done and ends as it ended. What is asked
for is written into the standard streams of whoever asks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
import threading
from pathlib import Path


def serve(place: str, arguments: list[str]) -> None:
    """Answer each connection with a run of pytest, until this process is ended.

    Args:
        place: Where the socket is to be.
        arguments: Pytest's.

    Raises:
        SystemExit: The first run fails.
    """
    names, code = _first_run(arguments)
    if code:
        raise SystemExit(code)
    for name in names:
        with contextlib.suppress(Exception):  # what only a test could load is loaded by the test
            importlib.import_module(name)
    gc.freeze()  # no run looks for garbage among what is loaded
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                _answer(connection, arguments)


def ask(place: str) -> int:
    """Return how a run ended; 1 where it was killed."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        socket.send_fds(connection, [b"run"], [1, 2])
        return int(connection.recv(16) or 1)


def _first_run(arguments: list[str]) -> tuple[list[str], int]:
    """Return the names of the foreign modules that the tests load, and how they ended."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reader)
        os.dup2(2, 1)
        code = _pytest(arguments)
        here = Path.cwd()
        names = [name for name, module in sys.modules.items() if _is_foreign(module, here)]
        with os.fdopen(writer, "w") as stream:
            stream.write("\n".join(names))
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as stream:
        names = stream.read().split()
    _, status = os.waitpid(child, 0)
    return names, os.waitstatus_to_exitcode(status)


def _is_foreign(module: object, here: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and not Path(file).is_relative_to(here)


def _answer(connection: socket.socket, arguments: list[str]) -> None:
    _, streams, _, _ = socket.recv_fds(connection, 16, 2)
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # The first run left compiled files of what was there; two mutants written in one second would share one.
        sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
        # Whoever asks gives up in the end, and a mutant may never end by itself.
        threading.Thread(target=lambda: (connection.recv(1), os._exit(1)), daemon=True).start()
        for own, theirs in enumerate(streams, start=1):
            os.dup2(theirs, own)
        connection.sendall(str(_pytest(arguments)).encode())
        os._exit(0)
    for stream in streams:
        os.close(stream)


def _pytest(arguments: list[str]) -> int:
    import hypothesis
    import pytest

    # That an example fails is enough: nobody reads the smallest one that does.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("unshrunk", deadline=None, phases=phases)
    code = int(pytest.main(["--hypothesis-profile=unshrunk", *arguments]))
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3:])
    raise SystemExit(ask(sys.argv[2]))
