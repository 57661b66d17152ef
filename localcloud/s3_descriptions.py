# SPDX-License-Identifier: Apache-2.0
"""Descriptions of S3 objects on disk, a row a version, so that a new object costs a row and not a snapshot of all.

A row is never changed: an object that has changed forgets its row and gets a new one. What no index names is dropped
when the cloud starts.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.s3.utils import _VersionedKeyStore

ROW = "_row"
"""The attribute of an object, or of a delete marker, that names its row."""


class ObjectRows:
    """The table of descriptions.

    Args:
        file: SQLite's.
        freeze: An object's state to bytes.
        thaw: And back.
    """

    def __init__(self, file: Path, freeze: Callable[[Any], bytes], thaw: Callable[[bytes], Any]) -> None:
        self._freeze = freeze
        self._thaw = thaw
        self._used: set[int] = set()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        file.chmod(0o600)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS descriptions (row INTEGER PRIMARY KEY, pickled BLOB NOT NULL)"
        )

    def index_of(self, store: _VersionedKeyStore) -> bytes:
        """The names and rows of a bucket's objects; rows of new and changed ones are written first."""
        index, unwritten = [], []
        for name, objects in dict.items(store):
            rows = [one.__dict__.get(ROW) for one in objects]
            index.append((name, rows))
            if None in rows:
                unwritten.append((objects, rows))
        if unwritten:
            self._database.execute("BEGIN")
            for objects, rows in unwritten:
                for place, one in enumerate(objects):
                    if rows[place] is None:
                        insert = "INSERT INTO descriptions (pickled) VALUES (?)"
                        rows[place] = self._database.execute(insert, (self._freeze([one]),)).lastrowid
                        one.__dict__[ROW] = rows[place]
            self._database.execute("COMMIT")
        return pickle.dumps(index)

    def store_of(self, index: bytes) -> _VersionedKeyStore:
        """A bucket's objects by what `index_of` gave.

        Raises:
            KeyError: A row is gone.
        """
        store = _VersionedKeyStore()
        for name, rows in pickle.loads(index):
            dict.__setitem__(store, name, [self._object(row) for row in rows])
        return store

    def drop_unused(self) -> None:
        """Remove the rows that nothing restored so far has named."""
        written = {row for (row,) in self._database.execute("SELECT row FROM descriptions")}
        gone = [(row,) for row in written - self._used]
        self._database.execute("BEGIN")
        self._database.executemany("DELETE FROM descriptions WHERE row = ?", gone)
        self._database.execute("COMMIT")

    def _object(self, row: int) -> Any:
        found = self._database.execute("SELECT pickled FROM descriptions WHERE row = ?", (row,)).fetchone()
        if found is None:
            raise KeyError(f"the description of an S3 object, row {row}, is gone")
        (one,) = self._thaw(found[0])
        one.__dict__[ROW] = row
        self._used.add(row)
        return one
