# SPDX-License-Identifier: Apache-2.0
"""Packages from npm, as whoever runs this has configured it: their registry, their mirror, their proxy.

Sources: https://docs.npmjs.com/cli/v11/commands/npm-pack and https://docs.npmjs.com/cli/v11/using-npm/config
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from pipelines.errors import BadInputError, WorkFailedError

# `make setup` runs npm here too: what the checkout's .npmrc says holds for both.
CHECKOUT = Path(__file__).resolve().parents[2]
# A machine without network says so within seconds; what npm does by itself takes more than a minute.
RETRIES = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000")

UNREACHABLE = ("EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "ETIMEDOUT")
NOT_THERE = ("E404", "ETARGET")


class NpmError(WorkFailedError):
    """npm did not bring a package."""


def pack(package: str, version: str, folder: Path) -> Path:
    """Bring a package's archive; nothing of it is unpacked or run.

    Args:
        package: Such as `@mediapipe/objectron`.
        folder: An empty folder, where the archive is put.

    Raises:
        BadInputError: There is no npm.
        NpmError: The package did not come.
    """
    options = ("--json", "--ignore-scripts", "--no-update-notifier", *RETRIES, "--pack-destination", str(folder))
    packed = _npm("pack", *options, f"{package}@{version}")
    archives = sorted(folder.glob("*.tgz"))
    if packed.returncode or len(archives) != 1:
        raise NpmError(
            f"npm cannot bring {package} {version} from {registry_of(package)} ({_reason(packed)}); {_way_out(packed)}"
        )
    return archives[0]


def registry_of(package: str) -> str:
    """The registry that npm asks for a package: its scope's, else everybody's."""
    scope = package.partition("/")[0]
    for key in (f"{scope}:registry", "registry"):
        said = _npm("config", "get", key).stdout.strip()
        if said.startswith("http"):
            return said
    return "the configured registry"


def command() -> list[str]:
    """What starts npm: the one that `make setup` brings, else the machine's.

    Raises:
        BadInputError: There is none.
    """
    node = Path(sys.prefix) / "node"
    brought = [node / "bin" / "node", node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
    if all(path.exists() for path in brought):
        return [str(path) for path in brought]
    if npm := shutil.which("npm"):
        return [npm]
    raise BadInputError("npm is not installed here: `make setup` brings it, and a machine's own will do")


def _npm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command(), *words], cwd=CHECKOUT, capture_output=True, text=True, check=False)


def _reason(packed: subprocess.CompletedProcess[str]) -> str:
    code, summary = _error(packed)
    if code == "":
        return f"exit code {packed.returncode}, and no archive"
    lines = summary.strip().splitlines()
    return f"{code}: {lines[0]}" if lines else code


def _way_out(packed: subprocess.CompletedProcess[str]) -> str:
    code, _ = _error(packed)
    if code in UNREACHABLE:
        return "this needs the network, or a mirror: `npm config set registry URL` names one"
    if code in NOT_THERE:
        return "is that registry the right one, and does it mirror all of npm's packages?"
    return "`npm config get registry` says where npm looks, and ~/.npmrc how it logs in"


def _error(packed: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Code and summary of what npm says with `--json`; empty where it says nothing of that kind."""
    try:
        error = json.loads(packed.stdout)["error"]
        return str(error["code"]), str(error["summary"])
    except (ValueError, LookupError, TypeError):
        return "", ""
