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
from training_src.export.litert_model import FLOAT16, INT8, litert_files, why_not
from training_src.models.detector import Detector
from training_src.models.ssd import SsdDetector
from training_src.training.records import Records

ARCHIVE = "edge.tar.gz"
PARITY, EXAMPLE = "parity.json", "example.py"
# Needs what `pip install ai-edge-litert pillow` brings, and nothing else.
EXAMPLE_TEXT = '''\
"""python example.py PICTURE: what {file} finds in it. Before: pip install ai-edge-litert pillow"""
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

model = Interpreter("{file}")  # in one thread: with more, TFLite_Detection_PostProcess can leave out a class
model.allocate_tensors()
image = model.get_input_details()[0]
picture = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB").resize(image["shape"][[2, 1]])
model.set_tensor(image["index"], {pixels})
model.invoke()
boxes, classes, scores, count = (model.get_tensor(output["index"])[0] for output in model.get_output_details())
labels = open("labels.txt", encoding="utf-8").read().splitlines()
for box, kind, score in zip(boxes[: int(count)], classes, scores):
    if score >= 0.3:
        print(labels[int(kind)], f"{{score:.2f}}, ymin xmin ymax xmax:", *(f"{{side:.3f}}" for side in box))
'''
PIXELS = {
    INT8: "np.asarray(picture)[None]",
    FLOAT16: "np.asarray(picture, np.float32)[None] / 127.5 - 1",
}


def write_edge(
    folder: Path, detector: Detector, label_map: LabelMap, name: str, training: Records, validation: Records
) -> None:
    """Write the files, or say in a line why there are none.

    A file that does not find what float32 finds is left out; `parity.json` says of each why. The example runs int8, or
    where that is left out float16.

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
    figures, example = {}, ""
    for file, content in ((FLOAT16, files.float16), (INT8, files.int8)):
        assert content is not None  # there are images to calibrate on
        parity = litert_parity.compare(content, detector, label_map.names, validation, reference)
        figures[file] = parity.as_json()
        if parity.passed:
            (folder / file).write_bytes(content)
            example = EXAMPLE_TEXT.format(file=file, pixels=PIXELS[file])
            print(f"edge          {file}, {len(content) / 1e6:.2f} MB: {parity}", flush=True)
        else:
            print(f"edge          {file} is left out: {'; '.join(parity.failures)}", flush=True)
    write_whole(folder / LABELS, label_file([label_map.names[number] for number in ids]))
    write_whole(folder / PARITY, json.dumps(figures, indent=1))
    if example:
        write_whole(folder / EXAMPLE, example)


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
