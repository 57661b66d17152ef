# SPDX-License-Identifier: Apache-2.0
"""Time and cost of an execution's training: values in, an estimate, its sentences and a refusal out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.estimates.deployed import Deployed
from pipelines.estimates.instance_types import FILE, InstanceType, instance_type, prices_of

HOUR = 3600
# To start, to trace the step, to export.
_SECONDS_BESIDE = 120
# Validations and checkpoints between the steps.
_BETWEEN_STEPS = 1.1
# An estimate is that many times too long or too short at worst: steps of one kind differed by twice where they were
# measured, and no GPU was measured at all.
_SPREAD_OF_CPUS, _SPREAD_OF_GPUS = 2.0, 3.0
GIB = 1 << 30


@dataclass(frozen=True)
class Range:
    """Something that is not known better than between two numbers."""

    least: float
    likely: float
    most: float

    def times(self, factor: float) -> Range:
        """Each of the three."""
        return Range(self.least * factor, self.likely * factor, self.most * factor)


@dataclass(frozen=True)
class Estimate:
    """What an execution takes; None is unknown.

    Attributes:
        plan: As `python -m training_src estimate` tells the training; None where the model cannot be read here.
        instance: Of the training.
        deployed: Time limits, and the other jobs.
        on_this_machine: Whether the jobs are processes of this machine, which cost nothing.
    """

    plan: Mapping[str, Any] | None
    instance: InstanceType
    deployed: Deployed
    on_this_machine: bool

    @property
    def seconds(self) -> Range | None:
        """Of the training."""
        if self.plan is None or self.plan["batch_size"] is None or self.instance.speed is None:
            return None
        images = self.plan["steps"] * self.plan["batch_size"]
        likely = _SECONDS_BESIDE + _BETWEEN_STEPS * images * self.plan["seconds_an_image"] / self.instance.speed
        spread = _SPREAD_OF_GPUS if self.instance.gpus else _SPREAD_OF_CPUS
        return Range(likely / spread, likely, likely * spread)

    @property
    def usd(self) -> Range | None:
        """Of the training, on demand."""
        price = self._price(self.instance.name)
        return None if self.seconds is None or price is None else self.seconds.times(price / HOUR)

    @property
    def usd_at_most(self) -> float | None:
        """Of all jobs, each running to its time limit."""
        prices = [self._price(job.instance_type or self.instance.name) for job in self.deployed.jobs]
        if None in prices:
            return None
        hours = [job.instances * job.limit_seconds / HOUR for job in self.deployed.jobs]
        return sum(price * each for price, each in zip(prices, hours, strict=True) if price is not None)

    def _price(self, name: str) -> float | None:
        return 0.0 if self.on_this_machine else instance_type(name).usd_per_hour

    def refusal(self) -> str | None:
        """Why the training cannot end within its time limit, and the way out; None where it may."""
        limit = self.deployed.training.limit_seconds
        if self.plan is None or self.seconds is None or self.seconds.least <= limit:
            return None
        fewer = max(int(self.plan["steps"] * limit / self.seconds.likely * 0.8), 1)
        others = ", ".join(name for name in self.deployed.training_types if name != self.instance.name)
        another = f"another --training-instance-type ({others}), " if others and not self.on_this_machine else ""
        return (
            f"{self.plan['steps']} steps of batch {self.plan['batch_size']} take at least "
            f"{_duration(self.seconds.least)} on {self.instance.name}, and a training is stopped after "
            f"{_duration(limit)}: take --training-steps {fewer}, a smaller --architecture, {another}or raise "
            "training.maximum_hours of the environment"
        )

    def lines(self) -> list[tuple[str, str]]:
        """What is told of it, a subject and a sentence each."""
        return [
            *self._of_the_plan(),
            ("instance", self._of_the_instance()),
            ("time", self._of_time()),
            ("cost", self._of_cost()),
        ]

    def _of_the_plan(self) -> list[tuple[str, str]]:
        if self.plan is None:
            return [("model", "of a pipeline.config that is not here: batch, steps and memory are not known")]
        plan, chosen = self.plan, self.plan["batch_size"]
        batch = f"batch {chosen}" if chosen else f"a batch that fits, at most {plan['configs_batch_size']}"
        scaled = chosen not in (None, plan["configs_batch_size"])
        of = f" (the config's is {plan['configs_batch_size']})" if scaled else ""
        rate = f"learning rate {plan['learning_rate']:.3g}"
        if plan["learning_rate"] != plan["configs_learning_rate"]:
            rate += f", in proportion to the batch, of the config's {plan['configs_learning_rate']:.3g}"
        return [
            ("model", f"{plan['model']}{_of_the_input(plan)}"),
            ("training", f"{plan['steps']:,} steps of {batch}{of}, {rate}"),
        ]

    def _of_the_instance(self) -> str:
        where = "this machine" if self.on_this_machine else self.instance.name
        spot = ", on spare capacity" if self.deployed.spot and not self.on_this_machine else ""
        memory = (self.plan or {}).get("memory") or {}
        if not memory.get("total"):
            return f"{where}{spot}; how much memory it has is not known here"
        whose = "its GPU's" if memory["gpu"] else "its"
        needed, total = (f"{memory[name] / GIB:.1f}" for name in ("needed", "total"))
        return f"{where}{spot}; at most {needed} of {whose} {total} GiB of memory"

    def _of_time(self) -> str:
        limit = f"stopped after {_duration(self.deployed.training.limit_seconds)}"
        if self.seconds is None or self.plan is None:
            return f"not known here; training is {limit}"
        told = f"training about {_duration(self.seconds.likely)}"
        between = f"{_duration(self.seconds.least)} to {_duration(self.seconds.most)}"
        unmeasured = ", no GPU" if self.instance.gpus else ""
        return f"{told} ({between}, reckoned from steps measured on {self.plan['reference']}{unmeasured}), {limit}"

    def _of_cost(self) -> str:
        if self.on_this_machine:
            return "nothing: all jobs run here"
        if self.usd_at_most is None:
            return f"not known here, nor how much at most: {self.instance.name} has no price in {FILE.name}"
        how = f"time limits times prices of {prices_of()}, on demand"
        at_most = f"at most {self.usd_at_most:.2f} USD for all jobs ({how})"
        if self.usd is None:
            return f"not known here; {at_most}"
        between = f"{self.usd.least:.2f} to {self.usd.most:.2f}"
        spot = ", less on spare capacity" if self.deployed.spot else ""
        return f"training about {self.usd.likely:.2f} USD ({between}{spot}); {at_most}"

    def as_json(self) -> dict[str, Any]:
        """The same for scripts."""
        return {
            "training": dict(self.plan) if self.plan else None,
            "instance_type": self.instance.name,
            "spot": self.deployed.spot,
            "seconds": vars(self.seconds) if self.seconds else None,
            "limit_seconds": self.deployed.training.limit_seconds,
            "usd": vars(self.usd) if self.usd else None,
            "usd_at_most": self.usd_at_most,
            "prices_of": prices_of(),
        }


def _of_the_input(plan: Mapping[str, Any]) -> str:
    """The input's size, where the data decide it."""
    told = plan["input"]
    if not told["follows_data"]:
        return ""
    size = "x".join(map(str, told["size"]))
    if told["decided"]:
        return f", input {size}, as the data's boxes decide"
    return f", input {size} or larger: the data's boxes decide, and time, memory and cost grow with its pixels"


def _duration(seconds: float) -> str:
    if seconds < 5 * 60:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:.1f} h"
