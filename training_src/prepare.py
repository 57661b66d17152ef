# SPDX-License-Identifier: Apache-2.0
"""PrepareDataset: reads a data set in any supported layout, checks all of it, splits it and writes TFRecord shards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from containers.contract.job import ProcessingJob, run
from training_src.data.checks.findings import Findings
from training_src.data.checks.policy import read_policy_of
from training_src.data.examination import Examined, examine
from training_src.data.formats import tfrecord
from training_src.data.label_map import LabelMap
from training_src.data.machines import link_together, other_machines, write_part
from training_src.data.metadata import write_metadata, write_report_of
from training_src.data.splits import SPLITS
from training_src.data.writers.shards import write_shards
from training_src.errors import ConfigurationError, DataError
from training_src.progress import Progress

# How many notices and faults are printed; the rest is counted.
SHOWN = 50


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
    refuse_unknown_architecture(architecture, config)
    work = job.output("metadata").parent
    with tempfile.TemporaryDirectory(prefix=".dataset-", dir=work) as temporary:
        folder = _dataset_folder(job, Path(temporary))
        shared = other_machines(job.root)
        if shared:
            _refuse_dealt_annotations(job, folder)
        policy = read_policy_of(folder, only_file(job.input("policy"), "the input policy"))
        with examine(
            folder,
            config=config,
            label_map=label_map,
            policy=policy,
            records=True,
            whole=shared is None,
            work=work,
            progress=Progress("checked"),
        ) as examined:
            print_findings(examined.findings)
            outputs = {name: job.output(name) for name in (*SPLITS, "metadata")}
            if examined.findings.number("error"):
                report = outputs["metadata"] / f"report{f'-{shared.current_host}' if shared else ''}.html"
                write_report_of(report, examined, architecture=architecture, config=config)
                print(f"The report of what is wrong: {job.destinations['metadata']}/{report.name}", flush=True)
                raise DataError(*examined.findings.sentences("error", SHOWN))
            if config is not None:
                _check_trainable(config, examined.label_map)
            folders = {split: outputs[split] for split in SPLITS}
            write_shards(
                examined.index, folders, host=shared.current_host if shared else "", written=written_progress(examined)
            )
            if shared:
                write_part(outputs["metadata"], shared, examined)
            else:
                write_metadata(outputs["metadata"], examined, architecture=architecture, config=config)
            print(summary(examined), flush=True)


def written_progress(examined: Examined) -> Callable[[int], None]:
    """Prints how many images are in whole shards."""
    progress, total = Progress("written"), sum(examined.images.values())
    return lambda images: progress.add(images, total)


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


def print_findings(findings: Findings) -> None:
    for severity in ("notice", "warning"):
        for sentence in findings.sentences(severity, SHOWN):
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


def only_file(folder: Path | None, parameter: str) -> Path | None:
    """The file of an optional input, None where it was not given."""
    if folder is None:
        return None
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "none")
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:5]) or "none"
        raise ConfigurationError(f"{parameter} must name exactly one file; it holds {len(files)}: {names}.")
    return files[0]


def refuse_unknown_architecture(architecture: str, config: Path | None) -> None:
    """Raise a ConfigurationError where there is no such bundled architecture, and no config in its place."""
    if config is not None or not architecture:
        return
    from training_src.models.config.pipeline import bundled_architectures  # it takes a tenth of a second

    if architecture not in (known := bundled_architectures()):
        raise ConfigurationError(
            f'Architecture "{architecture}" is not known; choose one of {", ".join(known)}, or give PipelineConfigUri.'
        )


def _check_trainable(config: Path, label_map: LabelMap) -> None:
    from training_src.models.config.pipeline import load

    load(config, label_map.greatest_id, len(label_map.names))
