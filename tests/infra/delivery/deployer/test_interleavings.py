# SPDX-License-Identifier: Apache-2.0
"""Whatever happens in whatever order, production ends with what was approved last and works.

The machine approves, rejects and edits versions, lets SageMaker go on, and delivers events in any order, twice, in the
middle of one another, or to a function that dies half-way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from infra.delivery.deployer.deployments.names import package_version, production_version

SETTINGS = settings(
    stateful_step_count=20,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes; the log of the failing example tells the story
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
picks = st.integers(0, 1_000)
calls = st.integers(0, 45)
kinds = st.sampled_from(["fit", "fit", "doomed", "stuck", "gate", "artifact", "floor", "hand"])


class DiedError(BaseException):
    """The function's process ended, so that nothing in it could catch that."""


class Machine(RuleBasedStateMachine):
    """A registry, an endpoint and the events between them.

    Attributes:
        moments: When each version was last approved, by version.
        fit: Versions that pass the verdict and come up.
        overridden: Versions whose last approval was an override.
        died: Whether a function has died, after which a message may come twice.
    """

    world: Any
    make_world: Callable[..., Any]

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).make_world()
        self.moments: dict[int, float] = {}
        self.fit: set[int] = set()
        self.overridden: set[int] = set()
        self.died = False

    @property
    def sagemaker(self) -> Any:
        return self.world.sagemaker

    @initialize(kinds=st.lists(kinds, min_size=2, max_size=4), serving=st.booleans())
    def begin(self, kinds: list[str], serving: bool) -> None:
        """Most of what matters happens to an endpoint that serves already, so half of the stories begin with one."""
        for kind in ["fit", *kinds]:
            self.register(kind)
        self.sagemaker.events.clear()
        if serving:
            self.approve(0)
            self.world.settle()

    @precondition(lambda self: len(self.sagemaker.packages) < 6)
    @rule(kind=kinds)
    def register(self, kind: str) -> None:
        serving = self.world.record().get("Champion")
        champion = serving["ModelPackageArn"] if serving else "none"
        recorded = {"champion_arn": champion, "best_arn": self._best(champion)}
        if kind == "floor":
            recorded["floor"] = "0" * 64
        version = self.world.register(passed=kind != "gate", recorded=recorded)
        if kind == "artifact":
            self.world.remove(version.model_uri)
        if kind == "hand":
            self.world.forget_verdict(version)
        {"doomed": self.sagemaker.doomed, "stuck": self.sagemaker.stuck, "fit": self.fit}.get(kind, set()).add(
            version.version
        )

    @precondition(lambda self: self.sagemaker.packages)
    @rule(pick=picks, override=st.booleans())
    def approve(self, pick: int, override: bool = True) -> None:
        version = self._version(pick)
        self.world.approve(version, why="override: whatever serves" if override else "")
        (self.overridden.add if override else self.overridden.discard)(version.version)
        self.moments[version.version] = version.modified

    @precondition(lambda self: self.sagemaker.packages)
    @rule(pick=picks)
    def reject(self, pick: int) -> None:
        self.world.reject(self._version(pick))

    @precondition(lambda self: self.sagemaker.packages)
    @rule(pick=picks)
    def annotate(self, pick: int) -> None:
        self.sagemaker.annotate(self._version(pick).version)

    @precondition(lambda self: self.sagemaker.endpoints)
    @rule()
    def time_passes(self) -> None:
        self.sagemaker.progress("mapgate-dev")

    @rule(lag=st.integers(0, 3))
    def describe_late(self, lag: int) -> None:
        """From now on so many descriptions after an order are those of before it."""
        self.sagemaker.lag = lag

    @rule()
    def look(self) -> None:
        self.world.look()

    @precondition(lambda self: self.sagemaker.events)
    @rule(pick=picks, again=st.booleans())
    def deliver(self, pick: int, again: bool) -> None:
        event = self._event(pick)
        if not again:
            self.sagemaker.events.remove(event)
        self.world.handle(event)

    @precondition(lambda self: self.sagemaker.events)
    @rule(pick=picks, after=calls)
    def die(self, pick: int, after: int) -> None:
        """The function ends at one of its calls; the event is delivered again later."""

        def stop() -> None:
            raise DiedError

        self._disturb(after, stop)
        self.died = True
        with contextlib.suppress(DiedError):
            self.world.handle(self._event(pick))
        self.sagemaker.before_call = print_nothing

    @precondition(lambda self: self.sagemaker.events)
    @rule(pick=picks, other=picks, after=calls, what=st.sampled_from(["event", "time", "approval", "rejection"]))
    def interleave(self, pick: int, other: int, after: int, what: str) -> None:
        """Something happens from beginning to end while the function is at one of its calls."""
        event = self._event(pick)

        def meanwhile() -> None:
            if what == "approval":
                self.approve(other)
            elif what == "rejection":
                self.reject(other)
            else:
                self.world.handle(self._event(other))
            if what == "time" and "mapgate-dev" in self.sagemaker.endpoints:
                self.sagemaker.progress("mapgate-dev")

        self._disturb(after, meanwhile)
        self.world.handle(event)
        self.sagemaker.before_call = print_nothing

    @precondition(lambda self: self.sagemaker.events)
    @rule()
    def rest(self) -> None:
        """A quiet hour, in which everything is delivered and done."""
        self.world.settle()

    @rule(count=st.integers(1, 2), capture=st.sampled_from([0, 20]))
    def change_settings(self, count: int, capture: int) -> None:
        self.world.change(instance_count=count, data_capture_percent=capture)

    @precondition(lambda self: self.world.queue.sent)
    @rule()
    def remind(self) -> None:
        self.world.remind()

    @invariant()
    def nothing_forbidden_happened(self) -> None:
        assert self.sagemaker.violations == []

    @invariant()
    def only_what_passed_its_gate_is_on_an_endpoint(self) -> None:
        endpoint = self.sagemaker.endpoints.get("mapgate-dev")
        if endpoint is not None:
            reached = self.fit | self.sagemaker.doomed | self.sagemaker.stuck
            assert production_version("mapgate-dev", endpoint.config) in reached

    @invariant()
    def nobody_is_told_that_a_fit_version_failed(self) -> None:
        for message in self.world.topic.faults:
            if "was compared with" in message["Message"]:
                continue
            told = message["Subject"].removeprefix("mapgate-dev: ")
            assert told.endswith("keeps serving") or int(told.split()[0].removeprefix("v")) not in self.fit

    def teardown(self) -> None:
        try:
            self._settle()
            self._check_end()
        finally:
            self.world.close()

    def _settle(self) -> None:
        self.world.settle()
        # A reminder may be all that is left of a deletion, a look all that finds what a function that died has left,
        # and any later event has to find everything in order.
        for _ in range(2):
            self.world.look()
            self.sagemaker._announce("mapgate-dev") if "mapgate-dev" in self.sagemaker.endpoints else None
            self.world.settle()
        assert self.sagemaker.violations == []

    def _check_end(self) -> None:
        standing = {v for v, package in self.sagemaker.packages.items() if package.approval == "Approved"}
        good = (standing & self.fit) - self._compared_with_another()
        endpoint = self.sagemaker.endpoints.get("mapgate-dev")
        if good:
            newest = max(good, key=lambda version: self.moments[version])
            assert endpoint is not None
            assert (endpoint.config, self.world.champion()) == (self.world.named(newest), newest)
        if endpoint is None:
            return
        assert endpoint.status in {"InService", "UpdateRollbackFailed"}
        if endpoint.status == "InService":
            assert self.world.champion() == production_version("mapgate-dev", endpoint.config)
            assert set(self.sagemaker.configs) == set(self.sagemaker.models) == {endpoint.config}
        assert self.world.record()["Attempt"] is None
        self._check_history()

    def _compared_with_another(self) -> set[int]:
        """Return the versions that were refused because another champion serves than they were compared with."""
        records = {version: self.world.record(f"version#{version:06d}") for version in self.sagemaker.packages}
        stale = {v for v, record in records.items() if "was compared with" in (record.get("Sentence") or "")}
        assert not any(records[version]["ServedAt"] for version in stale)
        return {version for version in stale if records[version]["Outcome"] == "refused"} - self.overridden

    def _check_history(self) -> None:
        """Everything was told, once where nobody died, and what serves is signed for."""
        history = self.world.history()
        assert all(event["ToldAt"] for event in history)
        sent = len(self.world.topic.sent)
        assert sent == len(history) or (self.died and sent > len(history))
        for version in self.sagemaker.packages:
            assert not self.world.record(f"version#{version:06d}").get("Untold")
        champion = self.world.record(f"version#{self.world.champion():06d}") if self.world.champion() else None
        if champion:
            assert champion["ServedAt"] == champion["StatedAt"] > 0
            assert champion["ApprovalStatement"] or not champion["Standing"]
            assert champion["DeploymentStatement"]

    def _best(self, champion: str) -> str:
        """Return what FindChampion would name: of equal figures those of the newest version that served."""
        served = [
            package.arn
            for version, package in self.sagemaker.packages.items()
            if self.world.record(f"version#{version:06d}").get("ServedAt")
            and self.world.record(f"verdict#{version:06d}")
        ]
        best = max(served, key=package_version, default=champion)
        return best if "none" not in (champion, best) and best != champion else "none"

    def _version(self, pick: int) -> Any:
        return self.sagemaker.packages[1 + pick % len(self.sagemaker.packages)]

    def _event(self, pick: int) -> dict[str, Any]:
        events: list[dict[str, Any]] = self.sagemaker.events
        return events[pick % len(events)]

    def _disturb(self, after: int, disturbance: Callable[[], None]) -> None:
        """Call `disturbance` once, in front of the call that comes after so many others."""
        left = after

        def before(operation: str) -> None:  # noqa: ARG001
            nonlocal left
            left -= 1
            if left == -1:
                self.sagemaker.before_call = print_nothing
                disturbance()

        self.sagemaker.before_call = before


