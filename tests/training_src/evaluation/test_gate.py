# SPDX-License-Identifier: Apache-2.0
"""The gate fails closed: nothing but a known, finite and sufficient number passes a rule."""

import json
import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.evaluation.gate import ChampionEvidence, ClassEvidence, Evidence, ParityEvidence, Verdict, judge
from training_src.evaluation.policy import ChampionRule, GatePolicy, ServingRule

POLICY = GatePolicy.of(
    {
        "schema_version": 1,
        "metrics": {"mAP_50": 0.5},
        "every_class": {"AP50": 0.25},
        "support": {"images": 50, "boxes_per_class": 20},
        "champion": {"greatest_regression": {"mAP": 0.02}},
        "serving": {"least_matched": 0.98, "greatest_difference": {"mAP": 0.005}},
    }
)
GOOD = Evidence(
    test_set="t1",
    scored="t1",
    model="m1",
    measured="m1",
    dataset="d1",
    trained_on="d1",
    images=100,
    metrics={"mAP": 0.45, "mAP_50": 0.7},
    classes={"vehicle": ClassEvidence({"AP": 0.5, "AP50": 0.8}, 90), "cyclist": ClassEvidence({"AP50": 0.6}, 40)},
    champion=ChampionEvidence({"mAP": 0.46}, "t1"),
    parity=ParityEvidence("openvino", 1.0, 0.0003),
)
UNUSABLE = [None, math.nan, math.inf, -math.inf, -1.0, -0.2, 1.5]


def test_passes_when_every_rule_is_met() -> None:
    verdict = judge(GOOD, POLICY)
    assert verdict.passed and all(rule.passed for rule in verdict.rules)
    assert verdict.sentence == f"All {len(verdict.rules)} rules are met (mAP 0.4500, mAP_50 0.7000)."
    assert verdict.mean_ap == 0.45


@pytest.mark.parametrize("value", UNUSABLE)
@pytest.mark.parametrize("metric", ["mAP", "mAP_50"])
def test_gate_fails_closed_on_an_unusable_metric(metric: str, value: float | None) -> None:
    evidence = replace(GOOD, metrics={**GOOD.metrics, metric: value})
    refuse(evidence, metric, "is unknown")
    assert judge(evidence, POLICY).mean_ap == (-1 if metric == "mAP" else 0.45)


@pytest.mark.parametrize("value", UNUSABLE)
def test_no_regression_can_be_excluded_without_a_score(value: float | None) -> None:
    evidence = replace(GOOD, metrics={**GOOD.metrics, "mAP": value})
    refuse(evidence, "regression[mAP]", "mAP of the test set is unknown, so no regression can be excluded.")
    assert ("regression[mAP]", "at most", 0.02, -1.0, False) in numbers(judge(evidence, POLICY))


def test_gate_fails_closed_on_missing_metric() -> None:
    refuse(replace(GOOD, metrics={}), "mAP_50", "mAP_50 of the test set: the value is unknown; 0.5 is required.")
    assert judge(replace(GOOD, metrics={}), POLICY).mean_ap == -1


def test_fails_below_the_threshold() -> None:
    refuse(replace(GOOD, metrics={"mAP": 0.3, "mAP_50": 0.4999}), "mAP_50", "mAP_50 of the test set is 0.4999; 0.5 is")


def test_a_value_at_the_threshold_passes() -> None:
    evidence = replace(GOOD, metrics={"mAP": 0.45, "mAP_50": 0.5})
    assert judge(evidence, POLICY, 0.45).passed


@pytest.mark.parametrize("value", [*UNUSABLE, 0.1])
def test_fails_when_any_class_is_unknown_or_weak(value: float | None) -> None:
    classes = {**GOOD.classes, "cyclist": ClassEvidence({"AP50": value}, 40)}
    refuse(replace(GOOD, classes=classes), "AP50[cyclist]", 'AP50 of class "cyclist"')


@pytest.mark.parametrize("support", [0, 19, *UNUSABLE])
def test_fails_with_too_little_support(support: float | None) -> None:
    classes = {**GOOD.classes, "cyclist": ClassEvidence({"AP50": 0.9}, support)}
    refuse(replace(GOOD, classes=classes), "support[cyclist]", 'Class "cyclist"')


