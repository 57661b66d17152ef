# SPDX-License-Identifier: Apache-2.0
"""DSSE envelopes: a statement, and a signature over its bytes and its type.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class EvidenceError(Exception):
    """A statement cannot be believed; the message says what is wrong with it."""


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed, in which neither the type nor the payload can run into the other.

    Args:
        payload_type: What says how to read the payload, a media type.
        payload: The bytes of the statement.
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(statement: Mapping[str, Any], sign: Callable[[bytes], bytes], key_id: str) -> bytes:
    """Return a signed statement, as the JSON of its envelope.

    Args:
        statement: An in-toto Statement; equal statements have equal payloads.
        sign: Returns the signature of a message.
        key_id: Names the key, as a hint: what an envelope says of its key is signed by nobody.
    """
    payload = json.dumps(statement, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    signature = sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(envelope, indent=1).encode()


def open_envelope(envelope: bytes, verify: Callable[[bytes, bytes], bool]) -> dict[str, Any]:
    """Return the statement of an envelope whose signature holds.

    Args:
        envelope: Its JSON.
        verify: Whether a message (first) has a signature (second).

    Raises:
        EvidenceError: It is no envelope of a statement, or nobody who may sign has signed it.
    """
    payload, signatures = _parts(envelope)
    message = pre_authentication_encoding(PAYLOAD_TYPE, payload)
    if not any(verify(message, signature) for signature in signatures):
        raise EvidenceError("the signature is not of this content by the environment's key: it was changed, or forged")
    return _statement(payload)


def read(envelope: bytes) -> dict[str, Any]:
    """Return the statement of an envelope as anybody may have written it: the signature is not looked at.

    Raises:
        EvidenceError: It is no envelope of a statement.
    """
    return _statement(_parts(envelope)[0])


def digest(envelope: bytes) -> str:
    """Return the hexadecimal SHA-256 of an envelope's bytes, by which the next statement names it."""
    return hashlib.sha256(envelope).hexdigest()


def _parts(envelope: bytes) -> tuple[bytes, list[bytes]]:
    """Payload and signatures; verifiers must take both alphabets of base64."""
    try:
        read_as: Any = json.loads(envelope)
        kind, payload = read_as["payloadType"], _decoded(read_as["payload"])
        signatures = [_decoded(each["sig"]) for each in read_as["signatures"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EvidenceError(f"it is no DSSE envelope ({type(error).__name__}: {error})") from None
    if kind != PAYLOAD_TYPE:
        raise EvidenceError(f"its payload is {kind!r}, not {PAYLOAD_TYPE}")
    return payload, signatures


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None


def _statement(payload: bytes) -> dict[str, Any]:
    try:
        statement = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"its payload is no JSON ({error})") from None
    if not isinstance(statement, dict):
        raise EvidenceError("its payload is no statement")
    return statement


_URL_SAFE = str.maketrans("-_", "+/")
