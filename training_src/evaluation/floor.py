# SPDX-License-Identifier: Apache-2.0
"""The environment's policy is the floor: an execution's own can only tighten it, rule by rule.

Whatever the execution's would loosen is overruled and told; whatever nobody asks for is told, too. Both lists stand in
evaluation.json, and whoever approves reads them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from training_src.evaluation.policy import ChampionRule, GatePolicy, NamedTestSet, RecallRule, ServingRule, Support

_RESOURCES = {
    "latency_p99_milliseconds": "latency",
    "resident_megabytes": "memory of the server",
    "artifact_megabytes": "size of the artifact",
}


def tightened(floor: GatePolicy, run: GatePolicy | None) -> tuple[GatePolicy, list[str], list[str]]:
    """The policy by which an execution is judged.

    Args:
        floor: The environment's policy.
        run: The execution's own; None where it has none.

    Returns:
        Of each rule the stricter one; a sentence for each thing that the execution's policy would have loosened; a
        sentence for each rule that is not asked.
    """
    if run is None:
        return floor, [], list(left_out(floor))
    told: list[str] = []
    joined = GatePolicy(
        metrics=_greatest("metrics", floor.metrics, run.metrics, told),
        every_class=_greatest("every_class", floor.every_class, run.every_class, told),
        support=_support(floor.support, run.support, told),
        champion=_champion(floor.champion, run.champion, told),
        serving=_serving(floor.serving, run.serving, told),
        classes=_each("classes", floor.classes, run.classes, told),
        exempt_classes=tuple(name for name in floor.exempt_classes if name in run.exempt_classes),
        exempt_without_boxes=_exempt_without_boxes(floor, run, told),
        slices=_each("slices", floor.slices, run.slices, told),
        recall=_recall(floor.recall, run.recall, told),
        test_set=_test_set(floor.test_set, run.test_set, told),
        least_images_left=_least_images_left(floor.least_images_left, run.least_images_left, told),
    )
    return joined, told, list(left_out(joined))


def left_out(policy: GatePolicy) -> Iterator[str]:
    """A sentence for each rule that a policy does not ask."""
    for name in policy.exempt_classes:
        yield f'Of class "{name}" neither boxes nor a score are asked (exempt_classes).'
    for name in policy.exempt_without_boxes:
        yield f'Of class "{name}" nothing is asked where the test set has no box of it (exempt_classes).'
    if not policy.every_class:
        yield "No score is asked of every class (every_class)."
    if policy.champion is None:
        yield "No comparison is asked with what serves now, nor with the best version that ever served (champion)."
    if not policy.support.interval_width:
        yield "No width is asked of any interval (support.interval_width)."
    if not policy.slices:
        yield "No slice of the test set is judged by itself (slices)."
    if not policy.recall:
        yield "No recall at a precision is asked of any class (recall)."
    for name, what in _RESOURCES.items():
        if getattr(policy.serving, name) is None:
            yield f"No {what} is asked (serving.{name})."
    if policy.test_set is None:
        yield "No test set is named: the execution chooses its own (test_set)."


def _greatest(place: str, floor: Mapping[str, float], run: Mapping[str, float], told: list[str]) -> dict[str, float]:
    """Lowest values: of two the greater one counts."""
    joined = dict(floor)
    for name, value in run.items():
        if name in floor and value < floor[name]:
            told.append(_overruled(f"{place}.{name}", value, "below", floor[name]))
        joined[name] = max(value, floor.get(name, value))
    return joined


def _least(place: str, floor: Mapping[str, float], run: Mapping[str, float], told: list[str]) -> dict[str, float]:
    """Greatest values: of two the smaller one counts."""
    joined = dict(floor)
    for name, value in run.items():
        if name in floor and value > floor[name]:
            told.append(_overruled(f"{place}.{name}", value, "above", floor[name]))
        joined[name] = min(value, floor.get(name, value))
    return joined


def _overruled(place: str, value: float, side: str, floor: float) -> str:
    return f"{place}: the execution's {value:g} is {side} the environment's {floor:g}, which counts."


def _each(
    place: str,
    floor: Mapping[str, Mapping[str, float]],
    run: Mapping[str, Mapping[str, float]],
    told: list[str],
) -> dict[str, Mapping[str, float]]:
    return {
        name: _greatest(f"{place}.{name}", floor.get(name, {}), run.get(name, {}), told) for name in _names(floor, run)
    }


def _names(floor: Iterable[str], run: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*floor, *run)))


def _least_images_left(floor: int | None, run: int | None, told: list[str]) -> int | None:
    if floor is None or run is None:
        return run if floor is None else floor
    return int(_greatest("exclusion", {"least_images": floor}, {"least_images": run}, told)["least_images"])


def _support(floor: Support, run: Support, told: list[str]) -> Support:
    counts = _greatest(
        "support",
        {"images": floor.images, "boxes_per_class": floor.boxes_per_class},
        {"images": run.images, "boxes_per_class": run.boxes_per_class},
        told,
    )
    width = _least("support.interval_width", floor.interval_width, run.interval_width, told)
    return Support(int(counts["images"]), int(counts["boxes_per_class"]), width)


def _champion(floor: ChampionRule | None, run: ChampionRule | None, told: list[str]) -> ChampionRule | None:
    if floor is None or run is None:
        if floor is not None:
            told.append("champion: the execution asks for no comparison; the environment's counts.")
        return floor or run
    shares = _greatest(
        "champion",
        {"least_common_classes": floor.least_common_classes},
        {"least_common_classes": run.least_common_classes},
        told,
    )
    falls = _least("champion.greatest_fall", floor.greatest_fall, run.greatest_fall, told)
    return ChampionRule(falls, shares["least_common_classes"])


def _serving(floor: ServingRule, run: ServingRule, told: list[str]) -> ServingRule:
    matched = _greatest("serving", {"least_matched": floor.least_matched}, {"least_matched": run.least_matched}, told)
    difference = _least("serving.greatest_difference", floor.greatest_difference, run.greatest_difference, told)
    asked = [{name: value for name in _RESOURCES if (value := getattr(one, name)) is not None} for one in (floor, run)]
    return replace(
        floor,
        least_matched=matched["least_matched"],
        greatest_difference=difference,
        **_least("serving", asked[0], asked[1], told),
    )


def _recall(floor: Mapping[str, RecallRule], run: Mapping[str, RecallRule], told: list[str]) -> dict[str, RecallRule]:
    joined = _each(
        "recall",
        {name: vars(rule) for name, rule in floor.items()},
        {name: vars(rule) for name, rule in run.items()},
        told,
    )
    return {name: RecallRule(**rule) for name, rule in joined.items()}


def _exempt_without_boxes(floor: GatePolicy, run: GatePolicy, told: list[str]) -> tuple[str, ...]:
    """What the execution alone exempts is exempt only where nothing of it could be judged."""
    alone = [name for name in run.exempt_classes if name not in floor.exempt_classes]
    told += [
        f'exempt_classes: the execution exempts "{name}", which the environment asks for; it counts wherever the test '
        "set has a box of it."
        for name in alone
    ]
    return tuple(alone)


def _test_set(floor: NamedTestSet | None, run: NamedTestSet | None, told: list[str]) -> NamedTestSet | None:
    if floor is not None and run is not None and run.sha256 != floor.sha256:
        told.append("test_set: the execution names another test set than the environment, whose counts.")
    return floor or run