@pytest.mark.parametrize("images", [0, 49, *UNUSABLE])
def test_fails_with_too_few_images(images: float | None) -> None:
    refuse(replace(GOOD, images=images), "support.images", "The test set")


def test_fails_without_any_class() -> None:
    refuse(replace(GOOD, classes={}), "classes", "No class was scored.")


@pytest.mark.parametrize("scored", [None, "", "t2"])
def test_fails_when_other_images_were_scored(scored: str | None) -> None:
    refuse(replace(GOOD, scored=scored), "test_set", "not computed on the present test set")


@pytest.mark.parametrize("trained", [None, "", "d2"])
def test_fails_when_the_model_was_trained_on_another_data_set(trained: str | None) -> None:
    refuse(replace(GOOD, trained_on=trained), "dataset", "test images may be among those it was trained on")


@pytest.mark.parametrize("measured", [None, "", "m2"])
def test_fails_when_another_model_was_measured(measured: str | None) -> None:
    refuse(replace(GOOD, measured=measured), "model", "not the one to be registered; measure again")


def test_two_unknown_data_sets_are_not_the_same() -> None:
    refuse(replace(GOOD, dataset="", trained_on="", test_set="", scored=""), "dataset", "train again")


def test_fails_when_the_champion_is_better_by_more_than_allowed() -> None:
    sentence = "mAP is 0.4500, the champion's 0.5000 on the same images: a fall of 0.0500, more than the 0.02 allowed."
    refuse(replace(GOOD, champion=ChampionEvidence({"mAP": 0.5}, "t1")), "regression[mAP]", sentence)


def test_fails_when_the_champion_could_not_be_measured() -> None:
    champion = ChampionEvidence(reason="its archive has no model.json")
    refuse(replace(GOOD, champion=champion), "regression[mAP]", "could not be measured (its archive has no model.json)")


@pytest.mark.parametrize("value", UNUSABLE)
def test_fails_when_the_champions_metric_is_unusable(value: float | None) -> None:
    refuse(replace(GOOD, champion=ChampionEvidence({"mAP": value}, "t1")), "regression[mAP]", "its mAP is unknown")


def test_fails_when_the_champion_was_measured_on_other_images() -> None:
    refuse(replace(GOOD, champion=ChampionEvidence({"mAP": 0.1}, "t2")), "regression[mAP]", "on other images")


def test_the_first_detector_has_no_champion_to_beat() -> None:
    assert judge(replace(GOOD, champion=None), POLICY).passed


@pytest.mark.parametrize("matched", [0.9, *UNUSABLE])
def test_fails_when_the_served_detections_are_others(matched: float | None) -> None:
    refuse(replace(GOOD, parity=ParityEvidence("openvino", matched, 0.0)), "serving.matched", "openvino equals the")


@pytest.mark.parametrize("change", [0.006, -0.006, None, math.nan, math.inf])
def test_fails_when_the_served_score_is_another(change: float | None) -> None:
    refuse(replace(GOOD, parity=ParityEvidence("openvino", 1.0, change)), "serving.mAP_difference", "openvino")


def test_fails_in_one_sentence_when_no_runtime_could_be_measured() -> None:
    sentence = refuse(replace(GOOD, parity=None), "serving.matched", "Nothing can serve this model: it has no form")
    assert sentence == judge(replace(GOOD, parity=None), POLICY).sentence


@pytest.mark.parametrize(
    ("matched", "change", "told"),
    [
        (0.9, 0.0, "the share of detections in which openvino equals the SavedModel is 0.9000; 0.98 is required."),
        (1.0, 0.006, "mAP served by openvino differs from the SavedModel's by 0.0060; 0.005 is allowed."),
        (1.0, None, "the difference in mAP between openvino and the SavedModel is unknown."),
    ],
)
def test_says_that_no_runtime_can_serve_when_the_best_one_is_not_equal(
    matched: float, change: float | None, told: str
) -> None:
    verdict = judge(replace(GOOD, parity=ParityEvidence("openvino", matched, change)), POLICY)
    assert verdict.sentence == f"No runtime of the endpoint's image gives the SavedModel's detections: {told}"


def test_a_class_of_the_policy_must_be_in_the_label_map() -> None:
    policy = replace(POLICY, classes={"Cyclist": {"AP50": 0.3}})
    verdict = judge(GOOD, policy)
    assert not verdict.passed
    assert 'The policy names a class "Cyclist" that the label map does not have.' in verdict.sentence


