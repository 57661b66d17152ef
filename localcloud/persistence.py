# SPDX-License-Identifier: Apache-2.0
"""The cloud's state on disk: after a kill -9 and a restart everything is what it was when it was last answered.

Each backend of moto (a service in an account and region) is one file under `state/backends`. A request that changes
something is answered only after the backends that it may have changed have been written. Logs and metrics are written
within `LAZY_SECONDS`, and whatever changes without a request within `SWEEP_SECONDS`. The bytes of S3 objects lie
beside, once each, in files named by their content; their descriptions, of which there are thousands, in rows.
"""

from __future__ import annotations

import collections
import hashlib
import io
import logging
import pickle
import threading
import time
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
from cryptography.hazmat.primitives import serialization
from moto.backends import get_backend
from moto.core.base_backend import AccountSpecificBackend, BackendDict, BaseBackend
from moto.s3.utils import _VersionedKeyStore

from localcloud.context import CloudContext
from localcloud.dispatch import add_commit, backend, backends, state_lock
from localcloud.home import Home, private_directory, read_json, write_json, write_whole
from localcloud.moto_patches import MOTO_VERSION, keep_objects_in
from localcloud.s3_descriptions import ObjectRows

log = logging.getLogger(__name__)

COALESCE_SECONDS = 0.005
LAZY_SECONDS = 1.0
SWEEP_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 30.0
LAZY = frozenset({"logs", "cloudwatch"})
READS = (
    "Batch_Get",
    "BatchGet",
    "BatchDescribe",
    "Describe",
    "Filter",
    "Get",
    "Head",
    "List",
    "Lookup",
    "Query",
    "Scan",
)
AFFECTED: dict[str, tuple[str, ...]] = {
    "lambda": ("lambda", "sqs"),
    "s3": ("s3", "sqs"),
    "sns": ("sns", "sqs"),
    "sts": ("sts", "iam"),
}
"""Services whose requests change more than their own backend."""
SHARED = frozenset({"s3", "sqs", "iam"})
"""Services in which a request may change what belongs to another account."""
SKIPPED = frozenset({"cloudformation", "moto_api", "instance_metadata"})
"""CloudFormation is not moto's here: its stacks have files of their own."""

VERSION = "version.json"
"""Says by which moto the state was written; without it there is no state."""

Key = tuple[str, str, str]


class StateError(Exception):
    """The state on disk cannot be read; the message says what to do."""


class Snapshots:
    """Writes backends as they change, one writer for all requests."""

    def __init__(self, directory: Path) -> None:
        self._directory = private_directory(directory)
        self._version = directory.parent / VERSION
        self._written: dict[Key, bytes] = {}
        self._dirty: set[Key] = set()
        self._asked = 0
        self._done = 0
        self._changed = threading.Condition()

    def start(self) -> None:
        """Begin to write."""
        threading.Thread(target=self._write_for_ever, name="snapshots", daemon=True).start()

    def commit(self, service: str, action: str, account: str, region: str) -> None:
        """Note what a request may have changed, and wait until it is written, unless it only read."""
        if action.startswith(READS) or service in SKIPPED:
            return
        near = ((account, region), (account, "aws"), (account, "global"))
        with self._changed:
            for affected in AFFECTED.get(service, (service,)):
                self._dirty |= {key for key in _used(affected) if affected in SHARED or key[1:] in near}
            self._asked += 1
            ticket = self._asked
            self._changed.notify_all()
            if service in LAZY:
                return
            if not self._changed.wait_for(lambda: self._done >= ticket, LONGEST_WAIT_SECONDS):
                log.error("%s.%s was answered before it was written", service, action)

    def write(self, keys: set[Key]) -> None:
        """Write these backends, if they have changed since they were last written."""
        frozen: dict[Key, bytes] = {}
        for key in keys:
            with state_lock:
                frozen[key] = _frozen(backend(*key).__dict__)
        for key, content in frozen.items():
            digest = hashlib.blake2b(content, digest_size=16).digest()
            if self._written.get(key) != digest:
                service, account, region = key
                folder = private_directory(private_directory(self._directory / service) / account)
                write_whole(folder / f"{region}.pickle", content)
                self._written[key] = digest

    def load(self) -> None:
        """Put back what was written.

        Raises:
            StateError: A file cannot be read.
        """
        for file in sorted(self._directory.glob("*/*/*.pickle")):
            service, account, region = file.parent.parent.name, file.parent.name, file.stem
            try:
                state = _thawed(file.read_bytes())
            except Exception as error:
                raise StateError(
                    f"{file}: cannot be read ({error!r}); remove {self._directory.parent} to start with an empty cloud"
                ) from error
            restored = backend(service, account, region)
            restored.__dict__.clear()
            restored.__dict__.update(state)
            if service == "s3":
                every: Any = get_backend("s3")
                every.bucket_accounts.update(dict.fromkeys(restored.buckets, (restored.partition, account)))

    def _write_for_ever(self) -> None:
        lazily = swept = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._done, LAZY_SECONDS)
            time.sleep(COALESCE_SECONDS)
            now = time.monotonic()
            with self._changed:
                asked = self._asked
                late = now - lazily >= LAZY_SECONDS
                keys = {key for key in self._dirty if late or key[0] not in LAZY}
                self._dirty -= keys
            lazily = now if late else lazily
            try:
                if now - swept >= SWEEP_SECONDS:
                    swept = now
                    keys |= every_key()
                if self._version.exists():  # else somebody has removed the state, and nothing must come back
                    self.write(keys)
            except Exception:
                log.exception("the state could not be written")
            with self._changed:
                self._done = asked
                self._changed.notify_all()


