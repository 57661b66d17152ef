# SPDX-License-Identifier: Apache-2.0
"""The names of what the deployer owns.

A model and its endpoint configuration are named by the version and the hash of the settings with which it is hosted
(`mapgate-dev-v3-1f9a0c`), a candidate's by version and purpose (`mapgate-dev-candidate-3`), and a candidate that tries
new settings by all of these, so that a name tells what runs, how, and whether it is ours. Before there were hashes a
name ended with the version; such names are still read. SageMaker takes 63 characters: with the longest prefix (41) that
is enough for 9,999 versions.
"""

from __future__ import annotations

import re

_HOSTING = "(?:-[0-9a-f]{6})?"


def production(prefix: str, version: int, hosting: str) -> str:
    """Return the name of the model and of the endpoint configuration that serve a version in production.

    Args:
        prefix: Of the environment.
        version: Of the model package.
        hosting: Hash of the hosting settings.
    """
    return f"{prefix}-v{version}-{hosting}"


def candidate(prefix: str, version: int) -> str:
    """Return the name of a candidate's endpoint, endpoint configuration and model."""
    return f"{prefix}-candidate-{version}"


def trial(prefix: str, version: int, hosting: str) -> str:
    """Return the name of what tries a version with new hosting settings before production gets them."""
    return f"{candidate(prefix, version)}-{hosting}"


def production_version(prefix: str, name: str | None) -> int | None:
    """Return the version that a production name carries; None when the name is not the deployer's."""
    return _version(rf"{re.escape(prefix)}-v([0-9]+){_HOSTING}", name)


def candidate_version(prefix: str, name: str | None) -> int | None:
    """Return the version that a candidate's name carries; None when the name is not a candidate's."""
    return _version(rf"{re.escape(prefix)}-candidate-([0-9]+){_HOSTING}", name)


def hosting(prefix: str, name: str | None) -> str | None:
    """Return the hash of the hosting settings that an owned name carries; None when it carries none."""
    match = re.fullmatch(rf"{re.escape(prefix)}-(?:v|candidate-)[0-9]+-([0-9a-f]{{6}})", name or "")
    return match[1] if match else None


def is_owned(prefix: str, name: str) -> bool:
    """Whether a model or an endpoint configuration of this name is the deployer's to remove."""
    return production_version(prefix, name) is not None or candidate_version(prefix, name) is not None


def package_version(arn: str) -> int:
    """Return the version at the end of a model package's ARN (`.../model-package/mapgate-dev/3`)."""
    return int(arn.rpartition("/")[2])


def _version(pattern: str, name: str | None) -> int | None:
    match = re.fullmatch(pattern, name or "")
    return int(match[1]) if match else None
