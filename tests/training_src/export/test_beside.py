# SPDX-License-Identifier: Apache-2.0
"""Where the config and the label map of a checkpoint are looked for."""

from pathlib import Path

import pytest

from training_src.errors import ConfigurationError
from training_src.export.beside import beside

NAME = "label_map.pbtxt"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("run/ckpt-5", "run"),
        ("run", "run"),
        ("zoo/checkpoint/ckpt-0", "zoo"),
        ("zoo/checkpoint", "zoo"),
        # Of a model.tar.gz that was unpacked.
        ("model/1/variables/variables", "model"),
    ],
)
def test_a_file_lies_in_the_checkpoints_folder_or_around_it(tmp_path: Path, source: str, place: str) -> None:
    (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
    if not source.endswith(("-0", "-5", "variables")):
        (tmp_path / source).mkdir()
    (tmp_path / place / NAME).write_text("")
    assert beside(str(tmp_path / source), NAME, "--label-map") == tmp_path / place / NAME


def test_what_is_not_there_is_named_with_the_option_that_gives_it(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("of something else")
    with pytest.raises(ConfigurationError, match=r"there is no label_map\.pbtxt beside it; give --label-map"):
        beside(str(tmp_path / "deep" / "run" / "ckpt-5"), NAME, "--label-map")
