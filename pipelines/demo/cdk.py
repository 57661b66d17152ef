# SPDX-License-Identifier: Apache-2.0
"""The project's CDK app, deployed to the laptop's cloud by the CDK CLI itself."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import ClientError

from pipelines.client.connection import EMULATED_ACCOUNT, EMULATED_REGION, Connection
from pipelines.errors import BadInputError, WorkFailedError

CHECKOUT = Path(__file__).resolve().parent.parent.parent
Told = Callable[[str], None]


def deploy(connection: Connection, log: Path, told: Told) -> None:
    """`cdk bootstrap` where that has not been done, then `cdk deploy --all`.

    Args:
        log: Where all that the CLI says is kept.
        told: Called with each line that the CLI says.

    Raises:
        WorkFailedError: The CLI ended with an error, which the message quotes.
    """
    log.unlink(missing_ok=True)
    if not _is_bootstrapped(connection):
        cdk(connection, ["bootstrap", f"aws://{EMULATED_ACCOUNT}/{EMULATED_REGION}"], log, told)
    output = ["--output", str(log.with_name("cdk.out"))]
    cdk(connection, ["deploy", "--all", "--require-approval", "never", "--concurrency", "4", *output], log, told)


def cdk(connection: Connection, arguments: list[str], log: Path, told: Told) -> None:
    """Run the CDK CLI in the checkout, against the connection's endpoint."""
    executable = CHECKOUT / "node_modules" / ".bin" / "cdk"
    if not executable.exists():
        raise BadInputError(f"{executable} is missing: run `make setup`")
    with log.open("a") as kept:
        process = subprocess.Popen(
            [str(executable), *arguments],
            cwd=CHECKOUT,
            env=environment(connection),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            kept.write(line)
            kept.flush()
            told(line.rstrip())
    if process.wait():
        raise WorkFailedError(f"cdk {arguments[0]} failed: {_last_error(log)}; all that it said is in {log}")


def environment(connection: Connection) -> dict[str, str]:
    """The CLI's environment: the laptop's cloud instead of AWS, and the checkout's own node and Python."""
    if connection.endpoint_url is None:
        raise BadInputError("no endpoint URL: start the laptop's cloud with `mapgate local up`")
    path = os.pathsep.join([str(CHECKOUT / ".venv" / "bin"), os.environ.get("PATH", os.defpath)])
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        "PATH": path,
        "AWS_ENDPOINT_URL": connection.endpoint_url,
        "AWS_ENDPOINT_URL_S3": connection.endpoint_url,
        # CloudFormation refuses a template URL whose host is an address.
        "AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION": connection.endpoint_url.replace("127.0.0.1", "localhost"),
        "AWS_ACCESS_KEY_ID": "emulated",
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_REGION": EMULATED_REGION,
        "AWS_DEFAULT_REGION": EMULATED_REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CI": "true",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
    }


def _is_bootstrapped(connection: Connection) -> bool:
    try:
        stacks = connection.client("cloudformation").describe_stacks(StackName="CDKToolkit")["Stacks"]
    except ClientError:
        return False
    return stacks[0]["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text().splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "failed" in line.lower()]
    return (telling or lines or ["it said nothing"])[-1]
