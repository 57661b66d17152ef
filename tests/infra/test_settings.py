# SPDX-License-Identifier: Apache-2.0
"""A wrong setting is one sentence that names the file, the key and the reason."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.settings import ENVIRONMENTS, Settings, SettingsError


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


TEST_SET = "s3://fleet/test-sets/2026-11/"


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (None, "own.yaml cannot be read (No such file or directory); name a file beside this one"),
        ("a: [", "own.yaml is no YAML: "),
        ("a: 1\na: 2", 'own.yaml is no YAML: "a" is there twice at line 2, column 1'),
        ("", "own.yaml is no gate policy of this release: its schema_version is missing, not 2; begin with a copy of "),
        ("[1]", "own.yaml is no gate policy of this release: its schema_version is missing"),
        ("schema_version: yes", "own.yaml is no gate policy of this release: its schema_version is True, not 2"),
        ("schema_version: 1", "its schema_version is 1, not 2; begin with a copy of infra/training/defaults/gate_"),
        ("#" * 70_000, "own.yaml has 70,000 bytes, and 65,536 can be deployed"),
        (f"schema_version: 2\ntest_set: {TEST_SET}", "own.yaml: test_set has not the form {uri: "),
        (f"schema_version: 2\ntest_set: {{uri: {TEST_SET}}}", "own.yaml: test_set has not the form {uri: "),
        (
            f"schema_version: 2\ntest_set: {{uri: {TEST_SET[:-1]}, sha256: {'0a' * 32}}}",
            "is no folder in S3 with a slash at its end",
        ),
        (
            f"schema_version: 2\ntest_set: {{uri: '{TEST_SET}*/', sha256: {'0a' * 32}}}",
            "is no folder in S3 with a slash at its end",
        ),
        (
            f"schema_version: 2\ntest_set: {{uri: '{TEST_SET}', sha256: 5}}",
            "test_set.sha256 '5' is no digest of 64 hexadecimal digits",
        ),
    ],
)
def test_refuses_a_gate_policy_that_cannot_be_used(tmp_path: Path, policy: str | None, sentence: str) -> None:
    (tmp_path / "dev.yaml").write_text("gate_policy: own.yaml")
    if policy is not None:
        (tmp_path / "own.yaml").write_text(policy)
    with pytest.raises(SettingsError) as caught:
        Settings.read("dev", tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'dev.yaml'}: gate_policy: {tmp_path}")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_gate_policy_is_named_by_its_bytes(tmp_path: Path) -> None:
    policy = "schema_version: 2\r\nclasses: {Fu\u00dfg\u00e4nger: {AP50: 0.5}}\r\n"
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "own.yaml").write_bytes(policy.encode())
    (tmp_path / "dev.yaml").write_text("gate_policy: policies/own.yaml")
    floor = Settings.read("dev", tmp_path).floor_policy
    assert floor.text == policy
    assert floor.sha256 == hashlib.sha256(policy.encode()).hexdigest()
    assert floor.test_set is None
    bundled = (ENVIRONMENTS.parent / "training" / "defaults" / "gate_policy.yaml").read_bytes()
    assert Settings.read("dev").floor_policy.sha256 == hashlib.sha256(bundled).hexdigest()


def test_names_the_environments_when_asked_for_another() -> None:
    with pytest.raises(SettingsError, match="there are dev, prod, staging"):
        Settings.read("qa")


def test_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.read("dev").project = "other"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("delivery: {instance_type: ml.c5.xlarg}", "delivery.instance_type: ml.c5.xlarg is no instance type"),
        (
            "delivery: {instance_type: ml.c5.xlarg}",
            "(is ml.c5.xlarge meant?); say a newer one in",
        ),
        # Of the types that endpoints take, 143 are no processing types, on which MeasureServing runs.
        ("delivery: {instance_type: ml.c5d.xlarge}", "for endpoint, not for processing"),
        ("delivery: {instance_type: ml.t3.medium}", "for processing, training, not for endpoint"),
        ("processing: {prepare_instance_type: ml.c5d.xlarge}", "processing.prepare_instance_type: SageMaker takes"),
        ("processing: {evaluate_instance_type: ml.p4d.24xlarge}", "for endpoint, training, not for processing"),
        ("training: {instance_types: [ml.inf1.xlarge]}", "training.instance_types: SageMaker takes ml.inf1."),
        ("delivery: {instance_type: ml.c7g.xlarge}", "for endpoint, not for processing"),
        (
            "training: {instance_types: [ml.p6e-gb200.36xlarge]}",
            "has an Arm processor",
        ),
        ("training: {instance_types: [ml.trn1.2xlarge]}", "has a Trainium, which the images'"),
        (
            "training: {instance_types: [ml.p3.2xlarge]}",
            "the V100 of ml.p3.2xlarge is too old for the images' cuDNN",
        ),
        ("delivery: {instance_type: ml.p3.2xlarge}", "delivery.instance_type: the V100 of ml.p3.2xlarge is too old"),
        (
            "training: {instance_types: [ml.g5.xlarge], volume_gigabytes: 251}",
            "has 250 GB of local storage",
        ),
        ("processing: {prepare_instance_type: ml.r5d.large, volume_gigabytes: 76}", "has 75 GB of local storage"),
    ],
)
def test_refuses_an_instance_type_that_does_not_do(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, text)


def test_takes_what_just_fits(tmp_path: Path) -> None:
    (tmp_path / "dev.yaml").write_text(
        "processing: {prepare_instance_type: ml.r5d.large, volume_gigabytes: 75}\n"
        "training: {instance_types: [ml.g5.xlarge], volume_gigabytes: 250}\n"
        "delivery: {instance_type: ml.g5.xlarge}"
    )
    assert Settings.read("dev", tmp_path).training.volume_gigabytes == 250


def test_takes_a_newer_type_where_the_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "dev.yaml").write_text(
        "further_instance_types: [ml.m99.xlarge]\ndelivery: {instance_type: ml.m99.xlarge}\n"
    )
    assert Settings.read("dev", tmp_path).delivery.instance_type == "ml.m99.xlarge"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("region: eu-cental-1", "region: there is no SageMaker in eu-cental-1 as of 20"),
        ("region: eu-cental-1", "is eu-central-1 meant?"),
        ("region: 1", "region: Input should be a valid string"),
        (
            "training: {default_architecture: ssd_mobilenet_v2_fpnlite}",
            "default_architecture: ssd_mobilenet",
        ),
        ("training: {default_architecture: ssd_mobilenet_v2_fpnlite}", "is ssd_mobilenet_v2_fpnlite_"),
        ("training: {data_buckets: ['s3://mine']}", "training.data_buckets.0: s3://mine is no name of a bucket"),
        ("training: {data_buckets: [Mine]}", "Mine is no name of a bucket"),
        ("training: {data_buckets: [192.168.0.1]}", "is no name of a bucket"),
        ("training: {data_buckets: [a..b]}", "is no name of a bucket"),
        ("training: {data_buckets: [ab]}", "is no name of a bucket"),
        ("project: a-rather-long-name-xy", "project: String should have at most 20 characters"),
        ("project: twenty-characters-xy\nregion: ap-southeast-1", "characters too long for the name of a bucket"),
        ("environment: prod", "environment: is the file's own name, never said in it; remove the line"),
        ("account: 123456789012", "account: YAML reads it as a number, which drops zeros in front: put it in quotes"),
        ("account: 012345670123", "account: YAML reads it as a number"),
        ("training: {spot: true\nremoval: retain", "line 2, column 8: expected"),
        ("training:\n\tspot: true", "line 2, column 1: found character"),
        ("", "is empty; say at least what becomes of data, `removal: retain`"),
        ("# nothing yet\n", "is empty; say at least"),
        ("removal", "holds a str, not settings such as"),
        ("- removal: retain", "holds a list, not settings such as"),
    ],
)
def test_refuses_a_file_that_cannot_be_meant(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, text)


def test_a_shorter_region_leaves_room_for_a_longer_name(tmp_path: Path) -> None:
    (tmp_path / "environment-name.yaml").write_text("project: elevenlong\nregion: us-east-1")
    settings = Settings.read("environment-name", tmp_path)
    assert len(f"{settings.prefix}-access-logs-123456789012-us-east-1") == 62
    (tmp_path / "environment-name.yaml").write_text("project: elevenlong")
    with pytest.raises(SettingsError, match="say the region, whose name may be shorter"):
        Settings.read("environment-name", tmp_path)


def refused(folder: Path, text: str) -> str:
    (folder / "development.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        Settings.read("development", folder)
    said = str(caught.value)
    assert said.startswith(f"{folder / 'development.yaml'}: ")
    assert "\n" not in said and "Value error" not in said
    return said
