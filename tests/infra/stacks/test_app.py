# SPDX-License-Identifier: Apache-2.0
"""The app as a whole: stacks, determinism, security findings, CloudFormation's own rules."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from infra.app import build
from infra.settings import SettingsError

ROOT = Path(__file__).resolve().parents[3]
NAMES = ["delivery", "foundation", "observability", "people", "registry", "training"]


def test_composes_the_six_stacks_and_nothing_beside(dev: Any) -> None:
    assert sorted(dev.templates) == NAMES


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_has_no_security_finding_that_is_not_acknowledged(environment: str, synthesize: Callable[[str], Any]) -> None:
    report = json.loads((synthesize(environment).folder / "validation-report.json").read_text())
    failed = [each for each in report["pluginReports"] if each["conclusion"] != "success"]
    assert failed == []


def test_security_findings_are_really_looked_for(tmp_path: Path) -> None:
    """A bucket as nobody should make it must be found, or the test above says nothing."""
    app = cdk.App(outdir=str(tmp_path))
    s3.Bucket(cdk.Stack(app, "Careless"), "Bucket")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="AwsSolutions-S1"):
        app.synth()


def test_an_environments_file_may_lie_in_another_folder(tmp_path: Path) -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"] | {"environments": str(tmp_path)}
    (tmp_path / "own.yaml").write_text("account: '12'")
    with pytest.raises(SettingsError, match=rf"{tmp_path / 'own.yaml'}: account: String should match pattern"):
        build(cdk.App(context=context | {"environment": "own"}))


def test_two_synths_give_the_same_templates_and_need_no_credentials(dev: Any, tmp_path: Path) -> None:
    context = {**json.loads((ROOT / "cdk.json").read_text())["context"], "environment": "dev"}
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CDK_OUTDIR": str(tmp_path / "again"),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_DEFAULT_ACCOUNT": "123456789012",
        "CDK_DEFAULT_REGION": "us-east-1",
        "PYTHONHASHSEED": "7",
        # Where jsii keeps the libraries that it unpacked, which takes most of a first synth.
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache"),
        # Whatever would reach out finds nobody.
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "DOCKER_HOST": "tcp://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    subprocess.run([sys.executable, "-m", "infra.app"], cwd=ROOT, env=environment, check=True, capture_output=True)
    for name in NAMES:
        file = f"mapgate-dev-{name}.template.json"
        assert (tmp_path / "again" / file).read_text() == (dev.folder / file).read_text()


def test_an_unknown_environment_a_missing_account_or_context_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CDK_CONTEXT_JSON", raising=False)
    monkeypatch.delenv("CDK_DEFAULT_ACCOUNT", raising=False)
    with pytest.raises(SettingsError, match=r"qa\.yaml: no such environment; there are dev, prod, staging"):
        build(cdk.App(context={"environment": "qa"}))
    with pytest.raises(SettingsError, match=r"mapgate-dev: no account and region; set them in infra/environments/dev"):
        build(cdk.App())
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
    monkeypatch.setenv("CDK_DEFAULT_REGION", "us-east-1")
    # As `python -m infra.app` runs it, without the second that a process of its own takes to load the libraries.
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "infra" / "app.py"), run_name="__main__")
    assert isinstance(ended.value.code, str)  # so told on stderr, and exit code 1
    assert "run `cdk synth` or `cdk deploy` in the checkout" in ended.value.code
    assert len(ended.value.code.splitlines()) == 1


def test_templates_keep_cloudformations_rules(dev: Any) -> None:
    # The CDK writes a DependsOn for every role, even where the role's ARN already says so: that is W3005.
    files = [str(dev.folder / f"mapgate-dev-{name}.template.json") for name in NAMES]
    lint = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--ignore-checks", "W3005", "--", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (lint.returncode, lint.stdout) == (0, "")


def test_every_physical_name_carries_the_prefix(dev: Any) -> None:
    names = dict(physical_names(dev))
    assert len(names) > 40
    foreign = {where: name for where, name in names.items() if dev.prefix not in name}
    assert foreign == {}


def physical_names(assembly: Any) -> Iterator[tuple[str, str]]:
    properties = {
        "AlarmName", "BucketName", "DashboardName", "FunctionName", "LogGroupName", "ManagedPolicyName",
        "ModelPackageGroupName", "Name",
        "PipelineName", "QueueName", "RepositoryName", "RoleName", "TableName", "TopicName",
    }  # fmt: skip
    for stack, template in assembly.templates.items():
        for logical, resource in template["Resources"].items():
            if not resource["Type"].startswith("AWS::"):
                continue
            for name, value in resource.get("Properties", {}).items():
                if name in properties and isinstance(value, str):
                    yield f"{stack}.{logical}.{name}", value


def test_publishes_every_name_that_its_users_look_up(dev: Any) -> None:
    published = {each["Properties"]["Name"] for each in dev.resources("AWS::SSM::Parameter").values()}
    assert published == {
        f"/mapgate-dev/{name}"
        for name in (
            "data-bucket",
            "signing-key",
            "gate-policy",
            "pipeline-name",
            "model-package-group",
            "endpoint-name",
            "training-image",
            "inference-image",
            "deployment-table",
            "notification-topic-arn",
            "deployer-function",
            "pipeline-role-arn",
            "data-scientist-policy-arn",
            "data-scientist-reading-policy-arn",
            "approver-policy-arn",
        )
    }


def test_tags_what_studio_groups(dev: Any) -> None:
    for kind in ("AWS::SageMaker::Pipeline", "AWS::SageMaker::ModelPackageGroup", "AWS::S3::Bucket"):
        for resource in dev.resources(kind).values():
            tags = {tag["Key"]: tag["Value"] for tag in resource["Properties"]["Tags"]}
            assert tags["sagemaker:project-name"] == "mapgate"
            assert tags["sagemaker:deployment-stage"] == "dev"


def test_needs_no_node_function_and_no_image(dev: Any) -> None:
    functions = dev.resources("AWS::Lambda::Function").values()
    assert len(functions) == 7
    assert {function["Properties"]["Runtime"] for function in functions} == {"python3.12"}
    assert {function["Properties"]["Handler"] for function in functions} == {"index.handler"}
    manifest = [json.loads(path.read_text()) for path in dev.folder.glob("*.assets.json")]
    assert not any(assets["dockerImages"] for assets in manifest)


def test_production_keeps_what_development_gives_up(dev: Any, synthesize: Callable[[str], Any]) -> None:
    kinds = ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::ECR::Repository", "AWS::DynamoDB::Table")

    def policies(assembly: Any) -> set[str]:
        return {each["DeletionPolicy"] for kind in kinds for each in assembly.resources(kind).values()}

    assert policies(dev) == {"Delete"}
    # With "Retain" alone, a first deployment that fails would leave names behind that stop the second one.
    assert policies(synthesize("prod")) == {"RetainExceptOnCreate"}
