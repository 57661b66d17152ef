# SPDX-License-Identifier: Apache-2.0
"""The second, small step of a data set that several instances prepared: judges the whole by what each has left.

It reads no image. Without it there is no dataset.json, so that a part never looks like a data set.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from containers.contract.job import ProcessingJob, run
from training_src.data.checks.findings import Findings
from training_src.data.checks.policy import policy_from_json
from training_src.data.dataset_checks import check_set
from training_src.data.examination import Examined
from training_src.data.index import Index
from training_src.data.label_map import LabelMap
from training_src.data.machines import part_files
from training_src.data.metadata import write_metadata, write_report_of
from training_src.data.statistics import tally
from training_src.errors import DataError
from training_src.prepare import SHOWN, only_file, print_findings, summary


def main() -> int:
    """Entry point of the joining step."""
    return run(join, ProcessingJob)


def join(job: ProcessingJob) -> None:
    """Write the output metadata from the input metadata, which holds a `part-<host>.sqlite` of each instance.

    Raises:
        DataError: A part is missing or another data set's, or the whole has a fault.
    """
    folder = job.input("metadata")
    parts = part_files(folder) if folder else []
    if not parts:
        raise DataError("The input metadata holds no part-<host>.sqlite; each instance of PrepareDataset leaves one.")
    config = only_file(job.input("config"), "PipelineConfigUri")
    output = job.output("metadata")
    with joined(parts, config=config, work=output.parent) as examined:
        print_findings(examined.findings)
        architecture = job.environment.get("MAPGATE_ARCHITECTURE", "")
        if examined.findings.number("error"):
            write_report_of(output / "report.html", examined, architecture=architecture, config=config)
            raise DataError(*examined.findings.sentences("error", SHOWN))
        write_metadata(output, examined, architecture=architecture, config=config)
        print(summary(examined), flush=True)


def joined(parts: Sequence[Path], *, config: Path | None = None, work: Path | None = None) -> Examined:
    """The whole data set as its parts tell it; the images themselves are elsewhere.

    Raises:
        DataError: The parts do not belong together.
    """
    with ExitStack() as opened:
        place = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix=".mapgate-", dir=work)))
        index, findings = opened.enter_context(Index(place / "index.sqlite")), Findings()
        facts = [_read_facts(part) for part in parts]
        _refuse_strangers(facts)
        for part, fact in zip(parts, facts, strict=True):
            index.merge(part)
            findings.take_in(fact["findings"])
        policy = policy_from_json(facts[0]["policy"])
        label_map = LabelMap({int(number): name for number, name in json.loads(facts[0]["label_map"])})
        counted = tally(index, label_map)
        name = facts[0]["name"]
        check_set(index, counted, label_map, policy, findings, name=name, config=config)
        return Examined(facts[0]["format"], label_map, policy, index, findings, counted, opened.pop_all())


def _read_facts(part: Path) -> dict[str, str]:
    with Index(part) as index:
        return {str(name): str(value) for name, value in index.rows("SELECT name, value FROM facts")}


def _refuse_strangers(facts: Sequence[dict[str, str]]) -> None:
    """Every part must have been made of the same data set, and every image must have been on one machine."""
    first = facts[0]
    hosts = set(json.loads(first["hosts"]))
    found = [fact["host"] for fact in facts]
    if missing := sorted(hosts - set(found)):
        raise DataError(f"No part of {', '.join(missing)} is there; PrepareDataset has {len(hosts)} instances.")
    for fact in facts[1:]:
        for name, way_out in (
            ("format", "let AnnotationsUri name the annotations, which come whole to every instance"),
            ("label_map", "give LabelMapUri"),
            ("splits", "state `splits:` in the data policy"),
            ("policy", "give every instance the same"),
        ):
            if fact[name] != first[name]:
                raise DataError(
                    f"{first['host']} and {fact['host']} saw different facts of the data set ({name}: "
                    f"{_shortened(first[name])} and {_shortened(fact[name])}); {way_out}."
                )
    missing_images = sum(int(fact["missing"]) for fact in facts)
    images = sum(int(fact["examined"]) for fact in facts)
    totals = {int(fact["examined"]) + int(fact["missing"]) for fact in facts}
    if missing_images and totals != {images}:
        raise DataError(
            f"The instances saw {images} images of {max(totals)} that are annotated; the others are nowhere (or some "
            "twice): let AnnotationsUri name all annotations, without images, and check the data set on one machine "
            "with `mapgate data check`, which names what is missing."
        )


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:76] + " ..."
