# SPDX-License-Identifier: Apache-2.0
"""The errors of the `mapgate` command; each carries the exit code that it ends with."""


class MapgateError(Exception):
    """One sentence that names the thing, the place and the way out."""

    exit_code = 1


class BadInputError(MapgateError):
    """What the caller gave cannot be used."""

    exit_code = 2


class WorkFailedError(MapgateError):
    """The work was started and failed: a gate, a step, a deployment."""

    exit_code = 1
