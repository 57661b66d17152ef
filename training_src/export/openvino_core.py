# SPDX-License-Identifier: Apache-2.0
"""OpenVINO's entry point, one for the process.

Its CPU plugin gives the process a stack for signal handlers, and where two of them go in the order in which they came,
one that is gone stays in place: the next signal ends the process.
"""

from functools import cache

import openvino as ov


@cache
def core() -> ov.Core:
    """What reads and compiles models."""
    return ov.Core()
