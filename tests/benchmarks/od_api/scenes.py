# SPDX-License-Identifier: Apache-2.0
"""What both sides are given: records of drawn scenes, and configs that name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.demo.scenes import draw_scenes
from tests.benchmarks import preparation
from training_src.models.config.pipeline import PipelineDescription
from training_src.text_format import Message, dump, parse

READERS = """
train_input_reader {{
  label_map_path: "{folder}/metadata/label_map.pbtxt"
  tf_record_input_reader {{ {train} }}
}}
eval_config {{ metrics_set: "coco_detection_metrics" batch_size: 1 }}
eval_input_reader {{
  label_map_path: "{folder}/metadata/label_map.pbtxt"
  shuffle: false
  num_epochs: 1
  tf_record_input_reader {{ {validation} }}
}}
"""


@dataclass(frozen=True)
class Scenes:
    """A prepared data set of the demo's drawn scenes.

    Attributes:
        folder: With the folders train, validation and metadata.
    """

    folder: Path

    @classmethod
    def draw(cls, root: Path, train: int, validation: int, test: int) -> Scenes:
        """Draw and prepare so many images of each split."""
        draw_scenes(root / "processing" / "input" / "dataset", train=train, validation=validation, test=test)
        preparation.describe(root)
        preparation.prepare(root)
        return cls(root / "processing" / "output")

    def config(self, description: PipelineDescription, path: Path, *, batch_size: int = 8, size: int = 0) -> Path:
        """Write a pipeline.config that trains and validates on these records.

        Args:
            description: Of the model and its training.
            path: Of the file.
            batch_size: Instead of the description's.
            size: Height and width of the input instead of the description's; 0: as it has it.
        """
        message = parse(description.text())
        _part(message, "train_config")["batch_size"] = [batch_size]
        if size:
            fixed = _part(message, "model", "ssd", "image_resizer", "fixed_shape_resizer")
            fixed["height"], fixed["width"] = [size], [size]
        names = {
            split: " ".join(f'input_path: "{shard}"' for shard in sorted((self.folder / split).glob("*.tfrecord")))
            for split in ("train", "validation")
        }
        path.write_text(dump(message) + READERS.format(folder=self.folder, **names))
        return path


def _part(message: Message, *names: str) -> Message:
    for name in names:
        (inner,) = message[name]
        assert isinstance(inner, dict)
        message = inner
    return message
