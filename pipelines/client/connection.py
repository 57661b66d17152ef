# SPDX-License-Identifier: Apache-2.0
"""Which cloud a command talks to: AWS, or the laptop's cloud; the endpoint URL is the only difference."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from pipelines.errors import BadInputError

EMULATED_ACCOUNT = "123456789012"
EMULATED_REGION = "us-east-1"
SESSION_SECONDS = 12 * 3600


@dataclass(frozen=True)
class Connection:
    """A boto3 session, an optional endpoint URL, and the deployment that is meant.

    Attributes:
        deployment_name: `<project>-<environment>`, the prefix of every physical name.
        endpoint_url: None for AWS; a loopback URL for the laptop's cloud.
        command: How the present command line begins, to be repeated in what people are told to type.
        config: Of the clients; None asks patiently.
        role: Name or ARN of the role whose session talks to the laptop's cloud; None for its administrator.
    """

    deployment_name: str = "mapgate-dev"
    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    role: str | None = None
    command: str = field(default="mapgate", compare=False)
    config: Config | None = field(default=None, compare=False)
    _clients: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_emulated(self) -> bool:
        """Whether the endpoint is a loopback address."""
        return self.endpoint_url is not None and urlsplit(self.endpoint_url).hostname in (
            "127.0.0.1",
            "localhost",
            "::1",
        )

    @functools.cached_property
    def session(self) -> boto3.Session:
        """The session: the profile's on AWS; on the laptop's cloud its administrator's, or one of the role.

        Raises:
            BadInputError: The role does not let this account assume it.
        """
        if self.is_emulated:
            administrator = boto3.Session("emulated", "emulated", region_name=self.region or EMULATED_REGION)
            return self._assumed(administrator, self.role) if self.role else administrator
        return boto3.Session(profile_name=self.profile, region_name=self.region)

    def _assumed(self, administrator: boto3.Session, role: str) -> boto3.Session:
        arn = role if role.startswith("arn:") else f"arn:aws:iam::{EMULATED_ACCOUNT}:role/{role}"
        sts = administrator.client("sts", endpoint_url=self.endpoint_url)
        with refusals_told(f"--role {role}"):
            given = sts.assume_role(RoleArn=arn, RoleSessionName="mapgate", DurationSeconds=SESSION_SECONDS)
        keys = given["Credentials"]
        return boto3.Session(
            keys["AccessKeyId"],
            keys["SecretAccessKey"],
            keys["SessionToken"],
            region_name=administrator.region_name,
        )

    def client(self, service: str) -> Any:
        """A boto3 client of `service`, made once."""
        if service not in self._clients:
            config = self.config or Config(retries={"max_attempts": 5, "mode": "standard"})
            make: Any = self.session.client  # boto3-stubs has an overload for each service, none for a variable
            self._clients[service] = make(service, endpoint_url=self.endpoint_url, config=config)
        return self._clients[service]


@contextmanager
def refusals_told(what: str) -> Iterator[None]:
    """What AWS refuses here is bad input, told in its own words behind the thing that was asked for.

    Raises:
        BadInputError: AWS refused.
    """
    try:
        yield
    except ClientError as error:
        raise BadInputError(f"{what}: {error.response['Error']['Message']}") from error
