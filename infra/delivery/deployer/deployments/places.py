# SPDX-License-Identifier: Apache-2.0
"""Places in S3."""

from __future__ import annotations

from urllib.parse import urlsplit


def split(uri: str) -> tuple[str, str]:
    """Return bucket and key of an S3 URI."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")
