# SPDX-License-Identifier: Apache-2.0
"""The gate fails closed: nothing but a known, finite and sufficient number passes a rule."""

import json
import math
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.evaluation.comparison import Change, CommonClasses, ComparedEvidence
from training_src.evaluation.floor import tightened
from training_src.evaluation.gate import ClassEvidence, Evidence, ParityEvidence, ResourceEvidence, Verdict, judge
from training_src.evaluation.policy import ChampionRule, GatePolicy, NamedTestSet, RecallRule, ServingRule
from training_src.evaluation.rules import Estimate

POLICY = GatePolicy.of(
    {
        "schema_version": 2,
        "metrics": {"mAP_50": 0.5},
        "every_class": {"AP50": 0.25},
        "support": {"images": 50, "boxes_per_class": 20, "interval_width": {"mAP": 0.1}},
        "champion": {"greatest_fall": {"mAP": 0.025}},
        "serving": {"least_matched": 0.98, "greatest_difference": {"mAP": 0.005}},
        "exclusion": {"least_images": 50},
    }
)


def sure(value: float | None) -> Estimate:
    """A metric that would be the same with any other images."""
    return Estimate(value, value, value)


def compared(theirs: float | None, change: float | None, deviation: float | None = 0.01) -> ComparedEvidence:
    """Another model of the same classes, with this mAP, of which the challenger's differs so."""
    upper = None if change is None or deviation is None else change + 1.645 * deviation
    return ComparedEvidence(
        metrics={"mAP": theirs},
        change={"mAP": Change(change, deviation, upper)},
        per_class_change={"vehicle": Change(0.0, 0.02), "cyclist": Change(0.01, 0.02)},
        classes=CommonClasses(("vehicle", "cyclist")),
        test_set="t1",
    )


