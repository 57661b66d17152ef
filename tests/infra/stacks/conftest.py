# SPDX-License-Identifier: Apache-2.0
"""One synth of each environment for all tests of the stacks: a synth takes seconds."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from infra.app import build
from localcloud import cloud as local_cloud
from tests.conftest import MadeOnce

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT, REGION = "123456789012", "us-east-1"


@dataclass(frozen=True)
class Assembly:
    """What one synth wrote.

    Attributes:
        folder: The cloud assembly.
        prefix: `<project>-<environment>`.
    """

    folder: Path
    prefix: str

    @functools.cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """The templates by stack, without the prefix: `foundation`, `registry`, ..."""
        return {
            path.name.removeprefix(f"{self.prefix}-").removesuffix(".template.json"): json.loads(path.read_text())
            for path in sorted(self.folder.glob("*.template.json"))
        }

    def resources(self, kind: str, stack: str | None = None) -> dict[str, dict[str, Any]]:
        """Return resources of a type by logical id, of one stack or of all."""
        return {
            name: resource
            for template_name, template in self.templates.items()
            if stack in (None, template_name)
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind
        }


Synthesize = Callable[[str], Assembly]


@pytest.fixture(scope="session")
def synthesize(made_once: MadeOnce) -> Iterator[Synthesize]:
    """Synthesize an environment once, with the context of the repository's cdk.json."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    before = {name: os.environ.get(name) for name in ("CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION")}
    os.environ.update(CDK_DEFAULT_ACCOUNT=ACCOUNT, CDK_DEFAULT_REGION=REGION)

    @functools.cache
    def synthesized(environment: str) -> Assembly:
        values = {**context, "environment": environment}

        def make(folder: Path) -> None:
            build(cdk.App(outdir=str(folder), context=values, analytics_reporting=False)).synth()

        return Assembly(made_once(f"cdk-{environment}", make), f"mapgate-{environment}")

    yield synthesized
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of commands that talk to a cloud of the test's own."""
    home = tmp_path / ".mapgate"
    url = local_cloud.up(home).endpoint_url
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    yield {
        **kept,
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION": url.replace("127.0.0.1", "localhost"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CI": "true",
    }
    local_cloud.down(home)


@pytest.fixture(scope="session")
def dev(synthesize: Synthesize) -> Assembly:
    return synthesize("dev")
