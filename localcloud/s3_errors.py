# SPDX-License-Identifier: Apache-2.0
"""Errors as S3 shapes them."""

from __future__ import annotations

from xml.sax.saxutils import escape

Answer = tuple[int, dict[str, str], str]
"""Status, headers, body."""


def s3_error(status: int, code: str, message: str) -> Answer:
    """An answer that boto3 reads as a `ClientError` with this code and message.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    text = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    return status, {"content-type": "application/xml"}, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'