GOOD = Evidence(
    test_set="t1",
    scored="t1",
    model="m1",
    measured="m1",
    dataset="d1",
    trained_on="d1",
    images=100,
    metrics={"mAP": Estimate(0.45, 0.42, 0.48), "mAP_50": Estimate(0.7, 0.66, 0.73)},
    classes={
        "vehicle": ClassEvidence({"AP": sure(0.5), "AP50": Estimate(0.8, 0.75, 0.84)}, 90),
        "cyclist": ClassEvidence({"AP50": Estimate(0.6, 0.5, 0.7)}, 40),
    },
    champion=compared(0.46, -0.01),
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
    evidence = replace(GOOD, metrics={**GOOD.metrics, metric: sure(value)})
    refuse(evidence, metric, "is unknown")
    assert judge(evidence, POLICY).mean_ap == (-1 if metric == "mAP" else 0.45)
    refuse(replace(GOOD, metrics={**GOOD.metrics, metric: Estimate(0.7, value, 0.8)}), metric, "is unknown")


def test_gate_fails_closed_on_missing_metric() -> None:
    refuse(replace(GOOD, metrics={}), "mAP_50", "mAP_50 of the test set: the value or its interval is unknown; 0.5 is")
    assert judge(replace(GOOD, metrics={}), POLICY).mean_ap == -1


def test_a_floor_asks_the_lower_end_of_the_interval() -> None:
    lucky = replace(GOOD, metrics={"mAP": sure(0.3), "mAP_50": Estimate(0.55, 0.4999, 0.6)})
    refuse(lucky, "mAP_50", "mAP_50 of the test set is 0.5500, at least 0.4999 by its interval; 0.5 is required.")
    assert ("mAP_50", "at least", 0.5, 0.4999, False) in numbers(judge(lucky, POLICY))


def test_a_lower_end_above_its_own_value_counts_as_the_value() -> None:
    odd = replace(GOOD, metrics={**GOOD.metrics, "mAP_50": Estimate(0.49, 0.51, 0.53)})
    assert ("mAP_50", "at least", 0.5, 0.49, False) in numbers(judge(odd, POLICY))


def test_a_lower_end_at_the_threshold_passes() -> None:
    evidence = replace(GOOD, metrics={"mAP": sure(0.45), "mAP_50": Estimate(0.6, 0.5, 0.7)})
    assert judge(evidence, POLICY, 0.45).passed


@pytest.mark.parametrize(("upper", "passed"), [(0.51, True), (0.5201, False), (None, False), (math.nan, False)])
def test_fails_when_the_interval_is_too_wide(upper: float | None, passed: bool) -> None:
    evidence = replace(GOOD, metrics={**GOOD.metrics, "mAP": Estimate(0.45, 0.42, upper)})
    assert judge(evidence, POLICY).passed is passed
    if upper == 0.5201:
        sentence = "The width of mAP's interval, which more test images make smaller, is 0.1001; 0.1 is allowed."
        refuse(evidence, "interval_width[mAP]", sentence)


@pytest.mark.parametrize("value", [*UNUSABLE, 0.1])
def test_fails_when_any_class_is_unknown_or_weak(value: float | None) -> None:
    classes = {**GOOD.classes, "cyclist": ClassEvidence({"AP50": sure(value)}, 40)}
    refuse(replace(GOOD, classes=classes), "AP50[cyclist]", 'AP50 of class "cyclist"')


@pytest.mark.parametrize("support", [0, 19, *UNUSABLE])
def test_fails_with_too_little_support(support: float | None) -> None:
    classes = {**GOOD.classes, "cyclist": ClassEvidence({"AP50": sure(0.9)}, support)}
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
    sentence = "mAP is 0.4500, the champion's 0.5000 on the same images: a fall of 0.0500, more than the 0.025 allowed."
    refuse(replace(GOOD, champion=compared(0.5, -0.05, 0.1)), "regression[mAP]", sentence)


def test_fails_when_it_is_significantly_worse_however_little() -> None:
    worse = replace(GOOD, champion=compared(0.455, -0.005, 0.002))
    sentence = "mAP differs from the champion's by -0.0050 ± 0.0020 on the same images: significantly worse"
    refuse(worse, "significance[mAP]", sentence)
    (fall,) = (rule for rule in judge(worse, POLICY).rules if rule.rule == "regression[mAP]")
    assert fall.passed and fall.actual == pytest.approx(0.005)


def test_a_class_fails_when_it_is_significantly_worse_at_its_share_of_five_percent() -> None:
    def champion(fall: float) -> Evidence:
        changes = {"vehicle": Change(0.1, 0.02), "cyclist": Change(-fall, 0.02)}
        return replace(GOOD, champion=replace(compared(0.45, 0.0), per_class_change=changes))

    # 1.645 deviations are 5 % of one test, 1.960 are 2.5 % of each of two.
    assert judge(champion(1.9 * 0.02), POLICY).passed
    sentence = (
        'AP of class "cyclist" differs from the champion\'s by -0.0400 ± 0.0200 on the same images: significantly'
    )
    refuse(champion(2 * 0.02), "significance[cyclist]", sentence)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, 1.5])
def test_fails_when_a_class_s_difference_is_unusable(value: float | None) -> None:
    for change in (Change(value, 0.01), Change(0.1, value)):
        champion = replace(compared(0.45, 0.0), per_class_change={"cyclist": change})
        refuse(replace(GOOD, champion=champion), "significance[cyclist]", "that it is worse cannot be excluded")


def test_fails_when_the_champion_could_not_be_measured() -> None:
    champion = ComparedEvidence(reason="its archive has no model.json")
    sentence = refuse(replace(GOOD, champion=champion), "champion", "so no regression can be excluded.")
    assert sentence.startswith("The champion could not be measured (its archive has no model.json)")


@pytest.mark.parametrize("value", UNUSABLE)
def test_fails_when_the_champions_metric_is_unusable(value: float | None) -> None:
    refuse(replace(GOOD, champion=compared(value, 0.0)), "regression[mAP]", "mAP or its difference from the champion's")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 1.5])