def test_an_exempt_class_needs_nothing() -> None:
    evidence = replace(GOOD, classes={**GOOD.classes, "cyclist": ClassEvidence({}, 0)})
    assert not judge(evidence, POLICY).passed
    assert judge(evidence, replace(POLICY, exempt_classes=("cyclist",))).passed


def test_a_lost_champion_is_waived_in_words_and_never_in_silence() -> None:
    lost = ChampionEvidence(reason="its artifact is gone", waiver="emptied by hand - admin 2026-11-30")
    verdict = judge(replace(GOOD, champion=lost), POLICY)
    assert verdict.passed
    (rule,) = (rule for rule in verdict.rules if rule.rule == "regression[mAP]")
    assert (rule.actual, rule.passed) == (-1, True)
    assert rule.sentence == (
        "The champion could not be measured (its artifact is gone); an administrator waived the comparison in mAP: "
        "emptied by hand - admin 2026-11-30."
    )
    assert verdict.sentence.endswith(rule.sentence)
    refuse(replace(GOOD, champion=replace(lost, waiver=None)), "regression[mAP]", "no regression can be excluded")


def test_a_waiver_counts_for_nothing_where_the_champion_was_measured() -> None:
    for champion in (ChampionEvidence({"mAP": 0.9}, "t1"), ChampionEvidence({"mAP": 0.9}, "t0"), ChampionEvidence()):
        assert not judge(replace(GOOD, champion=replace(champion, waiver="please")), POLICY).passed


def test_a_single_class_can_be_asked_for_more_but_not_for_less() -> None:
    for value, passed in ((0.9, False), (0.1, True)):
        policy = replace(POLICY, classes={"cyclist": {"AP50": value}})
        verdict = judge(GOOD, policy)
        assert verdict.passed is passed
        rule = next(rule for rule in verdict.rules if rule.rule == "AP50[cyclist]")
        assert rule.required == max(value, 0.25)


@pytest.mark.parametrize("threshold", [math.nan, math.inf, -math.inf, 1.1, 2.5])
def test_a_threshold_that_is_no_share_cannot_be_met(threshold: float) -> None:
    refuse(GOOD, "mAP", "nothing can meet it", threshold)
    assert ("mAP", "at least", 2.0, 0.45, False) in numbers(judge(GOOD, POLICY, threshold))


def test_the_threshold_only_tightens() -> None:
    policy = replace(POLICY, metrics={"mAP": 0.6})
    for threshold in (0.0, 0.1, -5.0):
        assert not judge(GOOD, policy, threshold).passed
    assert not judge(GOOD, POLICY, 0.46).passed
    assert ("mAP", "at least", 0.0, 0.45, True) in numbers(judge(GOOD, POLICY, -5.0))


def test_many_failures_make_a_sentence_that_can_be_read() -> None:
    nothing = Evidence("t", None, "m", None, "d", None, None, {}, GOOD.classes, ChampionEvidence(reason="gone"), None)
    verdict = judge(nothing, POLICY)
    assert "And 5 more." in verdict.sentence
    assert len(verdict.sentence) < 700
    assert str(verdict).count("FAIL  ") == 8


def test_every_rule_says_what_it_asked_and_what_it_got() -> None:
    assert numbers(judge(GOOD, POLICY)) == [
        ("test_set", "at least", 1.0, 1.0, True),
        ("model", "at least", 1.0, 1.0, True),
        ("dataset", "at least", 1.0, 1.0, True),
        ("support.images", "at least", 50.0, 100.0, True),
        ("support[vehicle]", "at least", 20.0, 90.0, True),
        ("support[cyclist]", "at least", 20.0, 40.0, True),
        ("mAP", "at least", 0.0, 0.45, True),
        ("mAP_50", "at least", 0.5, 0.7, True),
        ("AP50[vehicle]", "at least", 0.25, 0.8, True),
        ("AP50[cyclist]", "at least", 0.25, 0.6, True),
        ("regression[mAP]", "at most", 0.02, pytest.approx(0.01), True),
        ("serving.matched", "at least", 0.98, 1.0, True),
        ("serving.mAP_difference", "at most", 0.005, 0.0003, True),
    ]


