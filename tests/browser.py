# SPDX-License-Identifier: Apache-2.0
"""Pages in a real browser, and as their tags are read."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DARK = "--blink-settings=preferredColorScheme=0"


class Seen(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page, and give what the browser says; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
               "--virtual-time-budget=3000", profile, *options, page.as_uri()]  # fmt: skip
    # Its helpers outlive a browser that is killed, unless all are.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=240)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    return subprocess.CompletedProcess(command, 0, output, errors)


def asked(text: str, folder: Path, expression: str, *options: str, width: int = 0) -> Any:
    """What a JavaScript expression gives on a page, whose policy lets it in for once; it has to be JSON.

    Args:
        text: The page.
        folder: To write.
        expression: Of JavaScript.
        options: Of the browser.
        width: In pixels, for what is narrower than a browser's window may be.
    """
    driver = f"<script>top.document.body.setAttribute('data-told', JSON.stringify({expression}));</script></body>"
    driven = re.sub(r"script-src 'sha256-[^']+'", "script-src 'unsafe-inline'", text).replace("</body>", driver)
    if width:
        frame = f'<iframe style="border:0" width="{width}" height="900" srcdoc="{escape(driven)}"></iframe>'
        driven = f"<!doctype html><html><body>{frame}</body></html>"
    page = folder / "driven.html"
    page.write_text(driven, encoding="utf-8")
    told = re.search(r'data-told="([^"]*)"', browse(page, "--dump-dom", *options).stdout)
    assert told, "the expression failed"
    return json.loads(unescape(told[1]))