def test_fails_when_the_difference_is_unusable(value: float | None) -> None:
    evidence = replace(GOOD, champion=compared(0.46, value))
    refuse(evidence, "regression[mAP]", "so no regression can be excluded")
    refuse(evidence, "significance[mAP]", "that it is worse cannot be excluded")
    assert ("regression[mAP]", "at most", 0.025, -1.0, False) in numbers(judge(evidence, POLICY))


def test_fails_when_the_champion_was_measured_on_other_images() -> None:
    refuse(replace(GOOD, champion=replace(compared(0.1, 0.35), test_set="t2")), "champion", "on other images")


def test_class_whose_name_only_looks_like_the_champions_is_refused_with_both_names() -> None:
    classes = CommonClasses(common=("person",), missing=("c\u0430r",), new=("car",), alike=(("c\u0430r", "car"),))
    champion = replace(compared(0.46, 0.0), classes=classes)
    refuse(
        replace(GOOD, champion=champion),
        "class_names[car]",
        'The class "c\u0430r" of the champion and the challenger\'s "car" look alike and are written with other '
        "characters ('c\\u0430r' and 'car'): give the class its name of before, or another.",
    )


def test_the_best_version_that_ever_served_is_compared_like_the_champion() -> None:
    assert judge(replace(GOOD, best=compared(0.47, -0.02, 0.02)), POLICY).passed
    sentence = "mAP is 0.4500, the best version that ever served's 0.5000 on the same images: a fall of 0.0500"
    refuse(replace(GOOD, best=compared(0.5, -0.05)), "best.regression[mAP]", sentence)
    refuse(replace(GOOD, best=compared(0.455, -0.005, 0.002)), "best.significance[mAP]", "significantly worse")
    lost = ComparedEvidence(reason="its archive is gone", waiver="please")
    refuse(replace(GOOD, best=lost), "best", "The best version that ever served could not be measured")


def test_twelve_small_falls_one_after_the_other_end_at_the_best_version() -> None:
    best = 0.45
    served = [best - 0.019 * step for step in range(13)]
    passed = [
        judge(replace(GOOD, champion=compared(before, -0.019, 0.016), best=compared(best, now - best, 0.016)), POLICY)
        for before, now in pairwise(served)
    ]
    assert [verdict.passed for verdict in passed] == [True, *[False] * 11]
    alone = judge(replace(GOOD, champion=compared(0.4, -0.019, 0.016)), POLICY)
    assert alone.passed


def test_models_are_compared_over_the_classes_that_both_have() -> None:
    classes = CommonClasses(("vehicle",), ("bicycle", "tram"), ("cyclist",), (("cyclist", "bicycle"),))
    evidence = replace(GOOD, champion=replace(compared(0.46, 0.0), classes=classes))
    rules = {rule.rule: rule for rule in judge(evidence, POLICY).rules}
    assert rules["common_classes"].sentence == (
        "Of 2 classes of the champion the challenger has 1, 0.5 of them are required; new: bicycle, tram; "
        "missing: cyclist; renamed: cyclist to bicycle."
    )
    assert (rules["common_classes"].actual, rules["common_classes"].passed) == (0.5, True)
    few = replace(evidence, champion=replace(compared(0.46, 0.0), classes=CommonClasses(("a",), (), ("b", "c"))))
    refuse(few, "common_classes", "Of 3 classes of the champion the challenger has 1, 0.5 of them are required")
    refuse(few, "common_classes", "Detectors of other classes belong in an environment of their own.")
    none = replace(evidence, champion=replace(compared(None, None), classes=CommonClasses()))
    refuse(none, "common_classes", "Of 0 classes of the champion the challenger has 0")


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


