# SPDX-License-Identifier: Apache-2.0
"""What docs/migration.md says of configs adds up, and is what is refused."""

import re
from pathlib import Path

from training_src.models.config.extractors import WAITING, WAITING_FIELDS

TEXT = (Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
HEADER = "| configs | wait for |"


def _rows() -> list[tuple[str, str]]:
    """Configs and what they wait for, as the table has them."""
    lines = TEXT.splitlines()
    start = lines.index(HEADER) + 2
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return [(cells[1], cells[2]) for cells in (line.split("|") for line in lines[start:end])]


def test_the_configs_that_load_and_those_that_wait_are_all_that_were_tried() -> None:
    told = re.search(r"Of (\d+)\s+files of [^.]* that were tried (\d+) load", TEXT)
    assert told
    tried, loaded = map(int, told.groups())
    waiting = sum(int(count or 1) for configs, _ in _rows() for count in re.findall(r"`[^`]+`(?: \((\d+)\))?", configs))
    assert loaded + waiting == tried


def test_a_network_that_a_published_config_waits_for_is_called_the_same_where_it_is_refused() -> None:
    refused = {*WAITING.values(), *WAITING_FIELDS.values()}
    told = " ".join(network for _, network in _rows())
    # Of these there is no published config of TensorFlow 2, nor in samples/configs.
    others = {"Faster R-CNN on MobileNet V1", "PNASNet", "SpaghettiNet"}
    assert {name for name in refused if name not in told} == others