def test_every_failed_rule_says_what_it_asked_and_what_it_got() -> None:
    policy = replace(POLICY, classes={"Cyclist": {"AP50": 0.3}})
    champion, parity = ChampionEvidence({"mAP": 0.5}, "t1"), ParityEvidence("litert", 0.9, -0.25)
    bad = Evidence("t1", "t2", "m1", "m2", "d1", "d2", 49, {"mAP": 0.3}, {}, champion, parity)
    assert numbers(judge(bad, policy)) == [
        ("test_set", "at least", 1.0, 0.0, False),
        ("model", "at least", 1.0, 0.0, False),
        ("dataset", "at least", 1.0, 0.0, False),
        ("support.images", "at least", 50.0, 49.0, False),
        ("class[Cyclist]", "at least", 1.0, 0.0, False),
        ("mAP", "at least", 0.0, 0.3, True),
        ("mAP_50", "at least", 0.5, -1.0, False),
        ("classes", "at least", 1.0, 0.0, False),
        ("regression[mAP]", "at most", 0.02, 0.2, False),
        ("serving.matched", "at least", 0.98, 0.9, False),
        ("serving.mAP_difference", "at most", 0.005, 0.25, False),
    ]
    unknown = judge(replace(bad, champion=ChampionEvidence(reason="gone"), parity=None), policy)
    assert numbers(unknown)[-2:] == [
        ("regression[mAP]", "at most", 0.02, -1.0, False),
        ("serving.matched", "at least", 0.98, -1.0, False),
    ]


def test_three_failures_are_named_and_the_others_counted() -> None:
    three = replace(GOOD, scored="t2", measured="m2", trained_on="d2")
    verdict = judge(three, POLICY)
    assert verdict.sentence == " ".join(rule.sentence for rule in verdict.rules[:3])
    assert judge(replace(three, images=1), POLICY).sentence == f"{verdict.sentence} And 1 more."


def test_data_sets_are_named_by_the_beginning_of_their_hashes() -> None:
    trained = "trained on 0123456789abcdef, the test set is of d1: test images"
    refuse(replace(GOOD, trained_on="0123456789abcdefg"), "dataset", trained)
    refuse(replace(GOOD, dataset="fedcba9876543210f"), "dataset", "the test set is of fedcba9876543210: test images")
    unknown = replace(GOOD, dataset="", trained_on=None)
    refuse(unknown, "dataset", "trained on an unknown data set, the test set is of an unknown one: test images")


def test_what_is_just_allowed_passes() -> None:
    policy = replace(
        POLICY,
        champion=ChampionRule(greatest_regression={"mAP": 0.25}),
        serving=ServingRule(least_matched=0.5, greatest_difference={"mAP": 1}),
    )
    bounds = replace(
        GOOD,
        metrics={"mAP": 0.5, "mAP_50": 1.0},
        champion=ChampionEvidence({"mAP": 0.75}, "t1"),
        parity=ParityEvidence("openvino", 0.5, -1.0),
    )
    verdict = judge(bounds, policy)
    assert verdict.passed
    assert "a fall of 0.2500, within the 0.25 allowed." in str(verdict)
    beyond = judge(replace(bounds, parity=ParityEvidence("openvino", 0.5, 1.001)), policy).rules[-1]
    assert (beyond.actual, beyond.passed) == (-1.0, False)


@pytest.mark.parametrize("theirs", [0.45, 0.1, 0.0])
def test_a_champion_that_is_not_better_is_no_fall(theirs: float) -> None:
    verdict = judge(replace(GOOD, champion=ChampionEvidence({"mAP": theirs}, "t1")), POLICY)
    assert verdict.passed
    assert f"the champion's {theirs:.4f} on the same images: no fall, 0.02 is allowed." in str(verdict)


def test_the_worst_and_the_best_score_are_known() -> None:
    worst = judge(replace(GOOD, metrics={"mAP": 0.0, "mAP_50": 0.5}, champion=None), POLICY)
    assert (worst.passed, worst.mean_ap) == (True, 0.0)
    best = judge(replace(GOOD, metrics={"mAP": 1.0, "mAP_50": 1.0}), POLICY, 1.0)
    assert (best.passed, best.mean_ap) == (True, 1.0)
    refuse(GOOD, "mAP", "mAP of the test set is 0.4500; 1 is required.", 1.0)
    lost = judge(replace(GOOD, metrics={"mAP": 0.0, "mAP_50": 0.5}), POLICY)
    assert "mAP is 0.0000, the champion's 0.4600" in lost.sentence


