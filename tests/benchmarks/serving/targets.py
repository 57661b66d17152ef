# SPDX-License-Identifier: Apache-2.0
"""Whether a figure is where it should be, as tables say it."""

from __future__ import annotations


def at_least(value: float, target: float) -> str:
    """Such as `target at least 0.95: met`."""
    return f"target at least {target:g}: {'met' if value >= target else 'missed'}"


def at_most(value: float, target: float) -> str:
    """Such as `target at most 0.5: missed`."""
    return f"target at most {target:g}: {'met' if value <= target else 'missed'}"
