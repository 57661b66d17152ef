# SPDX-License-Identifier: Apache-2.0
"""The project's CDK app, deployed to the laptop's cloud by the CDK CLI itself."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from containers.tags import content_digest, source_files
from pipelines.client.connection import EMULATED_ACCOUNT, EMULATED_REGION, Connection
from pipelines.errors import BadInputError, WorkFailedError
from pipelines.whole_files import written_whole

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# All that a synth reads: the app, the definition that it binds, and the sources whose hashes are the images' tags. The
# locks stand for what is installed.
INPUTS = (
    "cdk.context.json",
    "cdk.json",
    "containers",
    "inference_src",
    "infra",
    "package-lock.json",
    "pipelines",
    "requirements.lock",
    "training_src",
)
Told = Callable[[str], None]


def deploy(connection: Connection, log: Path, told: Told, *, environments: Path | None = None) -> None:
    """`cdk bootstrap` where that has not been done, then `cdk deploy --all`; one synth serves both and later calls.

    Args:
        log: Where all that the CLI says is kept; the assembly is made beside it.
        told: Called with each line that the CLI says.
        environments: Folder of the environments' files; the checkout's own otherwise.

    Raises:
        WorkFailedError: The CLI ended with an error, which the message quotes.
    """
    log.unlink(missing_ok=True)
    assembly = Assembly(log.with_name("cdk.out"), inputs(CHECKOUT, environments), environments)
    if not _is_bootstrapped(connection):
        place = f"aws://{EMULATED_ACCOUNT}/{EMULATED_REGION}"
        cdk(connection, ["bootstrap", place, *assembly.options()], log, told)
        assembly.record()
    terms = ["--all", "--require-approval", "never", "--concurrency", "4"]
    cdk(connection, ["deploy", *terms, *assembly.options()], log, told)
    assembly.record()


@dataclass(frozen=True)
class Assembly:
    """What a synth wrote. It serves until its inputs change: a synth takes seconds.

    Attributes:
        folder: The CDK's cloud assembly.
        inputs: The hash of what the app reads now.
        environments: Folder of the environments' files; None is the checkout's own.
    """

    folder: Path
    inputs: str
    environments: Path | None = None

    def options(self) -> list[str]:
        """What tells the CLI to take the assembly, or where its inputs have changed to make it anew."""
        whole = self._recorded.exists() and (self.folder / "manifest.json").exists()
        if whole and self._recorded.read_text() == self.inputs:
            return ["--app", str(self.folder)]
        # A synth that is killed leaves a part.
        self._recorded.unlink(missing_ok=True)
        context = ["--context", f"environments={self.environments}"] if self.environments else []
        return ["--output", str(self.folder), *context]

    def record(self) -> None:
        """Record that the CLI has ended well, and so the inputs that the assembly is of."""
        with written_whole(self._recorded) as beside:
            beside.write_text(self.inputs)

    @property
    def _recorded(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.inputs")


def inputs(checkout: Path, environments: Path | None = None) -> str:
    """The hash of all that a synth reads, by paths and contents."""
    further = content_digest(environments, sorted(source_files(environments))) if environments else ""
    places = [checkout / name for name in INPUTS]
    files = [path for place in places for path in ([place] if place.is_file() else source_files(place))]
    return content_digest(checkout, sorted(files)) + further


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
