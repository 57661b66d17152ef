# SPDX-License-Identifier: Apache-2.0
"""What every report has in common: its policy for scripts, and facts as lines."""

import base64
import hashlib
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from training_src.report.page import data_uri, fact, facts, render_page


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a template of its own, which takes all else from the base."""
    folder = tmp_path / "a_report" / "templates"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    template = (
        '{% extends "base.html.j2" %}{% from "macros.html.j2" import definitions %}'
        "{% block title %}{{ name }}{% endblock %}{% block content %}{{ definitions(rows) }}{% endblock %}"
    )
    (folder / "report.html.j2").write_text(template)
    monkeypatch.syspath_prepend(tmp_path)
    return "a_report"


def test_a_page_runs_only_the_script_that_it_was_given(package: str) -> None:
    script = "document.title = 1 < 2;"
    page = render_page(package, script=script, name="<b>", rows=[("a & b", "<script>")])
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in page
    assert f"<script>{script}</script>" in page
    assert "<title>&lt;b&gt;</title>" in page
    assert "<dt>a &amp; b</dt><dd>&lt;script&gt;</dd>" in page
    assert "<script" not in render_page(package, name="", rows=[])


def test_a_name_that_the_template_lacks_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="rows"):
        render_page(package, name="")


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "unknown"),
        ("", "none"),
        ([], "none"),
        (0.123456, "0.1235"),
        ({"clipped_boxes": 3, "dropped": 1}, "clipped boxes 3, dropped 1"),
        ({"box": {"small": 1, "large": 2}}, "box (small 1, large 2)"),
        (["a", "b"], "a, b"),
        (list(range(13)), "13 entries"),
    ],
)
def test_a_fact_is_one_line(value: object, line: str) -> None:
    assert fact(value) == line


def test_facts_with_a_place_of_their_own_are_left_out() -> None:
    assert facts({"sha256": "5e", "seed_of_split": 3}, {"sha256"}) == [("seed of split", "3")]


def test_a_picture_is_part_of_the_page() -> None:
    assert data_uri(b"jpeg") == "data:image/jpeg;base64,anBlZw=="
