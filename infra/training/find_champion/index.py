# SPDX-License-Identifier: Apache-2.0
"""Tell the pipeline which version production serves."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    return {}