def test_a_class_of_the_policy_that_only_looks_like_one_is_told_with_its_characters() -> None:
    known, written = "vehicle", "v\u0435hicle"
    verdict = judge(GOOD, replace(POLICY, classes={written: {"AP50": 0.3}}))
    assert written != known
    assert (
        f'It has "{known}", which looks like it and is written with other characters ({written!a}, ' in verdict.sentence
    )


def test_a_class_that_the_test_set_asks_for_must_have_been_learnt() -> None:
    evidence = replace(GOOD, unlearnt={"tram": 12})
    sentence = 'The test set asks for class "tram", which the model has not learnt.'
    refuse(evidence, "class[tram]", sentence)
    verdict = judge(evidence, replace(POLICY, exempt_classes=("tram",)))
    assert sentence not in str(verdict)


def test_an_exempt_class_needs_nothing() -> None:
    evidence = replace(GOOD, classes={**GOOD.classes, "cyclist": ClassEvidence({}, 0)})
    assert not judge(evidence, POLICY).passed
    assert judge(evidence, replace(POLICY, exempt_classes=("cyclist",))).passed


def test_a_lost_champion_is_waived_in_words_and_never_in_silence() -> None:
    lost = ComparedEvidence(reason="its artifact is gone", waiver="emptied by hand - admin 2026-11-30")
    verdict = judge(replace(GOOD, champion=lost), POLICY)
    assert verdict.passed
    (rule,) = (rule for rule in verdict.rules if rule.rule == "champion")
    assert (rule.required, rule.actual, rule.passed) == (1, -1, True)
    assert rule.sentence == (
        "The champion could not be measured (its artifact is gone); an administrator waived the comparison: "
        "emptied by hand - admin 2026-11-30."
    )
    assert verdict.sentence.endswith(rule.sentence)
    refuse(replace(GOOD, champion=replace(lost, waiver=None)), "champion", "no regression can be excluded")


def test_a_waiver_waives_the_champion_and_nothing_else() -> None:
    lost = ComparedEvidence(reason="its artifact is gone", waiver="emptied by hand - admin 2026-11-30")
    for broken in (
        replace(GOOD, images=10),
        replace(GOOD, metrics={**GOOD.metrics, "mAP_50": sure(0.1)}),
        replace(GOOD, best=compared(0.5, -0.05)),
        replace(GOOD, scored="t2"),
        replace(GOOD, parity=None),
    ):
        assert not judge(replace(broken, champion=lost), POLICY).passed


def test_a_waiver_counts_for_nothing_where_the_champion_was_measured() -> None:
    for champion in (compared(0.9, -0.45), replace(compared(0.46, 0.0), test_set="t0"), ComparedEvidence()):
        assert not judge(replace(GOOD, champion=replace(champion, waiver="please")), POLICY).passed


def test_a_class_is_asked_for_its_recall_at_a_precision() -> None:
    policy = replace(POLICY, recall={"cyclist": RecallRule(precision=0.9, recall=0.6)})
    for recall, passed in ((Estimate(0.7, 0.6, 0.8), True), (Estimate(0.7, 0.59, 0.8), False), (None, False)):
        classes = {**GOOD.classes, "cyclist": replace(GOOD.classes["cyclist"], recall=recall)}
        verdict = judge(replace(GOOD, classes=classes), policy)
        assert verdict.passed is passed
        (rule,) = (rule for rule in verdict.rules if rule.rule == "recall[cyclist]")
        assert (rule.required, rule.passed) == (0.6, passed)
        assert rule.sentence.startswith('Recall of class "cyclist" at a precision of 0.9')
    assert not judge(GOOD, replace(POLICY, recall={"tram": RecallRule(0.9, 0.6)})).passed


