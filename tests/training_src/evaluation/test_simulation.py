# SPDX-License-Identifier: Apache-2.0
"""The gate tells detectors apart whose truth is known: how often it errs is computed, with these seeds."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.training_src.evaluation import simulation
from tests.training_src.evaluation.simulation import WORSE, champion_rules, drawn, drawn_again, recorded, thinned, value
from training_src.evaluation.bootstrap import draw, interval, weighted
from training_src.evaluation.coco import evaluate
from training_src.evaluation.comparison import smallest_difference
from training_src.evaluation.gate import ClassEvidence, Evidence, ParityEvidence, judge
from training_src.evaluation.matches import Matches, match
from training_src.evaluation.policy import read_policy
from training_src.evaluation.rules import Estimate, floor_rule
from training_src.evaluation.scoring import estimated

Record = Callable[[str, str], None]
SEED = 20261130
BELOW = 0.03
DEFAULT = Path(__file__).parents[3] / "infra/training/defaults/gate_policy.yaml"
DOCUMENT = Path(__file__).parents[3] / "docs/gate.md"


def test_mean_ap_of_the_drawn_scenes_moves_by_two_points_at_120_images() -> None:
    random = np.random.default_rng(SEED)
    values = [value(drawn(120, random, (0.0,))[0]) for _ in range(300)]
    assert np.std(values) == pytest.approx(0.020, abs=0.002)
    assert np.mean(values) == pytest.approx(0.5, abs=0.01)


def test_a_drawn_detector_that_is_called_worse_is_worse_by_five_points() -> None:
    good, bad = drawn(10_000, np.random.default_rng(SEED), (0.0, WORSE))
    assert value(good) - value(bad) == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize("pair", ["ab", "cd"])
def test_a_recorded_detector_that_is_called_worse_is_worse_by_five_points(pair: str) -> None:
    truth, found = recorded()
    images = np.arange(120).repeat(8)
    random = np.random.default_rng(SEED)
    one, other = drawn_again(found[pair[0]], found[pair[1]], images, truth, random)
    assert value(one) == pytest.approx(value(other), abs=0.008)
    assert value(one) - value(thinned(one, simulation.THINNED[pair], random)) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_the_demos_detectors_pass_the_default_policy(name: str) -> None:
    truth, found = recorded()
    metrics = evaluate(truth, found[name], simulation.LABELS)
    resampled = weighted(match(truth, found[name], simulation.LABELS), draw(truth.images, resamples=200))
    evidence = Evidence(
        *("t", "t", "m", "m", "d", "d", truth.images),
        {metric: estimated(value, resampled.metrics[metric]) for metric, value in metrics.values.items()},
        {
            one.name: ClassEvidence(
                {metric: estimated(one.values[metric], resampled.per_class[one.id][metric]) for metric in one.values},
                one.support,
            )
            for one in metrics.per_class
        },
        None,
        ParityEvidence("openvino", 1.0, 0.0),
    )
    verdict = judge(evidence, read_policy(DEFAULT))
    assert verdict.passed, str(verdict)
    floors = ("mAP_50", "AP50[pedestrian]")
    assert min(rule.actual - rule.required for rule in verdict.rules if rule.rule in floors) > 0.2


def test_a_detector_below_the_floor_hardly_ever_passes() -> None:
    assert _below_the_floor(60, 40) <= 0.05


@pytest.mark.parametrize(
    ("images", "equal", "worse"),
    [(120, 0.85, 0.08), (250, 0.90, 0.05)],
)
def test_equal_retrainings_pass_and_worse_ones_do_not(images: int, equal: float, worse: float) -> None:
    # Of so few pairs that a share below this is seen in 1 of 100 cases; `make verify` asks for the share itself.
    trials = 40
    margin = 2.33 * np.sqrt(np.array([equal * (1 - equal), worse * (1 - worse)]) / trials)
    assert _passing(images, 0.0, trials) >= equal - margin[0]
    assert _passing(images, WORSE, trials) <= worse + margin[1]


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("images", [60, 120, 250])
def test_how_often_the_rules_err_on_drawn_detectors(images: int, record: Record) -> None:
    equal, worse = _passing(images, 0.0, 300), _passing(images, WORSE, 300)
    below = _below_the_floor(images, 200)
    record(f"gate, drawn detectors, {images} test images: equal retrainings that pass", f"{equal:.1%}")
    record(f"gate, drawn detectors, {images} test images: worse by 0.05 that pass", f"{worse:.1%}")
    record(f"gate, drawn detectors, {images} test images: 0.03 below a floor that pass", f"{below:.1%}")
    told = _documented("drawn")[images]
    assert [equal, worse, below] == pytest.approx(told, abs=0.02)
    assert below <= 0.05
    if images >= 120:
        assert equal >= (0.85 if images < 250 else 0.90)
        assert worse <= (0.08 if images < 250 else 0.05)


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("images", [120, 250])
@pytest.mark.parametrize("pair", ["ab", "cd"])
def test_how_often_the_rules_err_on_real_detectors(images: int, pair: str, record: Record) -> None:
    equal, worse, below = _on_real_detectors(images, pair, 300)
    record(f"gate, demo's detectors {pair}, {images} test images: equal retrainings that pass", f"{equal:.1%}")
    record(f"gate, demo's detectors {pair}, {images} test images: worse by 0.05 that pass", f"{worse:.1%}")
    record(f"gate, demo's detectors {pair}, {images} test images: 0.03 below a floor that pass", f"{below:.1%}")
    assert [equal, worse, below] == pytest.approx(_documented(pair)[images], abs=0.03)
    assert below <= 0.05
    if images >= 120:
        assert equal >= (0.85 if images < 250 else 0.90)
        assert worse <= (0.08 if images < 250 else 0.05)


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("images", [30, 60, 120, 250, 500, 1000])
def test_how_wide_intervals_are(images: int, record: Record) -> None:
    figures = _widths(images, 12)
    record(f"gate, drawn detectors, {images} test images: widths of mAP, mAP_50, a class's AP50; fall that is shown",
           "; ".join(f"{one:.3f}" for one in figures))  # fmt: skip
    assert list(figures) == pytest.approx(_documented("width")[images], rel=0.1)


def _passing(images: int, shift: float, trials: int) -> float:
    """Share of challengers that the whole champion rule lets pass."""
    random = np.random.default_rng([SEED, images, int(-shift * 1000)])
    passed = 0
    for _ in range(trials):
        champion, challenger = drawn(images, random, (0.0, shift))
        passed += all(rule.passed for rule in champion_rules(challenger, champion))
    return passed / trials


def _below_the_floor(images: int, trials: int) -> float:
    """Share of detectors that pass a floor that they are truly below by 0.03, of mAP or of mAP_50: the worse one."""
    whole = drawn(20_000, np.random.default_rng(SEED), (0.0,))[0]
    floors = {name: value(whole, name) + BELOW for name in ("mAP", "mAP_50")}
    random = np.random.default_rng([SEED, images])
    found = [drawn(images, random, (0.0,))[0] for _ in range(trials)]
    return max(float(np.mean([_reaches(one, name, floor) for one in found])) for name, floor in floors.items())


def _reaches(found: Matches, name: str, floor: float) -> bool:
    samples = weighted(found, draw(found.images, resamples=simulation.RESAMPLES), sizes=("all",)).metrics[name]
    ends = interval(samples)
    assert ends is not None
    return floor_rule(name, floor, Estimate(value(found, name), *ends), name).passed


def _on_real_detectors(images: int, pair: str, trials: int) -> tuple[float, float, float]:
    """Shares of equal retrainings, of worse ones, and of detectors below the floor that pass."""
    truth, found = recorded()
    random = np.random.default_rng([SEED, images, ord(pair[0])])
    whole = drawn_again(found[pair[0]], found[pair[1]], np.arange(120).repeat(20), truth, random)[0]
    floor = value(whole) + BELOW
    equal = worse = below = 0
    for _ in range(trials):
        drawn_images = random.integers(0, truth.images, images)
        champion, challenger = drawn_again(found[pair[0]], found[pair[1]], drawn_images, truth, random)
        equal += all(rule.passed for rule in champion_rules(challenger, champion))
        bad = thinned(challenger, simulation.THINNED[pair], random)
        worse += all(rule.passed for rule in champion_rules(bad, champion))
        below += _reaches(challenger, "mAP", floor)
    return equal / trials, worse / trials, below / trials


def _widths(images: int, trials: int) -> tuple[float, ...]:
    """Means of how far the ends of intervals lie apart, and the fall that is shown in 8 of 10 cases."""
    random = np.random.default_rng([SEED, images])
    rows = []
    for _ in range(trials):
        one, other = drawn(images, random)
        draws = draw(images, resamples=simulation.RESAMPLES)
        ours, theirs = (weighted(each, draws, sizes=("all",)) for each in (one, other))
        deviation = float(np.std(ours.metrics["mAP"] - theirs.metrics["mAP"]))
        intervals = [ours.metrics["mAP"], ours.metrics["mAP_50"], ours.per_class[1]["AP50"]]
        ends = [interval(samples) or (np.nan, np.nan) for samples in intervals]
        rows.append([*(upper - lower for lower, upper in ends), smallest_difference(deviation, 0.025)])
    return tuple(np.mean(rows, axis=0).tolist())


def _documented(table: str) -> dict[int, list[float]]:
    """The figures of a table of docs/gate.md by the number of images; shares where they are in percent."""
    text = DOCUMENT.read_text(encoding="utf-8").partition(f"<!-- {table} -->")[2].partition("<!-- end -->")[0]
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].replace(",", "").isdigit():
            numbers = [re.sub(r"[^\d.]", "", cell) for cell in cells[1:]]
            shares = ["%" in cell for cell in cells[1:]]
            found[int(cells[0].replace(",", ""))] = [
                float(number) / (100 if share else 1) for number, share in zip(numbers, shares, strict=True)
            ]
    assert found, f"docs/gate.md has no table {table}"
    return found