def print_nothing(operation: str) -> None:
    """Let a call pass."""


def run(make_world: Callable[..., Any], examples: int) -> None:
    class Bound(Machine):
        pass

    Bound.make_world = staticmethod(make_world)
    run_state_machine_as_test(Bound, settings=settings(SETTINGS, max_examples=examples))


@pytest.fixture
def story(make_world: Callable[..., Any]) -> Machine:
    """A machine whose steps a test calls itself; steps that once ended wrong are kept so."""

    class Bound(Machine):
        pass

    Bound.make_world = staticmethod(make_world)
    return Bound()


def test_roll_out_ended_by_another_event_while_one_prepares_the_same(story: Machine) -> None:
    story.begin(serving=True, kinds=["fit", "doomed"])
    story.change_settings(capture=20, count=2)
    story.approve(pick=34)
    story.describe_late(lag=2)
    story.interleave(after=5, other=485, pick=625, what="time")
    story.nobody_is_told_that_a_fit_version_failed()
    story.teardown()


def test_trial_of_changed_settings_that_is_described_late(story: Machine) -> None:
    story.begin(serving=False, kinds=["fit", "fit", "stuck"])
    story.annotate(pick=300)
    story.register(kind="artifact")
    story.die(pick=706, after=15)
    story.rest()
    story.approve(pick=250)
    story.look()
    story.interleave(after=6, other=0, pick=0, what="event")
    story.look()
    story.change_settings(capture=20, count=1)
    story.look()
    story.look()
    story.reject(pick=74)
    story.remind()
    story.time_passes()
    story.describe_late(lag=2)
    story.deliver(pick=220, again=False)
    story.interleave(after=0, other=250, pick=0, what="event")
    story.look()
    story.nobody_is_told_that_a_fit_version_failed()
    story.teardown()


def test_trial_that_is_asked_for_anew_knows_the_endpoint_that_was_ordered_before(story: Machine) -> None:
    story.begin(kinds=["artifact", "gate", "hand"], serving=False)
    story.approve(override=True, pick=156)
    story.approve(override=False, pick=194)
    story.look()
    story.look()
    story.deliver(again=True, pick=0)
    story.approve(override=True, pick=284)
    story.look()
    story.reject(pick=355)
    story.register(kind="hand")
    story.die(after=41, pick=462)
    story.register(kind="floor")
    story.change_settings(capture=20, count=1)
    story.describe_late(lag=3)
    story.annotate(pick=93)
    story.deliver(again=False, pick=361)
    story.describe_late(lag=2)
    story.annotate(pick=144)
    story.time_passes()
    story.describe_late(lag=0)
    story.nobody_is_told_that_a_fit_version_failed()
    story.teardown()


def test_any_interleaving_ends_in_the_right_state(make_world: Callable[..., Any]) -> None:
    run(make_world, 12)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_a_thousand_interleavings_end_in_the_right_state(
    make_world: Callable[..., Any], record: Callable[[str, str], None]
) -> None:
    run(make_world, 1000)
    record("stories of the deployer with events in any order, doubled and cut off", "1,000")
