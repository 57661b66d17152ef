# SPDX-License-Identifier: Apache-2.0
"""The environment's gate policy, which no execution can loosen: read and hashed at synth.

What its rules say is judged where they are applied, by CheckPlan and EvaluateDetector. Here stands what a deployment
needs to know: that it is a policy at all, its hash, and whether it names the test set that every detector answers.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BUNDLED = ROOT / "infra" / "training" / "defaults" / "gate_policy.yaml"
SCHEMA_VERSION = 2
PREFIX = "defaults/gate-policy"
"""In the data bucket; each policy lies in a folder below it that its hash names, as `FILE`."""
FILE = "gate_policy.yaml"
MAXIMUM_BYTES = 65_536
"""It travels in the properties of a custom resource, whose function takes a megabyte at most.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""
# Of an object's key, the characters that neither an ARN's pattern nor CloudFormation reads as anything else.
_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>(?:[A-Za-z0-9_.=+-]+/)+)")
_LONGEST_URI = 1024


class FloorPolicyError(ValueError):
    """The policy's file cannot be used; the message names the key and the way out."""


@dataclass(frozen=True)
class NamedTestSet:
    """A test set that the environment chose.

    Attributes:
        uri: Of a folder of prepared shards with their label map, with a slash at its end.
        sha256: What EvaluateDetector must find there: the digest of the test set, as evaluation.json has it.
    """

    __test__ = False  # no test class for pytest

    uri: str
    sha256: str

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.uri.removeprefix("s3://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """Prefix in it, with a slash at its end."""
        return self.uri.removeprefix("s3://").partition("/")[2]


@dataclass(frozen=True)
class FloorPolicy:
    """The file, as it is deployed.

    Attributes:
        text: All of it.
        sha256: Of its bytes.
        test_set: None where each execution answers the test set that it prepared.
    """

    text: str
    sha256: str
    test_set: NamedTestSet | None = None

    @property
    def folder(self) -> str:
        """Its prefix in the data bucket, with a slash at its end."""
        return f"{PREFIX}/{self.sha256}/"


def read_floor_policy(path: Path) -> FloorPolicy:
    """Read a policy's file.

    Raises:
        FloorPolicyError: It is not there, no YAML, or no gate policy, or the test set that it names cannot be one.
    """
    try:
        content = path.read_bytes()
        text = content.decode()
    except OSError as error:
        raise FloorPolicyError(f"{path} cannot be read ({error.strerror}); name a file beside this one") from error
    except UnicodeDecodeError as error:
        raise FloorPolicyError(f"{path} is not UTF-8 (at byte {error.start}); save it as such") from error
    if len(content) > MAXIMUM_BYTES:
        raise FloorPolicyError(f"{path} has {len(content):,} bytes, and {MAXIMUM_BYTES:,} can be deployed; shorten it")
    try:
        policy = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}, column {place.column + 1}" if place else ""
        raise FloorPolicyError(f"{path} is no YAML: {getattr(error, 'problem', None) or error}{where}") from None
    version = policy.get("schema_version") if isinstance(policy, dict) else None
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        raise FloorPolicyError(
            f"{path} is no gate policy of this release: its schema_version is {_shown(version)}, not {SCHEMA_VERSION}; "
            f"begin with a copy of {BUNDLED.relative_to(ROOT)}, which tells what each key asks"
        )
    return FloorPolicy(text, hashlib.sha256(content).hexdigest(), _test_set(policy.get("test_set"), path))


def _test_set(stated: object, path: Path) -> NamedTestSet | None:
    if stated is None:
        return None
    form = "{uri: s3://<bucket>/<folder>/, sha256: <64 hexadecimal digits>}"
    if not isinstance(stated, Mapping) or stated.keys() != {"uri", "sha256"}:
        raise FloorPolicyError(f"{path}: test_set has not the form {form}")
    uri, sha256 = str(stated["uri"]), str(stated["sha256"])
    if not _URI.fullmatch(uri) or len(uri) > _LONGEST_URI:
        raise FloorPolicyError(
            f"{path}: test_set.uri {uri!r} is no folder in S3 with a slash at its end, of letters, digits and _.=+-, "
            f"such as s3://<bucket>/test-sets/2026-11/"
        )
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise FloorPolicyError(
            f"{path}: test_set.sha256 {sha256!r} is no digest of 64 hexadecimal digits; dataset.test_set of an "
            "evaluation.json on these shards is one"
        )
    return NamedTestSet(uri, sha256)


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if (name := str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(None, None, f'"{name}" is there twice', key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)
