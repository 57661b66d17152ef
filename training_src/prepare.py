# SPDX-License-Identifier: Apache-2.0
"""PrepareDataset: reads a data set in any supported layout, checks all of it, splits it and writes TFRecord shards.

Also `check`, which does the same but for the writing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from containers.contract.job import ProcessingJob, run
from training_src.data.checks.findings import Findings
from training_src.data.checks.policy import POLICY_FILE, Policy, read_policy_of
from training_src.data.dataset import Fault
from training_src.data.examination import Examined, examine
from training_src.data.formats import FORMAT_NAMES, tfrecord
from training_src.data.images import DECODE_CHECKS
from training_src.data.label_map import LabelMap
from training_src.data.machines import link_together, machines, write_part
from training_src.data.metadata import write_report_of
from training_src.data.output import write_dataset
from training_src.data.splits import SPLITS
from training_src.data.writers.shards import write_shards
from training_src.errors import BadInputError, ConfigurationError, DataError
from training_src.models.errors import ModelError

# How many notices and faults are printed; the rest is counted.
_SHOWN = 50


def main() -> int:
    """Entry point of PrepareDataset."""
    return run(prepare, ProcessingJob)


def prepare(job: ProcessingJob) -> None:
    """Write the outputs train, validation, test and metadata from the inputs dataset, label_map and config.

    Two more inputs are optional: `annotations`, whose files are put beside those of `dataset`, and `policy`. Where the
    job has several instances, each writes its own shards, and metadata that `join` brings together.

    Raises:
        DataError: With a sentence for every fault; only `report.html`, which shows them, is written then.
        ConfigurationError: The policy is wrong, or the architecture or pipeline.config cannot be trained.
    """
    config = only_file(job.input("config"), "PipelineConfigUri")
    label_map = only_file(job.input("label_map"), "LabelMapUri")
    architecture = job.environment.get("MAPGATE_ARCHITECTURE", "")
    _check_architecture(architecture, config)
    work = job.output("metadata").parent
    with tempfile.TemporaryDirectory(prefix=".dataset-", dir=work) as temporary:
        folder = _dataset_folder(job, Path(temporary))
        here = machines(job.root)
        if not here.alone:
            _refuse_dealt_annotations(job, folder)
        policy = _job_policy(job, folder)
        with examine(
            folder,
            config=config,
            label_map=label_map,
            policy=policy,
            records=True,
            whole=here.alone,
            work=work,
            progress=_Progress("checked"),
        ) as examined:
            print_findings(examined.findings)
            outputs = {name: job.output(name) for name in (*SPLITS, "metadata")}
            if examined.findings.number("error"):
                report = outputs["metadata"] / f"report{'' if here.alone else f'-{here.name}'}.html"
                write_report_of(report, examined, architecture=architecture, config=config)
                print(f"The report of what is wrong: {job.destinations['metadata']}/{report.name}", flush=True)
                raise DataError(*examined.findings.sentences("error", _SHOWN))
            if config is not None:
                _check_trainable(config, examined.label_map)
            written = _written(examined)
            if here.alone:
                write_dataset(examined, outputs, architecture=architecture, config=config, written=written)
            else:
                write_shards(examined.index, {name: outputs[name] for name in SPLITS}, host=here.name, written=written)
                write_part(outputs["metadata"], here, examined)
            print(summary(examined), flush=True)


def _written(examined: Examined) -> Callable[[int], None]:
    """Prints how many images are in whole shards."""
    progress, total = _Progress("written"), sum(examined.images.values())
    return lambda images: progress.add(images, total)


def run_check(arguments: Sequence[str]) -> int:
    """Entry point of `check FOLDER`: 0 sound, 2 faulty."""
    options = _check_options(arguments)
    try:
        return _check(options)
    except BadInputError as error:
        sentences = error.sentences if isinstance(error, DataError) else [str(error)]
        if options.json:
            faults = [asdict(Fault(options.folder.name, None, "layout", sentence)) for sentence in sentences]
            nothing = {"images": 0, "boxes": 0, "classes": [], "splits": {}, "format": None, "sha256": None}
            print(json.dumps({"faults": faults, "warnings": [], "notices": [], **nothing}, indent=2))
        else:
            print(*sentences, sep="\n", file=sys.stderr)
        return 2


def _check_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training_src check", description="Check a data set.")
    parser.add_argument("folder", type=Path, help="the folder that holds images and annotations, or a list of such")
    parser.add_argument("--config", type=Path, help="pipeline.config whose num_classes must fit")
    parser.add_argument("--label-map", type=Path, help="label_map.pbtxt to use instead of the folder's own")
    parser.add_argument("--format", choices=FORMAT_NAMES, help="the layout; the folder shows it otherwise")
    parser.add_argument("--policy", type=Path, help=f"data policy to use instead of the folder's {POLICY_FILE}")
    parser.add_argument("--decode-check", choices=DECODE_CHECKS, help="how far images are decoded (reduced)")
    parser.add_argument("--fix", action="store_true", help="repair what is safe, and tell it")
    parser.add_argument("--output", type=Path, help="write the data set, checked and fixed, as TFRecords")
    parser.add_argument("--report", type=Path, help="write report.html")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def _check(options: argparse.Namespace) -> int:
    for file in (options.config, options.label_map, options.policy):
        if file is not None and not file.is_file():
            raise BadInputError(f"{file} is no file.")
    if options.output is not None and options.output.exists() and any(options.output.iterdir()):
        raise BadInputError(f"{options.output} is not empty; name a new folder.")
    policy = read_policy_of(options.folder, options.policy)
    if options.decode_check:
        policy = replace(policy, decode_check=options.decode_check)
    if options.fix:
        policy = policy.with_fixes()
    with examine(
        options.folder,
        config=options.config,
        label_map=options.label_map,
        format=options.format,
        policy=policy,
        records=options.output is not None,
        progress=None if options.json else _Progress("checked"),
    ) as examined:
        faulty = examined.findings.number("error") > 0
        if options.report:
            write_report_of(options.report, examined, config=options.config)
        if options.output is not None and not faulty:
            outputs = {name: options.output / name for name in (*SPLITS, "metadata")}
            outputs["metadata"].mkdir(parents=True)
            write_dataset(examined, outputs, config=options.config, written=_written(examined))
        if options.json:
            print(json.dumps(_as_json(examined), indent=2))
            return 2 if faulty else 0
        print_findings(examined.findings)
        if faulty:
            print(*examined.findings.sentences("error", _SHOWN), sep="\n", file=sys.stderr)
            return 2
        print(summary(examined))
    return 0


def summary(examined: Examined) -> str:
    """A line a split and a line of the whole."""
    found = examined.description
    lines = [
        f"{split}: {counts['images']} images, {counts['boxes']} boxes ("
        + ", ".join(f"{name} {number}" for name, number in counts["boxes_per_class"].items())
        + ")"
        for split, counts in found["splits"].items()
    ]
    return "\n".join([*lines, f"{examined.format}, {found['images']} images, sha256 {found['sha256'][:16]}"])


def _as_json(examined: Examined) -> dict[str, Any]:
    """What `check --json` prints."""
    found = examined.description
    kept = {key: found[key] for key in ("images", "boxes", "classes", "splits", "balance", "findings")}
    return {
        "faults": [asdict(fault) for fault in examined.findings.of("error")],
        "warnings": [asdict(fault) for fault in examined.findings.of("warning")],
        "notices": found["notices"],
        **kept,
        "format": found["format"],
        "sha256": found["sha256"],
    }


def print_findings(findings: Findings) -> None:
    for severity in ("notice", "warning"):
        for sentence in findings.sentences(severity, _SHOWN):
            print(f"{severity}: {sentence}", flush=True)


def _dataset_folder(job: ProcessingJob, temporary: Path) -> Path:
    folder = job.input("dataset")
    if folder is None:
        raise DataError("The input dataset is empty: DatasetUri must name a prefix that holds a data set.")
    annotations = job.input("annotations")
    return folder if annotations is None else link_together([annotations, folder], temporary / folder.name)


def _refuse_dealt_annotations(job: ProcessingJob, folder: Path) -> None:
    """Whoever has only a share of the annotations cannot tell what is missing; TFRecords hold theirs."""
    if job.input("annotations") is None and not tfrecord.recognise(folder):
        raise ConfigurationError(
            "Several instances share the objects under DatasetUri; let AnnotationsUri name the annotations, without "
            "images, which come whole to each."
        )


def _job_policy(job: ProcessingJob, folder: Path) -> Policy:
    return read_policy_of(folder, only_file(job.input("policy"), "the input policy"))


def only_file(folder: Path | None, parameter: str) -> Path | None:
    """The file of an optional input, None where it was not given."""
    if folder is None:
        return None
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "none")
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:5]) or "none"
        raise ConfigurationError(f"{parameter} must name exactly one file; it holds {len(files)}: {names}.")
    return files[0]


def _check_architecture(architecture: str, config: Path | None) -> None:
    if config is not None or not architecture:
        return
    from training_src.models.config.pipeline import bundled_architectures  # it takes a tenth of a second

    if architecture not in (known := bundled_architectures()):
        raise ConfigurationError(
            f'Architecture "{architecture}" is not known; choose one of {", ".join(known)}, or give PipelineConfigUri.'
        )


def _check_trainable(config: Path, label_map: LabelMap) -> None:
    from training_src.models.config.pipeline import load

    try:
        load(config, label_map.greatest_id)
    except ModelError as error:
        raise ConfigurationError(str(error)) from None


class _Progress:
    """Prints a line now and then, such as `checked=200/983 images_per_second=812.0`."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._started = self._printed = time.monotonic()
        self._done = 0

    def add(self, images: int, total: int) -> None:
        """So many more."""
        self(self._done + images, total)

    def __call__(self, done: int, total: int | None) -> None:
        self._done = done
        now = time.monotonic()
        if done != total and now - self._printed < 2.0:
            return
        self._printed = now
        rate = done / max(now - self._started, 1e-6)
        of = "" if total is None else f"/{total}"
        print(f"{self._verb}={done}{of} images_per_second={rate:.1f}", flush=True)
