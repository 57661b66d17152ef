# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: what stands on it, what never does, and how a real browser takes it."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from containers.contract.tfrecord import write_record
from containers.evidence.page import SLOTS as FILLED
from containers.evidence.page import fill
from tests.browser import DARK, Seen, asked, browse
from training_src.data.records.example import DetectionExample, encode
from training_src.evaluation import schema
from training_src.evaluation.artifact import Artifact
from training_src.evaluation.assembly import Dossier, Source
from training_src.evaluation.boxes import Detections
from training_src.evaluation.coco import evaluate
from training_src.evaluation.diagnosis import diagnose
from training_src.evaluation.pictures import pictures
from training_src.evaluation.report import SLOTS, render
from training_src.evaluation.test_set import read_test_set

SECTIONS = ("verdict", "policy", "beside", "missed", "changes", "curves", "classes", "confusion", "seen", "labels",
            "errors", "calibration", "slices", "serving", "making", "provenance")  # fmt: skip
HOSTILE = "</td><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">{{ 7 * 7 }}"
SHA256 = "5e" * 32
Make = Callable[..., Dossier]
# The least contrast of text, or of large text (https://www.w3.org/TR/WCAG22/#contrast-minimum), of what does not reach
# it: the element, its text, and the ratio.
CONTRAST = """(() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat([1]);
  const linear = v => v <= 10.3 ? v / 3294.6 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = c => .2126 * linear(c[0]) + .7152 * linear(c[1]) + .0722 * linear(c[2]);
  const ground = e => { if (!e) return [255, 255, 255, 1]; const c = parse(getComputedStyle(e).backgroundColor);
    return c[3] === 1 ? c : over(c, ground(e.parentElement)); };
  const poor = [];
  for (const e of document.body.querySelectorAll('*')) {
    const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
    if (!text || ['SCRIPT', 'STYLE', 'TITLE', 'title', 'desc', 'EM'].includes(e.tagName)) continue;
    if (!e.getClientRects().length) continue;
    const style = getComputedStyle(e), back = ground(e);
    const ink = over(parse(e.tagName === 'text' ? style.fill : style.color), back);
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x), ratio = (a + .05) / (b + .05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.push([e.tagName, text.slice(0, 40), ratio]);
  }
  return poor; })()"""
NARROW = """(() => { const wide = document.documentElement.scrollWidth;
  const out = [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') && !e.closest('svg')
    && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '.' + e.className);
  return {width: innerWidth, wide, out}; })()"""
KEYS = """(() => {
  const count = (what, test) => [...document.querySelectorAll(what)].filter(test).length;
  const list = [...document.querySelectorAll('a[href], summary, [tabindex]')].filter(e => e.checkVisibility());
  const reached = list.filter(e => { e.focus(); return document.activeElement === e; });
  const cut = count('.scroll', e => e.scrollWidth > e.clientWidth && e.tabIndex < 0);
  document.querySelectorAll('summary').forEach(e => e.click());
  return {first: list[0].textContent.trim(), all: list.length, reached: reached.length, cut,
    positive: list.filter(e => e.tabIndex > 0).length, open: count('details', e => e.open),
    lost: list.filter(e => e.hash && !document.querySelector(e.hash)).length}; })()"""


def change(value: float, spread: float) -> schema.Change:
    return schema.Change(value=value, standard_deviation=spread, lower=value - spread, upper=value + spread)


