# SPDX-License-Identifier: Apache-2.0
"""Calls whose verdict was recorded from AWS, and how they are made again.

The cases were recorded from AWS by LocalStack's tests (https://github.com/localstack/localstack, Apache-2.0,
`tests/aws/services/**/*.snapshot.json`): calls, parameters, verdicts, error codes and messages are taken from there as
facts. A case's id is the test's node id below that folder, and the key of the answer.

Left out are recorded calls of another account or without a signature, those that need an operation or a parameter which
nothing here uses (`localcloud/emulated.py`), and those that are refused for a moment or a size that is not told here.

In a call's parameters, `§1§` is a name that each play makes afresh, `§0/QueueUrl§` what call 0 of the set-up answered
there, `§endpoint§` the address of the cloud, `§account§` an account of the play's own.
"""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

FOLDER = Path(__file__).parent
CHECKOUT = FOLDER.parents[2]
ACCEPTED = "accepted"
SERVICES: dict[str, list[str]] = yaml.safe_load((FOLDER / "operations.yaml").read_text())
"""By service: the operations that stacks, functions, commands and the CDK call."""

_PLACEHOLDER = re.compile("§([^§]+)§")
_READS = re.compile("Get|List|Describe|Head")
_account: ContextVar[str] = ContextVar("account")


@dataclass(frozen=True)
class Call:
    """One call of boto3's.

    Attributes:
        service: boto3's name of it.
        operation: "CreateQueue".
        parameters: With placeholders.
        region: Where it was made.
    """

    service: str
    operation: str
    parameters: dict[str, Any]
    region: str = "us-east-1"


@dataclass(frozen=True)
class Case:
    """A call, after others, and what AWS made of it.

    Attributes:
        id: The recorded test and the key of its answer.
        setup: Calls that AWS accepted before.
        call: The one that is judged.
        verdict: `ACCEPTED`, or the code of the error.
        message: AWS's words, where the recording kept them whole.
        answer: Fields of the answer, by their path, where they matter.
    """

    id: str
    setup: tuple[Call, ...]
    call: Call
    verdict: str
    message: str | None = None
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Played:
    """What the laptop's cloud made of a case.

    Attributes:
        verdict: As a case's; "set-up: ..." where it refused what AWS had accepted before.
        message: Of the error.
        answer: What `Case.answer` asks for.
    """

    verdict: str
    message: str = ""
    answer: Mapping[str, Any] | None = None

    def holds(self, case: Case) -> bool:
        """Whether AWS said the same."""
        return self.verdict == case.verdict and self.answer == case.answer

    def is_kinder(self, case: Case) -> bool:
        """Whether AWS refused what was accepted here."""
        return self.verdict == ACCEPTED != case.verdict


def cases(service: str) -> Iterator[Case]:
    """The recorded cases of a service."""
    for line in (FOLDER / f"{service}.jsonl").read_text().splitlines():
        row = json.loads(line)
        setup = tuple(Call(*one) for one in row.pop("setup", ()))
        yield Case(setup=setup, call=Call(*row.pop("call")), **row)


def known_differences() -> dict[str, str]:
    """Reasons by the ids of the cases that do not hold."""
    differences = yaml.safe_load((FOLDER / "known_differences.yaml").read_text())
    return {case: one["reason"] for one in differences for case in one["cases"]}


def sentence() -> str:
    """The line of README.md that says how many cases hold."""
    patterns = len((FOLDER / "event_patterns.jsonl").read_text().splitlines())
    count = patterns + sum(1 for service in SERVICES for _ in cases(service))
    share = 100 * (count - len(known_differences())) / count
    return (
        f"Of {count:,} calls whose verdict AWS was recorded to give, {share:.1f} % get the same (`make conformance`)."
    )


class Player:
    """Plays cases one after the other; one whose set-up goes on from where the last one stood goes on there.

    Args:
        endpoint_url: Of the laptop's cloud.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._fresh = _Fresh(endpoint_url)
        self._made: list[Call] = []

    def play(self, case: Case) -> Played:
        """Make the calls of a case, under names of its own or those of the cases before it."""
        if list(case.setup[: len(self._made)]) != self._made or not self._made:
            self._fresh, self._made = _Fresh(self._endpoint_url), []
        for call in case.setup[len(self._made) :]:
            try:
                self._fresh.answers.append(self._fresh.make(call))
            except ClientError as error:
                self._made = []
                return Played(f"set-up: {call.operation}: {error}")
            self._made.append(call)
        try:
            answer = self._fresh.make(case.call)
        except ClientError as error:
            told = error.response["Error"]
            return Played(told["Code"], told.get("Message", ""))
        if not _READS.match(case.call.operation):
            self._made.append(case.call)
            self._fresh.answers.append(answer)
        found = {path: _at(answer, path) for path in case.answer} if case.answer is not None else None
        return Played(ACCEPTED, answer=found)


class _Fresh:
    """Names and answers that calls share."""

    def __init__(self, endpoint_url: str) -> None:
        self.answers: list[Any] = []
        self._endpoint_url = endpoint_url
        self._account = f"{secrets.randbelow(10**12):012}"
        self._names: dict[str, str] = {}

    def make(self, call: Call) -> Any:
        client = _client(call.service, self._endpoint_url, call.region)
        _account.set(self._account)
        return getattr(client, xform_name(call.operation))(**self._filled(call.parameters))

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda found: self._meant(found[1]), value)
        if isinstance(value, list):
            return [self._filled(one) for one in value]
        if not isinstance(value, dict):
            return value
        match value:
            case {"$bytes": text}:
                return base64.b64decode(self._filled(text))
            case {"$zeros": count}:
                return b"\0" * count
            case {"$long": [text, count]}:
                return text * count
            case {"$time": text}:
                return datetime.fromisoformat(text)
            case {"$zip": _}:
                return _function_archive()
        return {self._filled(key): self._filled(one) for key, one in value.items()}

    def _meant(self, placeholder: str) -> str:
        if placeholder == "endpoint":
            return self._endpoint_url
        if placeholder == "account":
            return self._account
        if placeholder.isdecimal():
            return self._names.setdefault(placeholder, secrets.token_hex(4))
        call, path = placeholder.split("/", 1)
        return str(_at(self.answers[int(call)], path))


def _at(value: Any, path: str) -> Any:
    for part in path.split("/"):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


@cache
def _client(service: str, endpoint_url: str, region: str) -> Any:
    make: Any = boto3.client  # the stubs want a literal
    made = make(
        service,
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  # any key opens the emulated cloud
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, parameter_validation=False),
    )

    def name_account(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["x-moto-account-id"] = _account.get()

    made.meta.events.register("before-call", name_account)
    return made


@cache
def _function_archive() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        for module in ("index", "handler", "lambda_function"):
            written.writestr(f"{module}.py", "def handler(event, context):\n    return event\n")
    return archive.getvalue()