def test_a_slice_is_asked_by_itself() -> None:
    policy = replace(POLICY, slices={"camera=front": {"mAP_50": 0.4}})
    for found, passed in (({"mAP_50": Estimate(0.5, 0.41, 0.6)}, True), ({"mAP_50": Estimate(0.5, 0.3, 0.6)}, False)):
        verdict = judge(replace(GOOD, slices={"camera=front": found}), policy)
        assert verdict.passed is passed
        assert 'mAP_50 of the slice "camera=front" is 0.5000' in str(verdict)
    verdict = judge(GOOD, policy)
    assert not verdict.passed
    assert 'The policy names a slice "camera=front" that the test set does not have.' in verdict.sentence
    assert not judge(replace(GOOD, slices={"camera=front": {}}), policy).passed


def test_a_slice_that_is_missing_hides_no_other() -> None:
    policy = replace(POLICY, slices={"camera=rear": {"mAP_50": 0.4}, "camera=front": {"mAP_50": 0.4}})
    verdict = judge(replace(GOOD, slices={"camera=front": {"mAP_50": sure(0.3)}}), policy)
    failed = [rule.rule for rule in verdict.rules if not rule.passed]
    assert failed == ["slice[camera=rear]", "mAP_50[camera=front]"]


@pytest.mark.parametrize("name", ["latency_p99_milliseconds", "resident_megabytes", "artifact_megabytes"])
@pytest.mark.parametrize(("value", "passed"), [(80.0, True), (80.1, False), (None, False), (math.nan, False)])
def test_serving_may_cost_no_more_than_the_policy_says(name: str, value: float | None, passed: bool) -> None:
    limit: dict[str, Any] = {name: 80.0}
    policy = replace(POLICY, serving=replace(POLICY.serving, **limit))
    verdict = judge(replace(GOOD, resources=ResourceEvidence(**{name: value})), policy)
    assert verdict.passed is passed
    assert (f"serving.{name}", "at most", 80.0, -1.0 if value is None or math.isnan(value) else value, passed) in (
        numbers(verdict)
    )


def test_the_named_test_set_must_be_the_measured_one() -> None:
    assert judge(GOOD, replace(POLICY, test_set=NamedTestSet("s3://bucket/test/", "t1"))).passed
    verdict = judge(GOOD, replace(POLICY, test_set=NamedTestSet("s3://bucket/test/", "f" * 64)))
    assert not verdict.passed
    assert verdict.sentence.startswith(
        "The policy names the test set s3://bucket/test/ by the digest ffffffffffffffff;"
    )
    assert [rule.passed for rule in verdict.rules if rule.rule == "test_set.named"] == [False]


@pytest.mark.parametrize(("measured", "named"), [("0123456789abcdefg", "0123456789abcdef"), ("", "an unknown one")])
def test_the_measured_test_set_is_named_beside_the_policy_s(measured: str, named: str) -> None:
    policy = replace(POLICY, test_set=NamedTestSet("s3://bucket/test/", "f" * 64))
    verdict = judge(replace(GOOD, test_set=measured), policy)
    (rule,) = (rule for rule in verdict.rules if rule.rule == "test_set.named")
    assert rule.sentence == (
        "The policy names the test set s3://bucket/test/ by the digest ffffffffffffffff; "
        f"measured was {named}: put the policy or the test set right."
    )


def test_too_few_images_that_no_model_has_learnt_from_fail() -> None:
    policy = replace(POLICY, least_images_left=101)
    assert judge(GOOD, policy).passed
    sentence = "Without the 20 test images that a model has learnt from, the test set has 100 images; 101 are required."
    assert sentence in judge(replace(GOOD, left_out=20), policy).sentence
    assert judge(replace(GOOD, left_out=20), replace(policy, least_images_left=100)).passed


def test_what_a_reader_must_know_stands_in_the_sentence_of_both_verdicts() -> None:
    noted = replace(GOOD, notes=("The execution chose its own test set.",))
    assert judge(noted, POLICY).sentence.endswith("(mAP 0.4500, mAP_50 0.7000). The execution chose its own test set.")
    assert judge(replace(noted, images=1), POLICY).sentence.endswith("required. The execution chose its own test set.")


