# SPDX-License-Identifier: Apache-2.0
"""`check`: a data set judged as PrepareDataset will judge it, and written only where that is asked for."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

from training_src.data.checks.policy import read_policy_of
from training_src.data.collection import collect
from training_src.data.dataset import Fault
from training_src.data.examination import Examined, examine
from training_src.data.formats import FORMAT_NAMES
from training_src.data.images import DecodeCheck
from training_src.data.metadata import write_metadata, write_report_of
from training_src.data.splits import SPLITS
from training_src.data.statistics import box_shapes
from training_src.data.writers.shards import write_shards
from training_src.errors import BadInputError, DataError
from training_src.evaluation.policy import GatePolicy, read_policy
from training_src.models.config.pipeline import load, load_bundled
from training_src.models.fitted_input import decided_by_data
from training_src.plan import judge_dataset
from training_src.prepare import SHOWN, print_findings, refuse_unknown_architecture, summary, written_progress
from training_src.progress import Progress
from training_src.training.anchor_reach import reach_lines


def run(
    folder: Path,
    *,
    architecture: str | None = None,
    config: Path | None = None,
    label_map: Path | None = None,
    format_: Annotated[str | None, FORMAT_NAMES] = None,
    policy: Path | None = None,
    gate_policy: Path | None = None,
    decode_check: DecodeCheck | None = None,
    fix: bool = False,
    output: Path | None = None,
    report: Path | None = None,
    json_: bool = False,
) -> int:
    """Check a data set, a sentence for each fault: 0 sound, 2 faulty."""
    try:
        refuse_unknown_architecture(architecture or "", config)
        _refuse_wrong_paths([config, label_map, policy, gate_policy], output)
        gate = read_policy(gate_policy) if gate_policy else None
        judged_by = read_policy_of(folder, policy)
        if decode_check:
            judged_by = replace(judged_by, decode_check=decode_check)
        with examine(
            folder,
            config=config,
            label_map=label_map,
            format=format_,
            policy=judged_by.with_fixes() if fix else judged_by,
            records=output is not None,
            progress=None if json_ else Progress("checked"),
        ) as examined:
            if report:
                write_report_of(report, examined, architecture=architecture or "", config=config)
            if output and not examined.findings.number("error"):
                _write(output, examined, architecture or "", config)
            return _tell(examined, gate, _reached(examined, architecture, config), as_json=json_)
    except BadInputError as error:
        if not json_:
            raise
        sentences = error.sentences if isinstance(error, DataError) else [str(error)]
        print(json.dumps(_unreadable(folder, sentences), indent=2))
        return error.exit_code


def _refuse_wrong_paths(files: Sequence[Path | None], output: Path | None) -> None:
    for file in files:
        if file is not None and not file.is_file():
            raise BadInputError(f"{file} is no file.")
    if output is not None and output.exists() and any(output.iterdir()):
        raise BadInputError(f"{output} is not empty; name a new folder.")


def _write(output: Path, examined: Examined, architecture: str, config: Path | None) -> None:
    write_shards(examined.index, {split: output / split for split in SPLITS}, written=written_progress(examined))
    write_metadata(output / "metadata", examined, architecture=architecture, config=config)


def _reached(examined: Examined, architecture: str | None, config: Path | None) -> list[tuple[str, str]]:
    """Which classes' boxes the anchors of the chosen detector match, as the training says it before its first step."""
    if examined.findings.number("error") or not (architecture or config):
        return []
    shapes = box_shapes(examined.tally, SPLITS.index("train"), examined.label_map)
    greatest = examined.label_map.greatest_id
    if config is not None:
        description = load(config, greatest, len(examined.label_map.names))
    else:
        description = decided_by_data(load_bundled(str(architecture), greatest), shapes).description
    boxes = collect(examined).boxes.of_split(SPLITS.index("train"))
    return list(reach_lines(description, boxes, examined.label_map.names, bundled=config is None))


def _tell(examined: Examined, gate: GatePolicy | None, reached: Sequence[tuple[str, str]], *, as_json: bool) -> int:
    """Print what was found, and what CheckPlan and the training will say; returns the exit code."""
    faulty = examined.findings.number("error") > 0
    plan = [] if faulty or gate is None else judge_dataset(gate, examined.description)
    if as_json:
        print(json.dumps(_as_json(examined, plan, reached), indent=2))
    else:
        print_findings(examined.findings)
        if not faulty:
            print(summary(examined))
            for subject, sentence in reached:
                print(f"{subject}: {sentence}")
        for sentence in plan or examined.findings.sentences("error", SHOWN):
            print(sentence, file=sys.stderr)
    return BadInputError.exit_code if faulty or plan else 0


def _as_json(examined: Examined, plan: Sequence[str], reached: Sequence[tuple[str, str]]) -> dict[str, Any]:
    found = examined.description
    kept = {key: found[key] for key in ("images", "boxes", "classes", "splits", "balance", "findings")}
    return {
        "faults": [asdict(fault) for fault in examined.findings.of("error")],
        "warnings": [asdict(fault) for fault in examined.findings.of("warning")],
        "notices": found["notices"],
        "plan": list(plan),
        "anchors": [sentence for _, sentence in reached],
        **kept,
        "format": found["format"],
        "sha256": found["sha256"],
    }


def _unreadable(folder: Path, sentences: Sequence[str]) -> dict[str, Any]:
    """The same for a data set of which nothing could be read."""
    faults = [asdict(Fault(folder.name, None, "layout", sentence)) for sentence in sentences]
    nothing = {"images": 0, "boxes": 0, "classes": [], "splits": {}, "format": None, "sha256": None}
    return {"faults": faults, "warnings": [], "notices": [], "plan": [], "anchors": [], **nothing}
