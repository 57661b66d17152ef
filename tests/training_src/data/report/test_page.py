# SPDX-License-Identifier: Apache-2.0
"""The report: what it shows, what it never does, and how a real browser takes it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from containers.contract.files import write_whole
from tests.browser import Seen, browse
from training_src.data.report.content import ReportContent
from training_src.data.report.figures import figures
from training_src.data.report.page import render

HOSTILE = [
    "</script><script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "<svg onload=document.title='owned'>",
    "{{ 7 * 7 }}' onfocus='document.title=`owned`",
]


def test_everything_that_it_loads_is_in_it(drawn: Callable[..., ReportContent]) -> None:
    seen = Seen(render(drawn()))
    for _, attributes in seen.tags:
        for name in ("src", "href", "action", "data", "xlink:href"):
            assert (attributes.get(name) or "data:image/").startswith("data:image/"), attributes
        assert not [name for name in attributes if name.startswith("on")]
    assert not {tag for tag, _ in seen.tags} & {"iframe", "object", "embed", "link", "base"}
    (script,) = seen.all("script")
    assert script == {}
    policy = next(one["content"] for one in seen.all("meta") if one.get("http-equiv"))
    assert "default-src 'none'" in str(policy)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_only_text(drawn: Callable[..., ReportContent], text: str) -> None:
    plain, attacked = Seen(render(drawn())), Seen(render(drawn(text, text, text)))
    assert [tag for tag, _ in attacked.tags] == [tag for tag, _ in plain.tags]
    assert [set(names) for _, names in attacked.tags] == [set(names) for _, names in plain.tags]
    assert any(text in str(one.get("aria-label")) for one in attacked.all("g"))


def test_shows_boxes_counts_faults_and_hash(drawn: Callable[..., ReportContent]) -> None:
    page = render(drawn("cat", "a.jpg", "a.jpg is upside down; turn it."))
    for text in ("5e" * 32, "a.jpg is upside down; turn it.", "cat", "pascal_voc", "2 images, 4 boxes, 2 classes"):
        assert text in page
    edges = [one for one in Seen(page).all("rect") if str(one.get("class", "")).startswith("edge")]
    # The first box at 10, 20 of an image of 200 x 100, in each of two samples and beside the fault.
    first = [
        one for one in edges if (one["x"], one["y"], one["width"], one["height"]) == ("10.0", "20.0", "50.0", "50.0")
    ]
    assert len(first) == 3
    # The second is 200 x 4: no anchor is so flat.
    assert sum("missed" in str(one["class"]) for one in edges) == 2
    assert sum(one.get("data-missed") == "yes" for one in Seen(page).all("figure")) == 2


def test_the_same_numbers_stand_in_dataset_json(drawn: Callable[..., ReportContent]) -> None:
    content = drawn()
    numbers = json.loads(json.dumps(figures(content.collected), allow_nan=False))
    fit = numbers["anchor_fit"]
    assert (fit["boxes"], fit["never"]) == (4, 2)
    assert fit["by_class"]["dog"] == {
        "boxes": 2,
        "never": 2,
        "not_here": 0,
        "median_overlap": pytest.approx(0.2, abs=0.2),
    }
    assert sum(level["boxes"] for level in fit["by_level"]) == 4
    assert numbers["co_occurrence"]["images"] == [[2, 2], [2, 2]]
    assert numbers["brightness"]["mean"] == {"train": 90.0, "validation": None, "test": 90.0}
    assert sum(map(sum, numbers["centres"])) == 4
    assert sum(numbers["box_sizes"]["train"]) == sum(numbers["aspect_ratios"]["test"]) == 2
    assert "<b>2</b> of 4 boxes have a shape that no anchor reaches" in render(content)


def test_without_anchors_samples_or_boxes_it_is_still_a_page(drawn: Callable[..., ReportContent]) -> None:
    full = drawn(anchors=False)
    assert "anchor reaches" not in render(full)
    collected = full.collected
    boxes = type(collected.boxes)(
        *(getattr(collected.boxes, name)[:0] for name in collected.boxes.__dataclass_fields__)
    )
    empty = type(collected)(
        {}, boxes, collected.brightness[:0], collected.brightness_split[:0], np.zeros((0, 0), np.int64)
    )
    nothing = {"sha256": "0" * 64, "images": 0, "boxes": 0, "format": "", "splits": {}, "findings": {}}
    page = render(ReportContent(nothing | figures(empty), empty))
    assert "No fault was found" in page


def test_a_picture_is_no_larger_than_needed(bccd: ReportContent, tmp_path: Path) -> None:
    write_whole(tmp_path / "metadata" / "report.html", render(bccd))
    assert [file.name for file in (tmp_path / "metadata").iterdir()] == ["report.html"]
    assert (tmp_path / "metadata" / "report.html").stat().st_size < 3_000_000


def test_a_browser_draws_it_and_complains_of_nothing(bccd: ReportContent, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_whole(page, render(bccd))
    result = browse(page, "--dump-dom", "--window-size=1280,900")
    assert "CONSOLE" not in result.stderr
    assert "36 of 36 shown" in result.stdout
    for width in (1280, 390):
        browse(page, f"--screenshot={tmp_path / 'page.png'}", f"--window-size={width},2000")
        pixels = cv2.imread(str(tmp_path / "page.png"))
        assert pixels is not None
        assert len(np.unique(pixels.reshape(-1, 3)[::50], axis=0)) > 500


def test_a_browser_filters_and_runs_no_foreign_script(drawn: Callable[..., ReportContent], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_whole(page, render(drawn(*[HOSTILE[0] + HOSTILE[1]] * 3)))
    # A driver beside the page's own script, let in by the policy, ticks the filter of one split.
    text = page.read_text(encoding="utf-8")
    driver = (
        "<script>var box=document.querySelector(\"input[data-kind='split'][value='test']\");box.click();"
        "document.body.setAttribute('data-shown',document.getElementById('shown').textContent);</script></body>"
    )
    driven = re.sub(r"script-src 'sha256-[^']+'", "script-src 'unsafe-inline'", text).replace("</body>", driver)
    (tmp_path / "driven.html").write_text(driven, encoding="utf-8")
    result = browse(tmp_path / "driven.html", "--dump-dom")
    assert 'data-shown="1 of 2 shown"' in result.stdout
    assert "owned" not in re.findall(r"<title>.*?</title>", result.stdout)[0]
    # Under the page's own policy not even a script that stands in it runs.
    strict = text.replace("</body>", "<script>document.title='owned'</script></body>")
    (tmp_path / "strict.html").write_text(strict, encoding="utf-8")
    refused = browse(tmp_path / "strict.html", "--dump-dom")
    assert "<title>owned" not in refused.stdout
    assert "Content Security Policy" in refused.stderr