def test_an_execution_s_weak_policy_lets_nothing_pass_that_the_floor_does_not() -> None:
    weak = GatePolicy.of(
        {
            "schema_version": 2,
            "metrics": {"mAP_50": 0.01},
            "every_class": {},
            "exempt_classes": ["cyclist", "vehicle"],
            "support": {"images": 1, "boxes_per_class": 1},
            "champion": None,
            "serving": {"least_matched": 0.01, "greatest_difference": {"mAP": 1}},
        }
    )
    policy, overruled, _ = tightened(POLICY, weak)
    assert len(overruled) == 8
    assert judge(GOOD, policy).rules == judge(GOOD, POLICY).rules
    for bad in (
        replace(GOOD, metrics={**GOOD.metrics, "mAP_50": sure(0.4)}),
        replace(GOOD, images=10),
        replace(GOOD, champion=compared(0.6, -0.15)),
        replace(GOOD, classes={**GOOD.classes, "cyclist": ClassEvidence({"AP50": sure(0.1)}, 40)}),
        replace(GOOD, classes={**GOOD.classes, "cyclist": ClassEvidence({"AP50": sure(0.9)}, 3)}),
        replace(GOOD, parity=ParityEvidence("openvino", 0.5, 0.2)),
    ):
        assert judge(bad, weak).passed
        assert not judge(bad, policy).passed
        assert judge(bad, policy).rules == judge(bad, POLICY).rules
    without = replace(GOOD, classes={**GOOD.classes, "cyclist": ClassEvidence({}, 0)})
    assert not judge(without, POLICY).passed
    assert judge(without, policy).passed  # told among what is left out


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
    assert ("mAP", "at least", 2.0, 0.42, False) in numbers(judge(GOOD, POLICY, threshold))


def test_the_threshold_only_tightens() -> None:
    policy = replace(POLICY, metrics={"mAP": 0.6})
    for threshold in (0.0, 0.1, -5.0):
        assert not judge(GOOD, policy, threshold).passed
    assert not judge(GOOD, POLICY, 0.43).passed
    assert ("mAP", "at least", 0.0, 0.42, True) in numbers(judge(GOOD, POLICY, -5.0))


def test_many_failures_make_a_sentence_that_can_be_read() -> None:
    nothing = Evidence("t", None, "m", None, "d", None, None, {}, GOOD.classes, ComparedEvidence(reason="gone"), None)
    verdict = judge(nothing, POLICY)
    assert "And 6 more." in verdict.sentence
    assert len(verdict.sentence) < 700
    assert str(verdict).count("FAIL  ") == 9


def test_every_rule_says_what_it_asked_and_what_it_got() -> None:
    assert numbers(judge(GOOD, POLICY)) == [
        ("test_set", "at least", 1.0, 1.0, True),
        ("model", "at least", 1.0, 1.0, True),
        ("dataset", "at least", 1.0, 1.0, True),
        ("support.images", "at least", 50.0, 100.0, True),
        ("support[vehicle]", "at least", 20.0, 90.0, True),
        ("support[cyclist]", "at least", 20.0, 40.0, True),
        ("mAP", "at least", 0.0, 0.42, True),
        ("mAP_50", "at least", 0.5, 0.66, True),
        ("interval_width[mAP]", "at most", 0.1, pytest.approx(0.06), True),
        ("AP50[vehicle]", "at least", 0.25, 0.75, True),
        ("AP50[cyclist]", "at least", 0.25, 0.5, True),
        ("common_classes", "at least", 0.5, 1.0, True),
        ("regression[mAP]", "at most", 0.025, pytest.approx(0.01), True),
        ("significance[mAP]", "at most", 0.0, pytest.approx(0.01 - 0.01645), True),
        ("significance[vehicle]", "at most", 0.0, pytest.approx(-1.96 * 0.02, abs=1e-5), True),
        ("significance[cyclist]", "at most", 0.0, pytest.approx(-0.01 - 1.96 * 0.02, abs=1e-5), True),
        ("serving.matched", "at least", 0.98, 1.0, True),
        ("serving.mAP_difference", "at most", 0.005, 0.0003, True),
    ]