def test_a_class_can_be_asked_for_what_the_others_are_not() -> None:
    policy = replace(POLICY, classes={"vehicle": {"AP": 0.1}}, exempt_classes=("vehicle",))
    rules = {rule.rule: rule.required for rule in judge(GOOD, policy).rules if "vehicle" in rule.rule}
    assert rules == {"support[vehicle]": 20.0, "AP[vehicle]": 0.1}


def test_prints_a_line_for_each_rule() -> None:
    lines = str(judge(replace(GOOD, images=1), POLICY)).splitlines()
    assert lines[0] == "pass  test_set                The score was computed on the present test set."
    assert lines[3] == "FAIL  support.images          The test set has 1 images; 50 are required."
    assert lines[-1] == "GATE FAILED: The test set has 1 images; 50 are required."
    assert len(lines) == 14


shares = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1)
sane = st.floats(0, 1)


@st.composite
def evidences(draw: st.DrawFn, numbers: st.SearchStrategy[Any] = shares) -> Evidence:
    """Any evidence of two classes, with or without a champion."""
    names = draw(st.sampled_from([("t1", "t1"), ("t1", "t2"), ("t1", None)]))
    return Evidence(
        *names,
        "m1",
        draw(st.sampled_from(["m1", "m1", "m1", None])),
        "d1",
        draw(st.sampled_from(["d1", "d1", "d1", None])),
        draw(numbers.map(lambda value: value if value is None else value * 200)),
        {"mAP": draw(numbers), "mAP_50": draw(numbers)},
        {name: ClassEvidence({"AP50": draw(numbers)}, draw(st.none() | st.integers(0, 60))) for name in "ab"},
        draw(st.none() | st.builds(ChampionEvidence, st.fixed_dictionaries({"mAP": numbers}), st.just("t1"))),
        draw(st.none() | st.builds(ParityEvidence, st.just("openvino"), numbers, numbers)),
    )


@given(evidences(), st.floats())
def test_the_verdict_is_always_finite_and_never_passes_an_unusable_number(evidence: Evidence, threshold: float) -> None:
    verdict = judge(evidence, POLICY, threshold)
    json.dumps(asdict(verdict), allow_nan=False)
    assert verdict.passed == all(rule.passed for rule in verdict.rules)
    assert verdict.sentence
    numbers = [evidence.metrics["mAP"], evidence.metrics["mAP_50"], evidence.images, threshold]
    numbers += [value for found in evidence.classes.values() for value in (found.values["AP50"], found.support)]
    numbers += [evidence.champion.metrics["mAP"]] if evidence.champion else []
    numbers += [evidence.parity.matched, evidence.parity.mean_ap_difference] if evidence.parity else [None]
    if any(value is None or not math.isfinite(value) for value in numbers):
        assert not verdict.passed


@given(evidences(sane), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_turns_a_failure_into_a_pass(evidence: Evidence, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if judge(evidence, POLICY, high).passed:
        assert judge(evidence, POLICY, low).passed
    strict = replace(POLICY, metrics={"mAP_50": max(0.5, high)})
    if judge(evidence, strict).passed:
        assert judge(evidence, POLICY).passed


@given(evidences(sane), st.sampled_from(["mAP", "mAP_50"]), st.floats(0, 1))
def test_a_better_score_never_turns_a_pass_into_a_failure(evidence: Evidence, metric: str, value: float) -> None:
    worse = evidence.metrics[metric]
    assert worse is not None
    better = replace(evidence, metrics={**evidence.metrics, metric: max(value, worse)})
    if judge(evidence, POLICY).passed:
        assert judge(better, POLICY).passed


def numbers(verdict: Verdict) -> list[tuple[str, str, float, float, bool]]:
    return [(rule.rule, rule.comparison, rule.required, rule.actual, rule.passed) for rule in verdict.rules]


def refuse(evidence: Evidence, rule: str, sentence: str, threshold: float = 0.0) -> str:
    """The gate fails by this rule, which says so in this sentence."""
    verdict = judge(evidence, POLICY, threshold)
    assert not verdict.passed
    failed = {found.rule: found.sentence for found in verdict.rules if not found.passed}
    assert sentence in failed[rule]
    return failed[rule]
