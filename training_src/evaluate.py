# SPDX-License-Identifier: Apache-2.0
"""EvaluateDetector: COCO metrics of what will be served, the gate's verdict on them, and the report.

Reads what MeasureServing measured, compares it with the SavedModel's own answers, which it makes, and judges it. A
failed gate is a result, not an error: the exit code is 0, and CheckQuality decides by `evaluation.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from containers.contract.errors import MapgateError
from containers.contract.files import write_whole
from containers.contract.job import ProcessingJob, run
from training_src.data.images import decode_picture
from training_src.data.label_map import read_label_map
from training_src.data.seen_groups import SeenGroups, of_dataset
from training_src.drawing import encode_jpeg
from training_src.evaluation import assembly
from training_src.evaluation.artifact import Artifact, read_artifact
from training_src.evaluation.assembly import Dossier, Results, Source
from training_src.evaluation.bootstrap import draw
from training_src.evaluation.boxes import to_pixels
from training_src.evaluation.compared import OtherModel, Recorded, score_other
from training_src.evaluation.diagnosis import diagnose
from training_src.evaluation.enclosures import Explained, enclosures
from training_src.evaluation.errors import EvaluationError, PolicyError
from training_src.evaluation.exclusion import Learner, without_own
from training_src.evaluation.gate import judge
from training_src.evaluation.judged_by import GivenPolicy, Rules, read_rules
from training_src.evaluation.measurements import ChampionMeasurements, read_measurements
from training_src.evaluation.outcomes import examples, outcomes
from training_src.evaluation.pictures import pictures
from training_src.evaluation.reference import RUNTIME, Asked, answer, answer_champion
from training_src.evaluation.report import render
from training_src.evaluation.schema import Evaluation
from training_src.evaluation.scoring import Scored, score
from training_src.evaluation.serving import candidates, choose, scored
from training_src.evaluation.slices import measure_slices
from training_src.evaluation.test_images import ScoredImages, read_test_images
from training_src.evaluation.test_set import TestSet

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
    threshold = _threshold(job.variable("MAPGATE_MAP_THRESHOLD"))
    rules = _read_rules(job, threshold)
    labels = read_label_map(job.required_input("metadata") / "label_map.pbtxt").names
    images = read_test_images(job.required_input("test"), labels)
    measured = read_measurements(job.required_input("measurements"))
    archive = _only_file(job.required_input("model"), "*.tar.gz")
    artifact = read_artifact(archive)

    asked = Asked(images.whole, job.root, measured.refused, job.maximum_seconds)
    answered = answer(archive, artifact, asked, "answered")
    champion = _other(job, "champion", measured.champion, asked)
    best = _other(job, "best", measured.best, asked)
    kept = images.leave_out(_seen(job, artifact, champion, best))

    truth, policy = kept.test_set.truth, rules.policy
    reference = scored(answered.subset(kept.mask), truth, labels)
    runtimes = {name: one.subset(kept.mask) for name, one in measured.challenger.items()}
    found = candidates(runtimes, reference, truth, labels, policy.serving)
    served = choose(found or {RUNTIME: reference})
    challenger = score(served, kept.test_set, labels, draw(truth.images, groups=kept.drawn))
    uri = job.sources.get("model") or None
    source = Source(kept.test_set, _read_facts(job), artifact, uri, rules.judged_by, champion.artifact)
    results = Results(
        images=kept,
        rules=rules,
        challenger=challenger,
        served=served,
        runtimes={RUNTIME: reference} | found,
        champion=champion.beside(challenger, kept, labels),
        best=best.beside(challenger, kept, labels),
        slices=measure_slices(kept.test_set.columns, challenger, policy.slices),
        measured=measured,
        overlap=kept.overlap(champion.seen.test),
        unlearnt=images.unlearnt,
    )
    verdict = judge(assembly.evidence(results, source), policy, threshold)
    evaluation = assembly.evaluation(results, verdict, source)

    refused = evaluation.dataset.refused
    print(_headline(evaluation), *refused.values(), challenger.metrics, verdict, sep="\n\n", flush=True)
    _leave(job, evaluation, challenger, source, labels)
    job.leave_message(verdict.sentence)


def _leave(
    job: ProcessingJob, evaluation: Evaluation, challenger: Scored, source: Source, labels: Mapping[int, str]
) -> None:
    """Explain the detections, and write all files."""
    test_set, refused = source.test_set, evaluation.dataset.refused
    detections, metrics = challenger.measurement.detections, challenger.metrics
    diagnosis = diagnose(test_set.truth, detections, labels, metrics.score)
    seen = pictures(test_set, detections, labels, metrics.score, diagnosis.doubts, refused)
    folder, made = job.output("evaluation"), Dossier(evaluation, metrics, source, diagnosis, seen)
    explained = Explained(diagnosis, metrics, detections, labels, source.artifact.history, refused)
    for name, content in enclosures(explained, test_set, job.destinations.get("evaluation", ""), made.made):
        write_whole(folder / name, content)
    _write(folder, made, challenger)


@dataclass(frozen=True)
class _Other:
    """What serves now, or the best that ever served: what is recorded and measured of it, and what it has seen."""

    recorded: Recorded
    measured: ChampionMeasurements | None
    seen: SeenGroups
    artifact: Artifact | None

    def beside(self, challenger: Scored, kept: ScoredImages, labels: Mapping[int, str]) -> OtherModel | None:
        """Scored on the same images as the challenger; None where there is no such model."""
        measured = self.measured.subset(kept.mask) if self.measured else None
        return score_other(measured, self.recorded, challenger, kept.test_set, labels)


def _read_rules(job: ProcessingJob, threshold: float) -> Rules:
    """The environment's policy, which every job is given, and the execution's own, where it has one."""
    floor, run = job.required_input("floor_policy"), job.input("gate_policy")
    given = [
        GivenPolicy(_only_file(folder, "*.y*ml"), job.variable(variable) or job.sources.get(name) or None)
        for name, folder, variable in (
            ("floor_policy", floor, "MAPGATE_FLOOR_POLICY_URI"),
            ("gate_policy", run, "MAPGATE_GATE_POLICY_URI"),
        )
        if folder is not None
    ]
    return read_rules(given[0], given[1] if len(given) > 1 else None, threshold)


def _other(
    job: ProcessingJob, who: Literal["champion", "best"], measured: ChampionMeasurements | None, asked: Asked
) -> _Other:
    """Another model, by the runtime that its version records, where the pipeline hands that over."""
    said = (job.variable(f"MAPGATE_{who.upper()}_{name}") for name in ("ARN", "RUNTIME", "WAIVER"))
    arn, runtime, waiver = (None if one in ("", "none") else one for one in said)
    folder = job.input(who)
    answered = answer_champion(measured, runtime, folder, asked, f"{who}_answered")
    artifact = _artifact(folder) if folder else None
    seen = artifact.seen if artifact else SeenGroups(unknown=(f"the {who}",) if folder else ())
    return _Other(Recorded(arn, runtime, waiver), answered, seen, artifact)


def _artifact(folder: Path) -> Artifact | None:
    """What another model says of itself; None where it cannot be read, which is told where it is compared."""
    try:
        return read_artifact(_only_file(folder, "*.tar.gz"))
    except MapgateError:
        return None


def _seen(job: ProcessingJob, artifact: Artifact, champion: _Other, best: _Other) -> dict[Learner, SeenGroups]:
    """Who has learnt from what; the challenger's own data set apart from what its ancestors have seen."""
    own = of_dataset(job.required_input("metadata") / "dataset.json")
    return {
        "challenger": replace(own, unknown=tuple(dict.fromkeys((*own.unknown, *artifact.seen.unknown)))),
        "ancestors": without_own(artifact.seen, own),
        "champion": champion.seen,
        "best": best.seen,
    }


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


def _read_facts(job: ProcessingJob) -> dict[str, Any]:
    path = job.required_input("metadata") / "dataset.json"
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
