# SPDX-License-Identifier: Apache-2.0
"""EvaluateDetector: COCO metrics of what will be served, the gate's verdict on them, and the report.

Reads what MeasureServing measured, compares it with the SavedModel's own answers, which it makes, and judges it. A
failed gate is a result, not an error: the exit code is 0, and CheckQuality decides by `evaluation.json`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from containers.contract.errors import MapgateError
from containers.contract.files import write_whole
from containers.contract.job import ProcessingJob, run
from training_src.data.images import decode_picture
from training_src.data.label_map import read_label_map
from training_src.drawing import encode_jpeg
from training_src.evaluation import assembly
from training_src.evaluation.artifact import Artifact, read_artifact
from training_src.evaluation.assembly import Dossier, Scored, ScoredChampion, Source
from training_src.evaluation.boxes import to_pixels
from training_src.evaluation.diagnosis import diagnose
from training_src.evaluation.enclosures import Explained, enclosures
from training_src.evaluation.errors import EvaluationError, PolicyError
from training_src.evaluation.gate import judge
from training_src.evaluation.measurements import ChampionMeasurements, read_measurements
from training_src.evaluation.outcomes import examples, outcomes
from training_src.evaluation.pictures import pictures
from training_src.evaluation.policy import read_policy
from training_src.evaluation.reference import RUNTIME, Asked, answer, answer_champion
from training_src.evaluation.report import render
from training_src.evaluation.schema import Evaluation, JudgedBy, PolicyFile
from training_src.evaluation.serving import candidates, choose, scored
from training_src.evaluation.test_set import TestSet, read_test_set

SAMPLES = 24
JPEG = b"\xff\xd8"


def main() -> int:
    """Run the step; the exit code is 0 done, 1 the work failed, 2 bad input."""
    return run(evaluate, ProcessingJob)


def evaluate(job: ProcessingJob) -> None:
    """Do the step's work.

    Raises:
        MapgateError: Something of the job's inputs is missing or not what it should be.
    """
    file = _only_file(job.required_input("gate_policy"), "*.y*ml")
    policy = read_policy(file)
    threshold = _threshold(job.variable("MAPGATE_MAP_THRESHOLD"))
    metadata = job.required_input("metadata")
    labels = read_label_map(metadata / "label_map.pbtxt").names
    archive = _only_file(job.required_input("model"), "*.tar.gz")
    artifact = read_artifact(archive)
    test_set = read_test_set(job.required_input("test"))
    floor = PolicyFile(uri=job.sources.get("gate_policy") or None, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    source = Source(
        test_set,
        _read_facts(metadata / "dataset.json"),
        artifact,
        job.sources.get("model") or None,
        JudgedBy(floor=floor, map_threshold=threshold),
        _champions_archive(job),
    )
    measured = read_measurements(job.required_input("measurements"))

    asked = Asked(test_set, job.root, measured.refused, job.maximum_seconds)
    reference = scored(answer(archive, artifact, asked, "answered"), test_set.truth, labels)
    found = candidates(measured.challenger, reference, test_set.truth, labels, policy.serving)
    served = choose(found or {RUNTIME: reference})
    challenger = assembly.score(served, test_set, labels)
    champion = _champion(job, measured.champion, asked, labels)
    evidence = assembly.evidence(challenger, served, champion, measured.model, source)
    verdict = judge(evidence, policy, threshold)

    results = {RUNTIME: reference} | found
    evaluation = assembly.evaluation(challenger, results, champion, verdict, source, measured.refused)
    print(_headline(evaluation), *measured.refused.values(), challenger.metrics, verdict, sep="\n\n", flush=True)
    detections, score = challenger.measurement.detections, challenger.metrics.score
    diagnosis = diagnose(test_set.truth, detections, labels, score)
    seen = pictures(test_set, detections, labels, score, diagnosis.doubts, measured.refused)
    folder, made = job.output("evaluation"), Dossier(evaluation, challenger.metrics, source, diagnosis, seen)
    history = artifact.history
    explained = Explained(diagnosis, challenger.metrics, detections, labels, history, measured.refused)
    for name, content in enclosures(explained, test_set, job.destinations.get("evaluation", ""), made.made):
        write_whole(folder / name, content)
    _write(folder, made, challenger)
    job.leave_message(verdict.sentence)


def _champion(
    job: ProcessingJob, measured: ChampionMeasurements | None, asked: Asked, labels: Mapping[int, str]
) -> ScoredChampion | None:
    """What production serves, scored by the runtime that its version records, where the pipeline hands that over."""
    runtime, waiver = (job.variable(f"MAPGATE_CHAMPION_{name}") for name in ("RUNTIME", "WAIVER"))
    recorded, waived = (None if said in ("", "none") else said for said in (runtime, waiver))
    answered = answer_champion(measured, recorded, job.input("champion"), asked)
    return assembly.score_champion(answered, recorded, asked.test_set, labels, waived)


def _champions_archive(job: ProcessingJob) -> Artifact | None:
    """What the champion says of itself; one that cannot be read is told where it is compared."""
    folder = job.input("champion")
    try:
        return read_artifact(_only_file(folder, "*.tar.gz")) if folder else None
    except MapgateError:
        return None


def _headline(evaluation: Evaluation) -> str:
    served = evaluation.serving
    result = served.runtimes[served.runtime]
    how = "its SavedModel finds them" if result.untimed else f"{served.runtime} ({served.precision}) serves it"
    return (
        f"{evaluation.model.architecture} on {evaluation.dataset.images} test images with {evaluation.dataset.boxes} "
        f"boxes, as {how}" + (f" at {result.images_per_second:.1f} images a second" if result.images_per_second else "")
    )


def _write(folder: Path, made: Dossier, challenger: Scored) -> None:
    """Leave the files, each complete or not at all; evaluation.json last, as it vouches for the others."""
    test_set = made.source.test_set
    refused = made.evaluation.dataset.refused
    answered = [index for index, name in enumerate(test_set.truth.source_ids) if name not in refused]
    for name, image in _samples(test_set, answered).items():
        write_whole(folder / "samples" / name, image)
    write_whole(folder / "report.html", render(made))
    write_whole(folder / "sample.jpg", _sample(test_set, challenger, answered))
    write_whole(folder / "detections.json", json.dumps(_coco_results(test_set, challenger)))
    content = made.evaluation.model_dump(mode="json", by_alias=True)
    write_whole(folder / "evaluation.json", json.dumps(content, indent=1, allow_nan=False))


def _sample(test_set: TestSet, challenger: Scored, answered: Sequence[int]) -> bytes:
    """A test image as JPEG for smoke tests, one in which the detector finds something where there is such an image."""
    best = examples(outcomes(test_set.truth, challenger.measurement.detections, challenger.metrics.score)).best
    index = best[0].image if best else answered[0]
    encoded = test_set.encoded([index])[index]
    return (
        encoded if encoded.startswith(JPEG) else encode_jpeg(decode_picture(encoded, test_set.truth.source_ids[index]))
    )


def _samples(test_set: TestSet, answered: Sequence[int]) -> dict[str, bytes]:
    """Test images from all over the test set by file name, as they are, for whoever wants to try the endpoint."""
    images = len(answered)
    chosen = sorted({answered[round(at)] for at in np.linspace(0, images - 1, min(SAMPLES, images))})
    return {
        f"{index:05d}{'.jpg' if encoded.startswith(JPEG) else '.png'}": encoded
        for index, encoded in test_set.encoded(chosen).items()
    }


def _coco_results(test_set: TestSet, challenger: Scored) -> list[dict[str, Any]]:
    """All detections in COCO's results format, with the images' source ids; image ids count from 1."""
    found = challenger.measurement.detections
    boxes = to_pixels(found.boxes, test_set.truth.sizes, found.image_index).round(2)
    return [
        {
            "image_id": int(image) + 1,
            "source_id": test_set.truth.source_ids[int(image)],
            "category_id": int(number),
            "bbox": box.tolist(),
            "score": round(float(score), 5),
        }
        for image, number, box, score in zip(found.image_index, found.classes, boxes, found.scores, strict=True)
    ]


def _only_file(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise EvaluationError(f"{folder}: one file {pattern} is needed, there is {names}")
    return found[0]


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path}: cannot be read as JSON ({error}); prepare the data set again") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str) or not facts["sha256"]:
        raise EvaluationError(f"{path}: has no sha256 of the data set; prepare it again")
    return facts


def _threshold(text: str) -> float:
    """The pipeline's MapThreshold; nothing asks for nothing."""
    try:
        threshold = float(text or 0.0)
    except ValueError:
        threshold = math.nan
    if not 0 <= threshold <= 1:
        raise PolicyError(f'MAPGATE_MAP_THRESHOLD: "{text}" is no number from 0 to 1; give MapThreshold such a one')
    return threshold
