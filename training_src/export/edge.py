# SPDX-License-Identifier: Apache-2.0
"""`edge/`: LiteRT files of a trained detector, how they compare with it, and an example that runs them."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

from containers.contract.files import write_whole
from training_src.data.label_map import LabelMap
from training_src.export import litert_parity
from training_src.export.calibration import calibration_images
from training_src.export.litert_metadata import LABELS, label_file
from training_src.export.litert_model import litert_files, why_not
from training_src.models.detector import Detector
from training_src.models.ssd import SsdDetector
from training_src.training.records import Records

ARCHIVE = "edge.tar.gz"
FLOAT16, INT8 = "model_float16.tflite", "model_int8.tflite"
PARITY, EXAMPLE = "parity.json", "example.py"
# Nothing but ai-edge-litert, which brings numpy, is needed; a .ppm needs no decoder.
EXAMPLE_TEXT = '''\
"""python example.py picture.ppm: what model_int8.tflite finds in a picture (binary PPM: P6, 8 bits)."""
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
header = open(sys.argv[1], "rb").read().split(maxsplit=4)[:4]
width, height = int(header[1]), int(header[2])
image = np.fromfile(sys.argv[1], np.uint8)[-width * height * 3 :].reshape(height, width, 3)
model = Interpreter("model_int8.tflite"); model.allocate_tensors(); taken = model.get_input_details()[0]
rows, columns = (np.arange(n) * side // n for n, side in zip(taken["shape"][1:3], (height, width)))
model.set_tensor(taken["index"], image[rows][:, columns][None]); model.invoke()
boxes, classes, scores, count = (model.get_tensor(each["index"])[0] for each in model.get_output_details())
labels = open("labels.txt", encoding="utf-8").read().splitlines()
for box, kind, score in list(zip(boxes, classes, scores))[: int(count)]:
    if score >= 0.3: print(labels[int(kind)], round(float(score), 2), box.round(3).tolist())
'''


def write_edge(
    folder: Path, detector: Detector, label_map: LabelMap, name: str, training: Records, validation: Records
) -> None:
    """Write the files, or say in a line why there are none.

    A file that does not find what float32 finds is left out; `parity.json` says of each why.

    Args:
        folder: Made, where there is something to write.
        detector: With the weights to export, in 32 bits.
        label_map: Its ids, ascending, are the files' classes from 0.
        name: The model's.
        training: Whose images int8 is calibrated on.
        validation: Whose images the files are compared with float32 on.
    """
    reason = why_not(detector)
    if reason:
        print(f"edge          not written: {reason}", flush=True)
        return
    assert isinstance(detector, SsdDetector)  # or there would be a reason
    files = litert_files(detector, label_map, name, calibration_images(training))
    ids = sorted(label_map.names)
    reference = litert_parity.float32_detections(detector, ids, validation)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {}
    for file, content in ((FLOAT16, files.float16), (INT8, files.int8)):
        assert content is not None  # there are images to calibrate on
        parity = litert_parity.compare(content, detector, label_map.names, validation, reference)
        figures[file] = parity.as_json()
        if parity.passed:
            (folder / file).write_bytes(content)
            print(f"edge          {file}, {len(content) / 1e6:.2f} MB: {parity}", flush=True)
        else:
            print(f"edge          {file} is left out: {'; '.join(parity.failures)}", flush=True)
    write_whole(folder / LABELS, label_file([label_map.names[number] for number in ids]))
    write_whole(folder / PARITY, json.dumps(figures, indent=1))
    write_whole(folder / EXAMPLE, EXAMPLE_TEXT)


def write_edge_archive(folder: Path, write: Callable[[Path], None]) -> None:
    """Pack what is written into `edge/` as `edge.tar.gz` into a folder; nothing where nothing is written.

    Args:
        folder: Of a job's outputs beside the model: endpoints do not download it.
        write: Called with the folder `edge/`.
    """
    edge = folder / "edge"
    write(edge)
    if not edge.is_dir():
        return
    unfinished = folder / f"{ARCHIVE}.partial"
    with tarfile.open(unfinished, "w:gz") as archive:
        for file in sorted(edge.iterdir()):
            archive.add(file, f"edge/{file.name}")
            file.unlink()
    edge.rmdir()
    unfinished.replace(folder / ARCHIVE)
