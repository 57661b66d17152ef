# SPDX-License-Identifier: Apache-2.0
"""Rows by key that leave memory for a temporary file when they become many."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator
from typing import Any

# Of all spills together; some 400 bytes each.
ROWS_IN_MEMORY = 200_000
# So many of its own a spill keeps even then: a write has to be worth it.
_FEW = 10_000

Key = str | int


class Spill:
    """Rows that are added one by one and then looked up by key, however many they are.

    The temporary file is SQLite's own: without a name, and gone with the process.
    """

    _in_memory = 0  # rows of all spills

    def __init__(self, rows_in_memory: int | None = None) -> None:
        self._limit = ROWS_IN_MEMORY if rows_in_memory is None else rows_in_memory
        self._memory: dict[Key, list[Any]] = {}
        self._count = 0
        self._file: sqlite3.Connection | None = None
        self._sorted = False

    def add(self, key: Key, row: Any) -> None:
        """Keep a row of plain values; a number as key has at most 63 bits."""
        self._memory.setdefault(key, []).append(row)
        self._count += 1
        Spill._in_memory += 1
        if self._count >= self._limit or (Spill._in_memory >= ROWS_IN_MEMORY and self._count >= _FEW):
            self._write()

    def __del__(self) -> None:
        type(self)._in_memory -= self._count

    def rows(self, key: Key) -> list[Any]:
        """A key's rows in the order in which they were added."""
        if self._file is None:
            return self._memory.get(key, [])
        found = self._sorted_file().execute("SELECT row FROM sorted WHERE key = ? ORDER BY rowid", (key,))
        return [pickle.loads(row) for (row,) in found]

    def __contains__(self, key: Key) -> bool:
        if self._file is None:
            return key in self._memory
        return self._sorted_file().execute("SELECT 1 FROM sorted WHERE key = ?", (key,)).fetchone() is not None

    def items(self) -> Iterator[tuple[Key, Any]]:
        """Keys with their rows, each key where it came first; rows of one key may be apart."""
        if self._file is None:
            yield from ((key, row) for key, rows in self._memory.items() for row in rows)
            return
        for key, row in self._sorted_file().execute("SELECT key, row FROM spill ORDER BY rowid"):
            yield key, pickle.loads(row)

    def sorted_keys(self) -> Iterator[Key]:
        """Every key once; all keys are texts, or all are numbers."""
        if self._file is None:
            yield from sorted(self._memory)
            return
        for (key,) in self._sorted_file().execute("SELECT DISTINCT key FROM sorted ORDER BY key"):
            yield key

    def _write(self) -> None:
        if self._file is None:
            self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16384"):
                self._file.execute(f"PRAGMA {setting}")
            self._file.execute("CREATE TABLE spill (key, row BLOB)")  # a column without a type keeps 1 and "1" apart
        rows = ((key, pickle.dumps(row)) for key, rows in self._memory.items() for row in rows)
        self._file.execute("BEGIN")
        self._file.executemany("INSERT INTO spill VALUES (?, ?)", rows)
        self._file.execute("DROP TABLE IF EXISTS sorted")
        self._sorted = False
        self._file.execute("COMMIT")
        self._memory.clear()
        Spill._in_memory -= self._count
        self._count = 0

    def _sorted_file(self) -> sqlite3.Connection:
        """The file with a copy of the rows in the order of their keys: a key's rows lie on one page, not on many."""
        assert self._file is not None
        if self._memory:
            self._write()
        if not self._sorted:
            self._file.execute("CREATE TABLE sorted AS SELECT key, row FROM spill ORDER BY key, rowid")
            self._file.execute("CREATE INDEX by_key ON sorted (key)")
            self._sorted = True
        return self._file