def test_every_failed_rule_says_what_it_asked_and_what_it_got() -> None:
    policy = replace(POLICY, classes={"Cyclist": {"AP50": 0.3}})
    parity = ParityEvidence("litert", 0.9, -0.25)
    champion = replace(compared(0.5, -0.2), per_class_change={})
    bad = Evidence("t1", "t2", "m1", "m2", "d1", "d2", 49, {"mAP": Estimate(0.3, 0.2, 0.5)}, {}, champion, parity)
    assert numbers(judge(bad, policy)) == [
        ("test_set", "at least", 1.0, 0.0, False),
        ("model", "at least", 1.0, 0.0, False),
        ("dataset", "at least", 1.0, 0.0, False),
        ("support.images", "at least", 50.0, 49.0, False),
        ("class[Cyclist]", "at least", 1.0, 0.0, False),
        ("mAP", "at least", 0.0, 0.2, True),
        ("mAP_50", "at least", 0.5, -1.0, False),
        ("interval_width[mAP]", "at most", 0.1, pytest.approx(0.3), False),
        ("classes", "at least", 1.0, 0.0, False),
        ("common_classes", "at least", 0.5, 1.0, True),
        ("regression[mAP]", "at most", 0.025, 0.2, False),
        ("significance[mAP]", "at most", 0.0, pytest.approx(0.2 - 0.01645), False),
        ("serving.matched", "at least", 0.98, 0.9, False),
        ("serving.mAP_difference", "at most", 0.005, 0.25, False),
    ]
    unknown = judge(replace(bad, champion=ComparedEvidence(reason="gone"), parity=None), policy)
    assert numbers(unknown)[-2:] == [
        ("champion", "at least", 1.0, -1.0, False),
        ("serving.matched", "at least", 0.98, -1.0, False),
    ]


def test_three_failures_are_named_and_the_others_counted() -> None:
    three = replace(GOOD, scored="t2", measured="m2", trained_on="d2")
    verdict = judge(three, POLICY)
    assert verdict.sentence == " ".join(rule.sentence for rule in verdict.rules[:3])
    assert judge(replace(three, images=1), POLICY).sentence == f"{verdict.sentence} And 1 more."


def test_data_sets_are_named_by_the_beginning_of_their_hashes() -> None:
    trained = "trained on 0123456789abcdef, prepared was d1: test images"
    refuse(replace(GOOD, trained_on="0123456789abcdefg"), "dataset", trained)
    refuse(replace(GOOD, dataset="fedcba9876543210f"), "dataset", "prepared was fedcba9876543210: test images")
    unknown = replace(GOOD, dataset="", trained_on=None)
    refuse(unknown, "dataset", "trained on an unknown data set, prepared was an unknown one: test images")


def test_what_is_just_allowed_passes() -> None:
    policy = replace(
        POLICY,
        champion=ChampionRule(greatest_fall={"mAP": 0.25}, least_common_classes=1),
        serving=ServingRule(least_matched=0.5, greatest_difference={"mAP": 1}),
    )
    bounds = replace(
        GOOD,
        metrics={"mAP": Estimate(0.5, 0.45, 0.5), "mAP_50": sure(1.0)},
        champion=replace(compared(0.75, -0.25, 0.2), change={"mAP": Change(-0.25, 0.2, 0.0)}),
        parity=ParityEvidence("openvino", 0.5, -1.0),
    )
    verdict = judge(bounds, policy)
    assert verdict.passed
    assert "a fall of 0.2500, within the 0.25 allowed." in str(verdict)
    beyond = judge(replace(bounds, parity=ParityEvidence("openvino", 0.5, 1.001)), policy).rules[-1]
    assert (beyond.actual, beyond.passed) == (-1.0, False)


