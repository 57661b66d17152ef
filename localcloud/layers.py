# SPDX-License-Identifier: Apache-2.0
"""ECR's layers: what a push uploads, digest by digest, before a manifest may name it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

from localcloud.context import CloudContext
from localcloud.dispatch import Call, Handler, ServiceError, replace_action, state_lock

PART_BYTES = 10 << 20


def install(_: CloudContext) -> None:
    """Answer the actions by which a client uploads layers; moto has none of them."""
    handlers: dict[str, Handler] = {
        "BatchCheckLayerAvailability": _check,
        "CompleteLayerUpload": _complete,
        "InitiateLayerUpload": _initiate,
        "UploadLayerPart": _upload,
    }
    for action, handler in handlers.items():
        replace_action("ecr", action, handler)


def layer(call: Call, repository: str, digest: str) -> bytes | None:
    """What was uploaded to a repository under a digest; None where nothing was."""
    with state_lock:
        return _layers(_repository(call, repository)).get(digest)


def missing_layers(call: Call) -> list[str]:
    """The digests of a PutImage's manifest, the image's configuration among them, that nobody has uploaded."""
    manifest = json.loads(call.parameters["imageManifest"])
    layers = _layers(_repository(call, call.parameters["repositoryName"]))
    return [digest for digest in _named(manifest) if digest not in layers]


def _named(manifest: dict[str, Any]) -> Iterator[str]:
    for descriptor in (manifest.get("config"), *manifest.get("layers", ())):
        if descriptor and "digest" in descriptor:
            yield descriptor["digest"]


def _initiate(call: Call) -> dict[str, Any]:
    identifier = str(uuid.uuid4())
    with state_lock:
        _uploads(_repository(call))[identifier] = b""
    return {"uploadId": identifier, "partSize": PART_BYTES}


def _upload(call: Call) -> dict[str, Any]:
    part, first = call.parameters["layerPartBlob"], call.parameters["partFirstByte"]
    with state_lock:
        repository = _repository(call)
        received = _upload_of(repository, call)
        if first != len(received):
            raise ServiceError(
                "InvalidLayerPartException", f"The layer part is invalid: expected first byte {len(received)}"
            )
        _uploads(repository)[call.parameters["uploadId"]] = received + part
    return {**_identity(call), "lastByteReceived": len(received) + len(part) - 1}


def _complete(call: Call) -> dict[str, Any]:
    with state_lock:
        repository = _repository(call)
        received = _upload_of(repository, call)
        digest = f"sha256:{hashlib.sha256(received).hexdigest()}"
        if not received:
            raise ServiceError("EmptyUploadException", "The layer upload does not contain any layer parts.")
        if digest not in call.parameters["layerDigests"]:
            asked = ", ".join(call.parameters["layerDigests"])
            raise ServiceError("InvalidLayerException", f"The layer's digest is {digest}, not {asked}")
        if digest in _layers(repository):
            raise ServiceError("LayerAlreadyExistsException", f"Layer with digest {digest} already exists")
        _layers(repository)[digest] = received
        del _uploads(repository)[call.parameters["uploadId"]]
    return {**_identity(call), "layerDigest": digest}


def _check(call: Call) -> dict[str, Any]:
    with state_lock:
        layers = _layers(_repository(call))
    available = [
        {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": len(layers[digest])}
        if digest in layers
        else {"layerDigest": digest, "layerAvailability": "UNAVAILABLE"}
        for digest in call.parameters["layerDigests"]
    ]
    return {"layers": available, "failures": []}


def _identity(call: Call) -> dict[str, Any]:
    names = ("repositoryName", "uploadId")
    return {"registryId": call.account, **{name: call.parameters[name] for name in names}}


def _repository(call: Call, name: str | None = None) -> Any:
    """moto's repository; what it does not know of, it is given as attributes, so that they are kept with it."""
    name = name or call.parameters["repositoryName"]
    try:
        return call.backend("ecr").repositories[name]
    except KeyError:
        raise ServiceError(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id '{call.account}'",
        ) from None


def _layers(repository: Any) -> dict[str, bytes]:
    return repository.__dict__.setdefault("layers_by_digest", {})  # type: ignore[no-any-return]


def _uploads(repository: Any) -> dict[str, bytes]:
    return repository.__dict__.setdefault("uploads_by_id", {})  # type: ignore[no-any-return]


def _upload_of(repository: Any, call: Call) -> bytes:
    identifier = call.parameters["uploadId"]
    try:
        return _uploads(repository)[identifier]
    except KeyError:
        raise ServiceError("UploadNotFoundException", f"The upload {identifier} could not be found.") from None
