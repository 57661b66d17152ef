# SPDX-License-Identifier: Apache-2.0
"""Which cores serve and which ask, and what a server's processes have used of theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cores:
    """The cores of this machine, shared out: the last one to the clients, all others to the server.

    Both are empty where a platform pins no process, and both the same where there is one core.
    """

    server: tuple[int, ...]
    clients: tuple[int, ...]

    @classmethod
    def shared_out(cls) -> Cores:
        """Of those that this process may use."""
        if not hasattr(os, "sched_setaffinity"):
            return cls((), ())
        *server, last = sorted(os.sched_getaffinity(0))
        return cls(tuple(server) or (last,), (last,))

    @property
    def serving(self) -> int:
        """How many serve."""
        return len(self.server) or os.cpu_count() or 1

    def __str__(self) -> str:
        if not self.server:
            return f"server and clients on the same {self.serving} cores, as nothing can be pinned here"
        if self.server == self.clients:
            return "server and clients on the same one core"
        return f"server on {self.serving} core{'s' if self.serving > 1 else ''}, clients on another"


@contextmanager
def pinned(cores: tuple[int, ...]) -> Iterator[None]:
    """Keep this thread, and the processes that it starts, on some cores until the block ends; on any for none."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def listener(port: int) -> psutil.Process:
    """The process, of those that this one started, that listens on a port.

    Raises:
        LookupError: None does.
    """
    for process in psutil.Process().children(recursive=True):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                return process
    raise LookupError(f"none of this process's children listens on port {port}")


def cpu_seconds(process: psutil.Process) -> float:
    """User and system seconds of a process and its living descendants until now."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)
