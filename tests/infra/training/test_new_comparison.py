# SPDX-License-Identifier: Apache-2.0
"""An execution that is started again for a new comparison measures and judges, and prepares and trains nothing anew.

The steps are held against each other by AWS's own list of attributes, as the emulated cloud's executor does it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Processing, Settings
from infra.training.binding import bind
from localcloud.executions import caching
from localcloud.executions.evaluation import Scope, evaluate
from tests.infra.training.test_binding import COMMITTED, DEV, RESOURCES, step

NONE = f"s3://{RESOURCES.data_bucket}/defaults/none/"
FOUND = {
    "ChampionModelPackageArn": "none",
    "ChampionModelUri": NONE,
    "ChampionRuntime": "none",
    "ChampionWaiver": "none",
    "BestModelPackageArn": "none",
    "BestModelUri": NONE,
    "BestRuntime": "none",
    "InferenceImageDigest": f"sha256:{'0a' * 32}",
    "Sentence": "",
}
OTHER_CHAMPION = FOUND | {
    "ChampionModelPackageArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev/4",
    "ChampionModelUri": "s3://b/released/0a/model.tar.gz",
    "ChampionRuntime": "openvino",
}
JOBS = ("Processing", "Training")


class Pipeline:
    """A bound pipeline whose executions find the earlier ones' steps."""

    def __init__(self, settings: Settings) -> None:
        self.definition = bind(COMMITTED, settings, RESOURCES)
        self._earlier: dict[tuple[str, str], dict[str, Any]] = {}
        self._executions = 0

    def run(self, found: dict[str, str], **parameters: Any) -> list[str]:
        """Run an execution; returns the jobs that no earlier one stood for."""
        self._executions += 1
        defaults = {each["Name"]: each.get("DefaultValue") for each in self.definition["Parameters"]}
        properties: dict[str, Any] = {
            "CheckPlan": {"OutputParameters": {"Sentence": "", "TrainingImageDigest": f"sha256:{'0b' * 32}"}},
            "FindChampion": {"OutputParameters": found},
        }
        scope = Scope(
            defaults | {"DatasetUri": "s3://b/datasets/0123/"} | parameters,
            {"PipelineExecutionId": f"execution{self._executions}"},
            properties,
        )
        worked = []
        for each in (each for each in self.definition["Steps"] if each["Type"] in JOBS):
            name, arguments = each["Name"], evaluate(each["Arguments"], scope)
            key = caching.cache_key(each["Type"], arguments)
            assert key is not None
            if not (each.get("CacheConfig", {}).get("Enabled") and (name, key) in self._earlier):
                worked.append(name)
                model = {"S3ModelArtifacts": f"s3://b/models/{self._executions}/model.tar.gz"}
                self._earlier[name, key] = {**arguments, "ModelArtifacts": model}
            properties[name] = self._earlier[name, key]
        return worked


@pytest.mark.parametrize("instances", [1, 3])
def test_all_but_measuring_and_judging_comes_from_the_cache(instances: int) -> None:
    pipeline = Pipeline(Settings(environment="dev", processing=Processing(prepare_instance_count=instances)))
    compared = ["MeasureServing", "EvaluateDetector"]

    assert {"PrepareDataset", "TrainDetector"} < set(pipeline.run(FOUND))
    assert pipeline.run(OTHER_CHAMPION) == compared
    assert pipeline.run(OTHER_CHAMPION) == compared, "what production serves may have changed under the same name"
    assert pipeline.run(OTHER_CHAMPION, GatePolicyUri="s3://b/inputs/own/", MapThreshold=0.5) == compared
    assert pipeline.run(OTHER_CHAMPION, DatasetUri="s3://b/datasets/4567/")[0] == "PrepareDataset"


def test_another_floor_or_test_set_of_the_environments_trains_nothing_anew(tmp_path: Path) -> None:
    """Neither preparing nor training is handed what the policy says."""
    policy = f"schema_version: 2\ntest_set: {{uri: s3://fleet/t/, sha256: {'0a' * 32}}}\n"
    (tmp_path / "dev.yaml").write_text("gate_policy: own.yaml")
    (tmp_path / "own.yaml").write_text(policy)
    before, after = (bind(COMMITTED, each, RESOURCES) for each in (DEV, Settings.read("dev", tmp_path)))

    for name in ("PrepareDataset", "TrainDetector"):
        assert json.dumps(step(before, name)) == json.dumps(step(after, name))


def test_neither_finding_the_champion_nor_the_verdict_is_cached() -> None:
    for name in ("FindChampion", "PublishDossier", "CheckPlan"):
        assert "CacheConfig" not in step(COMMITTED, name)
        assert caching.cache_key(step(COMMITTED, name)["Type"], {}) is None