@pytest.mark.parametrize("theirs", [0.45, 0.1, 0.0])
def test_a_champion_that_is_not_better_is_no_fall(theirs: float) -> None:
    verdict = judge(replace(GOOD, champion=compared(theirs, 0.45 - theirs)), POLICY)
    assert verdict.passed
    assert f"the champion's {theirs:.4f} on the same images: no fall, 0.025 is allowed." in str(verdict)


def test_the_worst_and_the_best_score_are_known() -> None:
    worst = judge(replace(GOOD, metrics={"mAP": sure(0.0), "mAP_50": sure(0.5)}, champion=None), POLICY)
    assert (worst.passed, worst.mean_ap) == (True, 0.0)
    best = judge(replace(GOOD, metrics={"mAP": sure(1.0), "mAP_50": sure(1.0)}), POLICY, 1.0)
    assert (best.passed, best.mean_ap) == (True, 1.0)
    refuse(GOOD, "mAP", "mAP of the test set is 0.4500, at least 0.4200 by its interval; 1 is required.", 1.0)
    lost = judge(replace(GOOD, champion=compared(0.46, -0.46)), POLICY)
    assert "mAP is 0.0000, the champion's 0.4600" in lost.sentence


def test_a_class_can_be_asked_for_what_the_others_are_not() -> None:
    policy = replace(POLICY, classes={"vehicle": {"AP": 0.1}}, exempt_classes=("vehicle",))
    worse = replace(GOOD, champion=replace(compared(0.46, 0.0), per_class_change={"vehicle": Change(-0.2, 0.01)}))
    rules = {rule.rule: rule.required for rule in judge(worse, policy).rules if "vehicle" in rule.rule}
    assert rules == {"support[vehicle]": 20.0, "AP[vehicle]": 0.1}


def test_prints_a_line_for_each_rule() -> None:
    lines = str(judge(replace(GOOD, images=1), POLICY)).splitlines()
    assert lines[0] == "pass  test_set                The score was computed on the present test set."
    assert lines[3] == "FAIL  support.images          The test set has 1 images; 50 are required."
    assert lines[-1] == "GATE FAILED: The test set has 1 images; 50 are required."
    assert len(lines) == 19


shares = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1)
sane = st.floats(0, 1)


def estimates(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Estimate]:
    return st.builds(Estimate, numbers, numbers, numbers)


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
        {"mAP": draw(estimates(numbers)), "mAP_50": draw(estimates(numbers))},
        {
            name: ClassEvidence({"AP50": draw(estimates(numbers))}, draw(st.none() | st.integers(0, 60)))
            for name in "ab"
        },
        draw(st.none() | st.builds(compared, numbers, numbers.map(lambda one: None if one is None else one - 0.5))),
        draw(st.none() | st.builds(ParityEvidence, st.just("openvino"), numbers, numbers)),
    )


@given(evidences(), st.floats())
def test_the_verdict_is_always_finite_and_never_passes_an_unusable_number(evidence: Evidence, threshold: float) -> None:
    verdict = judge(evidence, POLICY, threshold)
    json.dumps(asdict(verdict), allow_nan=False)
    assert verdict.passed == all(rule.passed for rule in verdict.rules)
    assert verdict.sentence
    metrics = [*evidence.metrics.values(), *(found.values["AP50"] for found in evidence.classes.values())]
    numbers = [*(value for one in metrics for value in (one.value, one.lower)), evidence.images, threshold]
    numbers += [found.support for found in evidence.classes.values()]
    numbers += [evidence.champion.metrics["mAP"], evidence.champion.change["mAP"].value] if evidence.champion else []
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
    assert worse.value is not None and worse.lower is not None and worse.upper is not None
    shift = max(value - worse.value, 0.0)
    shifted = Estimate(*(min(end + shift, 1.0) for end in (worse.value, worse.lower, worse.upper)))
    better = replace(evidence, metrics={**evidence.metrics, metric: shifted})
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
