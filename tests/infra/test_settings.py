# SPDX-License-Identifier: Apache-2.0
"""A wrong setting is one sentence that names the file, the key and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.instance_types import has_local_nvme
from infra.settings import Settings, SettingsError


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_reads_every_environment(environment: str) -> None:
    settings = Settings.read(environment)
    assert settings.prefix == f"mapgate-{environment}"
    assert (settings.removal == "destroy") == (environment == "dev")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour: red", "colour: Extra inputs are not permitted"),
        ("account: '12'", "account: String should match pattern"),
        ("delivery: {instance_type: c5.xlarge}", "delivery.instance_type: String should match pattern"),
        ("delivery: {canary_percent: 60}", "delivery.canary_percent: Input should be less than or equal to 50"),
        ("delivery: {email: nobody}", "delivery.email: String should match pattern"),
        ("training: {instance_types: []}", "training.instance_types: Tuple should have at least 1 item"),
        ("training: {instance_types: [ml.m5.xlarge, ml.g5.xlarge]}", "mixes types with and without local NVMe"),
        ("training: {maximum_hours: 10, maximum_wait_hours: 5}", "must be at least training.maximum_hours (10)"),
        ("network: {subnets: [subnet-1]}", "network.security_groups: Field required"),
    ],
)
def test_refuses_a_wrong_value_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "dev.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        Settings.read("dev", tmp_path)
    assert sentence in str(caught.value)
    assert str(tmp_path / "dev.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_the_environments_when_asked_for_another() -> None:
    with pytest.raises(SettingsError, match="there are dev, prod, staging"):
        Settings.read("qa")


def test_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.read("dev").project = "other"


def test_knows_which_instances_encrypt_their_own_storage() -> None:
    with_storage = [
        "ml.g4dn.xlarge",
        "ml.g5.xlarge",
        "ml.g6.12xlarge",
        "ml.p4d.24xlarge",
        "ml.m5d.large",
        "ml.r7gd.large",
    ]
    without = ["ml.m5.xlarge", "ml.c5.xlarge", "ml.c5n.xlarge", "ml.p3.2xlarge", "ml.t3.medium", "ml.inf1.xlarge"]
    assert [kind for kind in [*with_storage, *without] if has_local_nvme(kind)] == with_storage