_snapshots: Snapshots
_object_rows: ObjectRows


def install(context: CloudContext) -> None:
    """Restore the last state and begin to write changes.

    Raises:
        StateError: The state was written by another version of moto, or cannot be read.
    """
    global _object_rows, _snapshots
    state = Home(context.home).state
    written_by = (read_json(state / VERSION) or {}).get("moto", MOTO_VERSION)
    if written_by != MOTO_VERSION:
        raise StateError(
            f"{state}: written with moto {written_by}, but {MOTO_VERSION} is installed; remove {context.home} "
            "to start with an empty cloud"
        )
    objects = private_directory(state / "objects")
    keep_objects_in(objects)
    _object_rows = ObjectRows(state / "objects.sqlite", _frozen, _thawed)
    _snapshots = Snapshots(state / "backends")
    _snapshots.load()
    _object_rows.drop_unused()
    _drop_unused(objects)
    write_json(state / VERSION, {"moto": MOTO_VERSION})
    add_commit(_snapshots.commit)
    _snapshots.start()


def flush() -> None:
    """Write everything now; before the server ends."""
    _snapshots.write(every_key())


def every_key() -> set[Key]:
    """Service, account and region of each backend in use."""
    return {
        (str(one.service_name), account, region)
        for one in _instances()
        if one.service_name not in SKIPPED
        for account, by_region in list(one.items())
        for region in list(by_region)
    }


def _instances() -> list[Any]:
    every: Any = BackendDict
    return list(every._instances)


def _used(service: str) -> set[Key]:
    return {(service, account, region) for account, region, _ in backends(service)}


def _drop_unused(objects: Path) -> None:
    """Remove the contents of objects that no bucket holds any more."""
    used = set()
    for _, _, s3 in backends("s3"):
        for bucket in s3.buckets.values():
            keys = [key for _, versions in bucket.keys.lists() for key in versions]
            parts = [part for upload in bucket.multiparts.values() for part in upload.parts.values()]
            used |= {key.content_digest for key in [*keys, *parts] if hasattr(key, "content_digest")}
    for file in objects.glob("*/*"):
        if file.name not in used:
            file.unlink(missing_ok=True)


def _frozen(state: Any) -> bytes:
    written = io.BytesIO()
    _Pickler(written, protocol=pickle.HIGHEST_PROTOCOL).dump(state)
    return written.getvalue()


def _thawed(content: bytes) -> Any:
    return _Unpickler(io.BytesIO(content)).load()


def _restored_keys(index: bytes) -> Any:
    return _object_rows.store_of(index)


class _Pickler(pickle.Pickler):
    """Pickles moto's objects; other backends, locks, keys and local functions by what they mean."""

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, BaseBackend):
            for one in _instances():
                for account, region, candidate in one.iter_backends():
                    if candidate is value:
                        return ("backend", str(one.service_name), account, region)
        if isinstance(value, BackendDict):
            return ("backends", str(value.service_name))
        if isinstance(value, AccountSpecificBackend):
            return ("account", str(value.service_name), value.account_id)
        return None

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if kind is _VersionedKeyStore:
            return _restored_keys, (_object_rows.index_of(value),)
        if kind in _LOCKS:
            return _LOCKS[kind], ()
        if isinstance(value, threading.Condition):
            return threading.Condition, ()
        if isinstance(value, types.FunctionType) and "<locals>" in value.__qualname__:
            return dill.loads, (dill.dumps(value),)
        if isinstance(value, weakref.WeakValueDictionary):
            return _weak, (dict(value.items()),)
        if isinstance(value, collections.defaultdict) and kind is not collections.defaultdict:
            return _dictionary, (kind, value.default_factory), value.__dict__, None, iter(value.items())
        if hasattr(value, "private_bytes") and kind.__module__.startswith("cryptography."):
            return _private_key, (_private_bytes(value),)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, identity: Any) -> Any:
        kind, service, *where = identity
        if kind == "backend":
            return backend(service, *where)
        every: Any = get_backend(service)
        return every[where[0]] if kind == "account" else every


_LOCKS: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
}


def _weak(values: dict[Any, Any]) -> Any:
    return weakref.WeakValueDictionary(values)


def _dictionary(kind: Any, factory: Any) -> Any:
    """A defaultdict's subclass, without the constructor that wants more than a factory."""
    made = kind.__new__(kind)
    collections.defaultdict.__init__(made, factory)
    return made


def _private_bytes(key: Any) -> bytes:
    return bytes(
        key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _private_key(content: bytes) -> Any:
    return serialization.load_der_private_key(content, None)
