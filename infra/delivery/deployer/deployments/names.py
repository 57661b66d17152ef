# SPDX-License-Identifier: Apache-2.0
"""The names of what the deployer owns.

A model and its endpoint configuration are named by the version (`mapgate-dev-v3`), a candidate's by version and purpose
(`mapgate-dev-candidate-3`), so that a name tells what runs and whether it is ours.
"""

from __future__ import annotations

import re


def production(prefix: str, version: int) -> str:
    """Return the name of the model and of the endpoint configuration that serve a version in production."""
    return f"{prefix}-v{version}"


def candidate(prefix: str, version: int) -> str:
    """Return the name of a candidate's endpoint, endpoint configuration and model."""
    return f"{prefix}-candidate-{version}"


def production_version(prefix: str, name: str | None) -> int | None:
    """Return the version that a production name carries; None when the name is not the deployer's."""
    return _version(rf"{re.escape(prefix)}-v([0-9]+)", name)


def candidate_version(prefix: str, name: str | None) -> int | None:
    """Return the version that a candidate's name carries; None when the name is not a candidate's."""
    return _version(rf"{re.escape(prefix)}-candidate-([0-9]+)", name)


def is_owned(prefix: str, name: str) -> bool:
    """Whether a model or an endpoint configuration of this name is the deployer's to remove."""
    return production_version(prefix, name) is not None or candidate_version(prefix, name) is not None


def package_version(arn: str) -> int:
    """Return the version at the end of a model package's ARN (`.../model-package/mapgate-dev/3`)."""
    return int(arn.rpartition("/")[2])


def _version(pattern: str, name: str | None) -> int | None:
    match = re.fullmatch(pattern, name or "")
    return int(match[1]) if match else None
