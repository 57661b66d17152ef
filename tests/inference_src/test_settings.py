# SPDX-License-Identifier: Apache-2.0
"""What the environment says is taken, or refused with the variable's name."""

import re
from pathlib import Path

import pytest

from containers.contract.errors import BadInputError
from inference_src.settings import Settings


def test_nothing_set_is_an_endpoint_s_server() -> None:
    settings = Settings.read({})
    assert settings == Settings()
    assert settings.max_body_bytes == 25 * 2**20
    assert (
        Settings.read({"MAPGATE_BIND_HOST": "", "MAPGATE_MAX_WAIT_SECONDS": "", "SAGEMAKER_BATCH": "false"}) == settings
    )


def test_in_batch_transform_bodies_are_larger_and_nobody_is_sent_away() -> None:
    settings = Settings.read({"SAGEMAKER_BATCH": "true"})
    assert settings.batch
    assert settings.max_body_bytes == 100 * 2**20
    assert settings.max_wait_seconds == settings.body_seconds == 600
    assert Settings.read({"SAGEMAKER_BATCH": "true", "MAPGATE_MAX_WAIT_SECONDS": "5"}).max_wait_seconds == 5


def test_each_setting_has_its_variable() -> None:
    settings = Settings.read(
        {
            "MAPGATE_BIND_HOST": "::1",
            "SAGEMAKER_BIND_TO_PORT": "9000",
            "MAPGATE_MAX_WAIT_SECONDS": "0.5",
            "MAPGATE_HEADER_SECONDS": "3",
            "MAPGATE_BODY_SECONDS": "20",
            "MAPGATE_IDLE_SECONDS": "300",
            "MAPGATE_METRICS_NAMESPACE": "birds-dev",
        }
    )
    assert settings == Settings("::1", 9000, False, 0.5, 3, 20, 300, "birds-dev")


@pytest.mark.parametrize("name", ["MAX_WAIT", "HEADER", "BODY", "IDLE"])
@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "1e9", "1 s"])
def test_what_is_no_time_is_refused(name: str, text: str) -> None:
    with pytest.raises(BadInputError, match=f"^MAPGATE_{name}_SECONDS={text}: give seconds"):
        Settings.read({f"MAPGATE_{name}_SECONDS": text})


@pytest.mark.parametrize("text", ["AWS/SageMaker", ":a", "a b", "a\n", "ü", "a" * 256])
def test_what_is_no_namespace_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=r"^MAPGATE_METRICS_NAMESPACE="):
        Settings.read({"MAPGATE_METRICS_NAMESPACE": text})


def test_each_variable_is_documented() -> None:
    root = Path(__file__).parents[2]
    sources = [root / "inference_src" / name for name in ("settings.py", "model.py", "picture_memory.py")]
    read = {
        name for file in sources for name in re.findall(r"\b(?:MAPGATE|SAGEMAKER)_[A-Z_]+[A-Z]\b", file.read_text())
    }
    documented = set(re.findall(r"`([A-Z_]+)`", (root / "docs/server.md").read_text()))
    assert "MAPGATE_MAX_WAIT_SECONDS" in read
    assert read <= documented