def estimate(value: float) -> schema.Estimate:
    return schema.Estimate(value=value, standard_deviation=0.01, lower=value - 0.02, upper=value + 0.02)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes the dossier of a drawn test set: `make(classes, name, images)`, where `name` is put wherever text is."""

    def made(classes: int = 3, name: str = "", images: int = 12) -> Dossier:
        random = np.random.default_rng(0)
        labels = {at + 1: f"class {at}{name}" for at in range(classes)}
        folder = tmp_path_factory.mktemp("test")
        boxes, kinds = [], []
        for image in range(images):
            corner, extent = random.uniform(0, 0.6, (5, 2)), random.uniform(0.15, 0.35, (5, 2))
            boxes.append(np.hstack([corner, corner + extent]))
            kinds.append(random.integers(1, classes + 1, 5))
            encoded = cv2.imencode(".jpg", random.integers(60, 200, (120, 160, 3), dtype=np.uint8))[1].tobytes()
            none, label = np.zeros(5, np.int64), f"{image}{name}.jpg"
            example = DetectionExample(
                label, label, encoded, "jpeg", 160, 120, boxes[-1].astype(np.float32), kinds[-1],
                tuple(labels[int(kind)] for kind in kinds[-1]), none, none, none,
            )  # fmt: skip
            with (folder / f"test-{image:05d}.tfrecord").open("wb") as stream:
                write_record(stream, encode(example))
        test_set = read_test_set(folder)
        shifted = [np.clip(one + random.normal(0, 0.04, one.shape), 0, 1) for one in boxes]
        shifted = [
            np.hstack([np.minimum(one[:, :2], one[:, 2:]), np.maximum(one[:, :2], one[:, 2:])]) for one in shifted
        ]
        extra = [np.array([[0.8, 0.8, 0.98, 0.98]])] * images
        found = Detections.from_images(
            [np.vstack(both) for both in zip(shifted, extra, strict=True)],
            [random.uniform(0.3, 1, 6) for _ in range(images)],
            [np.append(one, 1) for one in kinds],
        )
        metrics = evaluate(test_set.truth, found, labels)
        diagnosis = diagnose(test_set.truth, found, labels, metrics.score)
        artifact = Artifact(
            "ab" * 32,
            {"initial_checkpoint": {"kind": "pretrained", "name": name}, "training": {"steps": 100, "seed": 17}},
            [{"step": 50, "loss": 1.5, "images_per_second": 4.0}, {"step": 100, "mAP": 0.4, "mAP_50": 0.6}],
            pipeline_config="train_config { batch_size: 8 }",
        )
        judged = schema.JudgedBy(
            floor=schema.PolicyFile(uri=f"s3://bucket/{name}", sha256=SHA256), map_threshold=0.3,
            overruled=[f"the run would have loosened mAP_50{name}"], left_out=[f"class {name} is exempt"],
        )  # fmt: skip
        facts = {
            "sha256": SHA256, "format": name, "repaired": {"clipped_boxes": 3},
            "splits": {"test": {"images": images, "boxes": 5 * images, "boxes_per_class": {labels[1]: 20}}},
        }  # fmt: skip
        source = Source(test_set, facts, artifact, f"s3://bucket/model{name}.tar.gz", judged)
        return Dossier(
            _evaluation(metrics, source, labels, name), metrics, source, diagnosis,
            pictures(test_set, found, labels, metrics.score, diagnosis.doubts),
            datetime(2026, 11, 30, 16, 5, tzinfo=UTC),
        )  # fmt: skip

    return made


def _evaluation(metrics: Any, source: Source, labels: dict[int, str], name: str) -> schema.Evaluation:
    names = list(labels.values())
    compared = schema.Compared(
        arn="arn:aws:sagemaker:us-east-1:123456789012:model-package/detectors/2", runtime="openvino",
        metrics={"mAP": estimate(0.5), "mAP_50": estimate(0.7)},
        change={"mAP": change(-0.1, 0.02), "mAP_50": change(0.01, 0.05), "mAP_75": schema.Change(value=None)},
        per_class_change={one: change(-0.2 + 0.1 * at, 0.05) for at, one in enumerate(names)},
        classes=schema.ComparedClasses(common=names, new=[f"new{name}"], missing=[f"gone{name}"]),
        images_per_second=schema.Estimate(value=None, reason=f"nobody measured{name}"),
    )  # fmt: skip
    runtime = schema.RuntimeResult(
        mAP=0.4, parity=None, images_per_second=20.0, latency_milliseconds={"p50": 20.0, "p99": 60.0},
        load_seconds=2.0, resident_megabytes=200.0,
    )  # fmt: skip
    return schema.Evaluation(
        dataset=schema.ScoredDataset(
            sha256=SHA256, images=metrics.images, boxes=metrics.boxes, test_set="c" * 64,
            refused={f"x{name}": f"it is no picture{name}"}, overlap_with_champion=schema.Overlap(images=4, share=0.33),
            left_out=schema.LeftOut(images=3, groups=2, by={"champion": 3}), unknown_ancestors=[f"open images{name}"],
            groups=7,
        ),
        model=schema.Model(
            sha256="ab" * 32, uri=None, architecture=f"ssd{name}", trained_on=SHA256, steps=100, best_step=90,
            changes=[
                schema.Difference(what="config", name=f"train_config.batch_size{name}", champion="8", challenger="16"),
                schema.Difference(what="data", name="data set", champion="f" * 64, challenger=SHA256),
            ],
        ),
        metrics={one: schema.Estimate(value=value, reason=f"no box{name}" if value is None else None)
                 for one, value in metrics.values.items()},
        per_class={
            one.name: schema.ClassResult(
                id=one.id, support=one.support, support_images=one.support_images, AP=estimate(0.5),
                AP50=estimate(0.7), AP75=estimate(0.4), AR_100=estimate(0.6),
                AP_small=schema.Estimate(value=None, reason="none"), AP_medium=estimate(0.4), AP_large=estimate(0.6),
                precision_at_threshold=estimate(0.8), recall_at_threshold=estimate(0.7),
                missed=schema.Missed(count=one.support // 4, share=0.25) if one.support else None,
            )
            for one in metrics.per_class
        },
        slices={f"camera=front{name}": schema.SliceResult(images=6, boxes=30, metrics={"mAP": estimate(0.45)})},
        score_threshold=metrics.score, champion=compared, best=compared.model_copy(update={"reason": f"lost{name}"}),
        policy=source.policy,
        resolution=schema.Resolution(smallest_difference={"mAP": 0.04}, images_needed={"mAP": 250}),
        serving=schema.Serving(runtime="openvino", precision="f32", parity=None, runtimes={"openvino": runtime}),
        gate=schema.Gate(
            passed=False, sentence="It is worse.", mAP=0.4,
            rules=[
                schema.RuleResult(rule=rule, comparison="at least", required=0.5, actual=actual, passed=passed,
                                  sentence=f"It is {actual}{name}.")
                for rule, actual, passed in ((f"mAP_50{name}", 0.41, False), ("mAP", 0.6, True))
            ],
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def dossier(make: Make) -> Dossier:
    return make()


@pytest.fixture(scope="module")
def page(dossier: Dossier) -> str:
    return render(dossier)


def words(page: str) -> str:
    """The text that a reader sees, its minus signs as they are typed."""
    body = re.sub(r"<(style|title|desc)[^>]*>.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).replace("\N{MINUS SIGN}", "-").split())


def test_every_section_is_there_with_a_heading_and_what_decides_comes_first(page: str) -> None:
    sections = re.findall(r'<section[^>]*id="([a-z]+)"[^>]*>\s*<h2', page)
    assert [name for name in sections if name != "best"] == list(SECTIONS)
    links = [str(one["href"]) for one in Seen(page).all("a")]
    assert {link.removeprefix("#") for link in links} <= set(SECTIONS)


def test_the_first_screen_says_what_an_approver_asks(page: str) -> None:
    first = words(page[: page.index("<nav")])
    for said in (
        "✗ The gate is not passed", "1 of 2 rules failed", "mAP_50 It is 0.41.", "Serves now: version 2",
        "-0.100 surely worse -0.120 to -0.080", "+0.010 may be chance", "Became worse: 2 of 3 classes", "surely worse",
        "Classes that it has no more: gone", "25 %", "train_config.batch_size 8 → 16", f"{'f' * 12} → {SHA256[:12]}",
        "MapThreshold asks for an mAP of at least 0.3", "the run would have loosened mAP_50", "is exempt",
        "chosen by this execution itself: 12 images in 7 groups", "4 of them (33 %) were in the champion's own test",
        "3 images of 2 groups", "open images", "a fall of 0.040 in mAP or more", "250 images would show",
        "30 November 2026, 16:05 UTC", "1 of 12 test images was refused",
    ):  # fmt: skip
        assert said in first, said
    assert first.index("not passed") < first.index("mAP_50 It is") < first.index("1 rule is passed")


def test_no_python_value_and_nothing_from_outside_is_on_it(page: str) -> None:
    text = words(page)
    for wrong in (
        r"\{'",
        "': ",
        r"\bNone\b",
        r"\bTrue\b",
        r"\bFalse\b(?! alarms)",
        r"\bnan\b",
        r"\w\((?!s\))",
        r"\[\]",
        "<",
    ):
        assert not re.search(wrong, text), (wrong, re.search(f".{{0,50}}{wrong}.{{0,50}}", text))
    seen = Seen(page)
    for _, attributes in seen.tags:
        for name in ("src", "href", "action", "data", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("data:image/jpeg", "#")), attributes
        assert not [name for name in attributes if name.startswith("on")]
        # What only a mouse shows is told by nobody else.
        assert "title" not in attributes
    assert not {tag for tag, _ in seen.tags} & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert not re.search(r"@import|url\(", page)


def test_every_figure_and_picture_says_what_it_shows(page: str) -> None:
    seen = Seen(page)
    charts = [one for one in seen.all("svg") if one.get("class") == "chart"]
    # Four curves, reliability, loss and validation mAP.
    assert len(charts) == 7
    assert all(one["role"] == "img" and one["aria-label"] for one in charts)
    assert len(re.findall(r"<desc>[^<]+</desc>", page)) == len(charts)
    assert page.count("<figure><h3>") == len(charts)
    assert all(one.get("alt") for one in seen.all("img"))
    assert all(one.get("aria-hidden") or one.get("role") for one in seen.all("svg"))
    lines = re.findall(r"<polyline[^>]*>", page[page.index("F1 over the score, by class") :].split("</svg>")[0])
    assert len({re.search(r'dasharray="([^"]*)"', one)[1] if "dasharray" in one else "" for one in lines}) == 3  # type: ignore[index]


def test_places_for_what_is_known_later_are_filled_or_not_seen(page: str) -> None:
    assert tuple(SLOTS) == FILLED
    empty = {str(one["data-row"]): "hidden" in one for one in Seen(page).all("div") if "data-row" in one}
    assert empty == dict.fromkeys(FILLED, True)
    filled = fill(page.encode(), {"version": "3", "author": HOSTILE}).decode()
    shown = {str(one["data-row"]) for one in Seen(filled).all("div") if "data-row" in one and "hidden" not in one}
    assert shown == {"version", "author"}
    assert "Version 3 " in words(filled)
    assert HOSTILE in words(filled)


def test_hostile_names_are_only_text(make: Make) -> None:
    plain, attacked = (Seen(render(make(name=name))) for name in (re.sub(r"[^.]", "x", HOSTILE), HOSTILE))
    assert [tag for tag, _ in attacked.tags] == [tag for tag, _ in plain.tags]
    assert [set(names) for _, names in attacked.tags] == [set(names) for _, names in plain.tags]


def test_eighty_classes_stay_readable_and_small(make: Make) -> None:
    page = render(make(classes=80, images=40))
    assert "8 of 80 classes" in page or "The 8 of 80 classes" in words(page)
    matrix = page[page.index('class="matrix"') :].split("</table>")[0]
    assert matrix.count("<tr>") == 1 + 15 + 1 + 1
    assert "65 other classes" in matrix
    assert page.count("data:image/jpeg") <= 2 * (3 * 4 + 12)
    assert len(page) < 3_000_000


def test_a_first_version_without_anything_to_compare_is_still_a_page(dossier: Dossier) -> None:
    evaluation = dossier.evaluation.model_copy(
        update={
            "champion": None, "best": None, "slices": {}, "resolution": schema.Resolution(),
            "gate": dossier.evaluation.gate.model_copy(update={"passed": True, "rules": []}),
        }
    )  # fmt: skip
    page = render(replace(dossier, evaluation=evaluation))
    for said in ("✓ The gate is passed", "this is the first", "There is no champion", "The data set has no columns"):
        assert said in words(page)


def test_a_champion_that_is_lost_is_told_with_its_waiver(dossier: Dossier) -> None:
    lost = schema.Compared(
        runtime=None, metrics={}, change={}, reason="its artifact is gone", waiver="its bucket is gone"
    )
    page = render(replace(dossier, evaluation=dossier.evaluation.model_copy(update={"champion": lost})))
    first = words(page[: page.index("<nav")])
    assert (
        "It could not be measured: its artifact is gone. An administrator waived the comparison: its bucket is gone."
        in first
    )
    assert "Waived by an administrator its bucket is gone" in first


@pytest.mark.parametrize("look", [(), (DARK,)], ids=["light", "dark"])
def test_a_browser_shows_all_text_with_enough_contrast(page: str, tmp_path: Path, look: tuple[str, ...]) -> None:
    opened = page.replace("<details>", "<details open>").replace(" hidden>", ">")
    assert asked(opened, tmp_path, CONTRAST, "--window-size=1280,900", *look) == []
    told = "getComputedStyle(document.body).backgroundColor"
    assert asked(page, tmp_path, told, *look) == ("rgb(18, 21, 27)" if look else "rgb(244, 245, 247)")


@pytest.mark.parametrize("classes", [3, 80])
def test_nothing_is_cut_off_on_a_telephone(make: Make, tmp_path: Path, classes: int) -> None:
    long = "_of_a_rather_long_name_without_any_place_to_break"
    text = render(make(classes, long, images=40)).replace("<details>", "<details open>")
    told = asked(text, tmp_path, NARROW, width=390)
    assert told == {"width": 390, "wide": 390, "out": []}


def test_all_of_it_is_reached_by_keyboard(page: str, tmp_path: Path) -> None:
    told = asked(page, tmp_path, KEYS, width=390)
    assert told["first"] == "Skip to the verdict"
    assert told["all"] == told["reached"] > len(SECTIONS)
    assert (told["positive"], told["cut"], told["lost"]) == (0, 0, 0)
    assert told["open"] > 0


def test_a_browser_complains_of_nothing_and_prints_it_whole(page: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    assert "CONSOLE" not in browse(file, "--dump-dom").stderr
    browse(file, f"--print-to-pdf={tmp_path / 'report.pdf'}", "--no-pdf-header-footer")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
