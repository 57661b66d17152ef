# SPDX-License-Identifier: Apache-2.0
"""`mapgate executions`: what is told of executions that ended well, badly or early, and how following one ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import pytest
import typer
from botocore.exceptions import ClientError

from infra.settings import Settings
from infra.training.binding import bind
from localcloud import cloud as local_cloud
from localcloud.logs import write_lines
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.executions import Execution, Step
from pipelines.client.results import Results
from pipelines.commands import executions
from pipelines.errors import BadInputError, WorkFailedError
from tests.pipelines.commands.test_run import BUCKET, COMMITTED, DEPLOYMENT, PLACE, RESOURCES

Mapgate = Callable[..., subprocess.CompletedProcess[str]]
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = Step("TrainDetector", "Failed", BEGAN, BEGAN, "the loss is not finite", cached=False)
# The first is a tag that would be eaten, the second a closing one that would be died of; and longer than a screen.
REASON = f"no machine of [ml.g5.xlarge] wrote [/opt/ml/output], see s3://{BUCKET}/{'a-long-name/' * 20}"
PIPELINE = f"arn:aws:sagemaker:{PLACE}:pipeline/mapgate-dev"
LOG = [
    "step=100/200 loss=0.9000 learning_rate=0.02000 images_per_second=9.1 eta_seconds=42",
    "validation step=100 mAP=0.2000 mAP_50=0.4000",
]
DATASET = {
    "sha256": "88bafd1c7378c83d",
    "images": 980,
    "boxes": 3023,
    "classes": [{"id": 1, "name": "vehicle"}, {"id": 4, "name": "cyclist"}],
    "splits": {"train": {"images": 800}, "validation": {"images": 60}, "test": {"images": 120}},
}
RULE = {"rule": "mAP_50", "comparison": "at least", "required": 0.5, "actual": 0.41, "passed": False}


def evaluation(schema: int, value: float, *, passed: bool, test_set: str = "c83d3b8b72c9", **further: Any) -> bytes:
    """An evaluation.json with what is read of it."""
    interval = {"lower": value - 0.02, "upper": value + 0.02} if schema == 2 else {}
    estimate = {"value": value, "standard_deviation": 0.0125, "reason": None, **interval}
    return json.dumps(
        {
            "schema_version": schema,
            "dataset": {"sha256": "88ba", "images": 120, "boxes": 374, "test_set": test_set},
            "model": {"architecture": "ssd", "steps": 200, "best_step": 150, "seed": 17},
            "metrics": {"mAP": estimate, "mAP_50": estimate},
            "per_class": {"cyclist": {"AP": estimate}},
            "champion": None,
            "serving": {"runtime": "openvino", "precision": "f32", "runtimes": {}},
            "gate": {
                "passed": passed,
                "sentence": "All rules are met." if passed else "1 of 2 rules is not met.",
                "mAP": value,
                "rules": [{**RULE, "passed": passed, "sentence": "mAP_50 is [0.41] and has to be 0.5."}],
            },
            **further,
        }
    ).encode()


def step(name: str, kind: str = "Processing", **further: Any) -> dict[str, Any]:
    """A step as the cloud keeps it."""
    made = {"start": "2026-11-30T10:56:00.000+00:00", "end": "2026-11-30T10:56:07.000+00:00", "metadata": {}}
    return {"name": name, "type": kind, "status": "Succeeded", "attempts": 1, "properties": {}, **made, **further}


def seed(home: Path, name: str, status: str, steps: list[dict[str, Any]], **further: Any) -> None:
    """Leave an execution where the cloud finds it when it starts."""
    times = dict.fromkeys(("created", "modified", "ended"), f"2026-11-30T10:5{len(steps)}:00.000+00:00")
    record = {
        "id": name,
        "arn": f"{PIPELINE}/execution/{name}",
        "account": PIPELINE.split(":")[4],
        "region": PIPELINE.split(":")[3],
        "pipeline_name": "mapgate-dev",
        "pipeline_arn": PIPELINE,
        "display_name": None,
        "description": None,
        "token": name * 4,
        "parameters": {"DatasetUri": f"s3://{BUCKET}/datasets/{name}/", "TrainingSettings": "seed=17"},
        "definition": json.dumps(bind(COMMITTED, Settings.read("dev"), RESOURCES)),
        "role": "arn:aws:iam::123456789012:role/nobody",
        "parallelism": None,
        "status": status,
        "announced": True,
        "steps": {each["name"]: each for each in steps},
        **times,
        **further,
    }
    home.joinpath("executions").mkdir(parents=True, exist_ok=True)
    home.joinpath("executions", f"{name}.json").write_text(json.dumps(record))


TRAINED = step(
    "TrainDetector",
    "Training",
    metadata={"TrainingJob": {"Arn": f"arn:aws:sagemaker:{PLACE}:training-job/pipelines-goodgoodgood-x"}},
)
OBJECTS: Mapping[str, bytes] = {
    "executions/goodgoodgood/metadata/dataset.json": json.dumps(DATASET).encode(),
    "executions/goodgoodgood/metadata/report.html": b"the data",
    "executions/goodgoodgood/evaluation/evaluation.json": evaluation(2, 0.4663, passed=True),
    "executions/goodgoodgood/evaluation/report.html": b"the good model",
    "executions/weakweakweak/evaluation/evaluation.json": evaluation(1, 0.31, passed=False, test_set="another"),
    "executions/weakweakweak/evaluation/report.html": b"the weak model",
    "executions/badsbadsbads/metadata/report.html": b"the bad data",
    "executions/laterlaterla/evaluation/evaluation.json": b'{"schema_version": 3}',
}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Connection]:
    """A cloud in which a pipeline has ended well, at its gate, at its data, and by somebody's hand."""
    home = tmp_path_factory.mktemp("cloud") / ".mapgate"
    reused = {"cache_hit": f"{PIPELINE}/execution/goodgoodgood"}
    version = {"RegisterModel": {"Arn": "arn:a:model-package/m/3"}}
    registered = step("RegisterDetector", "RegisterModel", metadata=version)
    seed(
        home,
        "goodgoodgood",
        "Succeeded",
        [step("PrepareDataset"), TRAINED, step("EvaluateDetector"), registered],
        description="Images of the [new] camera",
    )
    seed(
        home,
        "weakweakweak",
        "Failed",
        [
            step("PrepareDataset", **reused),
            {**TRAINED, **reused, "metadata": {}},
            step("EvaluateDetector"),
            step("CheckQuality", "Condition", metadata={"Condition": {"Outcome": "False"}}),
            step("QualityGateFailed", "Fail", status="Failed", failure_reason="The quality gate did not"),
        ],
        failure_reason="Step failure",
    )
    broken = step("PrepareDataset", status="Failed", failure_reason=REASON)
    seed(home, "badsbadsbads", "Failed", [broken, step("CheckPlan", "Lambda")])
    seed(home, "stopstopstop", "Stopped", [], failure_reason="Run `mapgate images push`.")
    seed(home, "laterlaterla", "Succeeded", [step("EvaluateDetector")])
    connection = Connection(endpoint_url=local_cloud.up(home, free_port()).endpoint_url)
    connection.client("s3").create_bucket(Bucket=BUCKET)
    for key, body in OBJECTS.items():
        connection.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
    for name, value in {name: value for name, value in vars(DEPLOYMENT).items() if value}.items():
        path = f"/mapgate-dev/{name.replace('_', '-')}"
        connection.client("ssm").put_parameter(Name=path, Value=value, Type="String")
    connection.client("sagemaker").create_pipeline(
        PipelineName="mapgate-dev",
        PipelineDefinition=json.dumps(bind(COMMITTED, Settings.read("dev"), RESOURCES)),
        ClientRequestToken="t" * 32,
        RoleArn="arn:aws:iam::123456789012:role/nobody",
    )
    stream = "pipelines-goodgoodgood-x/algo-1-1"
    write_lines(connection.client("logs"), "/aws/sagemaker/TrainingJobs", stream, LOG)
    yield connection
    local_cloud.down(home)


@pytest.fixture
def asked(deployed: Connection, typed: Mapgate, nowhere: dict[str, str]) -> Mapgate:
    """Types `mapgate executions ...`, on a screen of 80 columns where it is one."""
    nowhere["COLUMNS"] = "80"
    return lambda *words: typed("--endpoint-url", deployed.endpoint_url, "executions", *words)


def test_the_list_names_what_each_execution_is_for(asked: Mapgate) -> None:
    done = asked("list")
    told = json.loads(asked("list", "--json").stdout)

    assert "Images of the [new] camera" in done.stdout
    assert {each["id"]: each["status"] for each in told}["weakweakweak"] == "Failed"
    assert {"arn", "id", "status", "started", "description", "name", "failure_reason"} == told[0].keys()
    assert len(asked("list", "--count", "2", "--json").stdout.split('"id"')) == 3


def test_show_tells_what_was_asked_for_and_what_came_of_it(asked: Mapgate) -> None:
    done = asked("show", "good")

    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    for told in (
        ["goodgoodgood", "Succeeded"],
        ["for", "Images of the [new] camera"],
        ["images", "800 train, 60 validation, 120 test"],
        ["classes", "vehicle, cyclist"],
        ["steps", "200, best 150"],
        ["TrainingSettings", "seed=17"],
        ["DatasetUri", f"s3://{BUCKET}/datasets/goodgoodgood/"],
        ["mAP", "0.4663 (90 %: 0.4463 to 0.4863)"],
        ["version", "3"],
    ):
        assert told in lines
    assert f"s3://{BUCKET}/executions/goodgoodgood/evaluation/report.html" in done.stdout
    assert "CheckpointFingerprint" not in done.stdout
    assert "defaults/none" not in done.stdout


def test_show_tells_the_same_to_scripts(asked: Mapgate) -> None:
    told = json.loads(asked("show", "good", "--json").stdout)

    assert told["evaluation"]["metrics"]["mAP"]["lower"] == pytest.approx(0.4463)
    assert (told["version"], told["data"]["images"]) == (3, 980)
    assert told["reports"].keys() == {"model", "data set"}
    assert told["parameters"]["Architecture"]


def test_a_reason_is_told_whole_and_as_it_is(asked: Mapgate) -> None:
    done = asked("show", "bads")

    assert f"reason                  PrepareDataset: {REASON}" in done.stdout.splitlines()
    assert json.loads(asked("show", "bads", "--json").stdout)["steps"][0]["failure_reason"] == REASON


def test_a_reason_names_the_command_for_the_same_deployment(asked: Mapgate, deployed: Connection) -> None:
    assert f"Run `mapgate --endpoint-url {deployed.endpoint_url} images push`." in asked("show", "stop").stdout


def test_a_gate_that_did_not_pass_gives_its_rules_as_the_reason(asked: Mapgate) -> None:
    done = asked("show", "weak")

    assert "1 of 2 rules is not met. mAP_50 is [0.41] and has to be 0.5." in done.stdout
    assert "0.3100 (standard deviation 0.0125)" in done.stdout
    # It took the data of another execution.
    assert "800 train, 60 validation, 120 test" in done.stdout


def test_what_this_release_cannot_read_is_told_beside_the_rest(asked: Mapgate) -> None:
    done = asked("show", "later")

    assert done.returncode == 0
    assert "its schema_version is 3, and this checkout reads 1 and 2: update the checkout" in done.stdout


@pytest.mark.parametrize(
    ("words", "saved"),
    [
        (("good",), b"the good model"),
        (("good", "--data"), b"the data"),
        (("weak",), b"the weak model"),
        (("weak", "--data"), b"the data"),
        (("bads",), b"the bad data"),
    ],
)
def test_the_report_is_saved_also_of_what_failed(
    asked: Mapgate, tmp_path: Path, words: tuple[str, ...], saved: bytes
) -> None:
    done = asked("report", *words, "--output", tmp_path / "report.html")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").read_bytes() == saved


@pytest.mark.parametrize(
    ("words", "place", "told"),
    [
        (("stop",), "report.html", "has left no report; `mapgate --endpoint-url"),
        (("bads",), "nowhere/report.html", "there is no folder"),
        (("nobody",), "report.html", "has no execution nobody"),
    ],
)
def test_a_report_that_cannot_be_saved_is_one_sentence(
    asked: Mapgate, tmp_path: Path, words: tuple[str, ...], place: str, told: str
) -> None:
    done = asked("report", *words, "--output", tmp_path / place)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_comparing_tells_what_differs_and_draws_the_curves(asked: Mapgate, tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    done = asked("compare", "good", "weak", "--picture", picture)

    table, same = done.stdout.split("the same in all")
    assert "mAP" in table and "0.4663 (90 %: 0.4463 to 0.4863)" in table and "0.3100" in table
    assert f"  goodgoodgood  s3://{BUCKET}/datasets/goodgoodgood/" in table.splitlines()
    assert "seed=17" in same and "seed=17" not in table
    assert "their test images differ" in done.stderr
    drawn = cv2.imread(str(picture))
    assert drawn is not None and drawn.shape[1] == 1200


def test_a_comparison_is_markdown_and_json_too(asked: Mapgate) -> None:
    lines = asked("compare", "good", "weak", "--markdown").stdout.splitlines()
    told = json.loads(asked("compare", "good", "weak", "--json").stdout)

    assert lines[0] == "|  | goodgoodgood | weakweakweak |"
    assert "| gate | passed | failed |" in lines
    assert len({line.count(" | ") for line in lines}) == 1
    assert "mAP" in told["different"] and [each["status"] for each in told["executions"]] == ["Succeeded", "Failed"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("good",), "that is one execution; name two or more"),
        (("good", "goodgood"), "that is one execution; name two or more"),
        (("bads", "stop", "--picture", "{}/curves.png"), "none of the executions has a training's log"),
        (("good", "weak", "--picture", "{}/curves.xyz"), "name it .png or .jpg"),
        (("good", "weak", "--picture", "{}/none/curves.png"), "there is no folder"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    asked: Mapgate, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = asked("compare", *(word.format(tmp_path) for word in words))

    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_table_of_runs_is_markdown(asked: Mapgate) -> None:
    lines = asked("list", "--markdown").stdout.splitlines()

    assert lines[0].startswith("| execution | started | status | for | data | images |")
    (good,) = [line for line in lines if "goodgoodgood" in line]
    assert "Images of the [new] camera" in good and "| passed | 3 |" in good
    assert len(lines) == 2 + 5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("TrainDetector", "good"), LOG[1]),
        (("TrainDetector", "weak"), LOG[1]),
        (("CheckQuality", "weak"), "its condition is false"),
        (("QualityGateFailed", "weak"), "The quality gate did not"),
        (("PrepareDataset", "bads"), REASON),
    ],
)
def test_every_step_says_what_it_knows(asked: Mapgate, words: tuple[str, ...], told: str) -> None:
    done = asked("logs", *words)

    assert done.returncode == 0
    assert told in done.stdout.splitlines()


def test_following_ends_with_what_came_of_it_and_what_to_type_next(asked: Mapgate, deployed: Connection) -> None:
    done = asked("follow", "good")

    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    command = f"mapgate --endpoint-url {deployed.endpoint_url}"
    assert ["mAP", "0.4663 (90 %: 0.4463 to 0.4863)"] in lines
    assert ["verdict", "passed: All rules are met."] in lines
    assert ["report", f"s3://{BUCKET}/executions/goodgoodgood/evaluation/report.html"] in lines
    assert ["next", f"{command} models show 3 --report report.html, then {command} models approve 3"] in lines


@pytest.mark.parametrize(
    ("execution", "following", "told"),
    [
        ("weak", "executions report weakweakweak --output report.html", "failed: 1 of 2 rules is not met."),
        ("bads", "executions report badsbadsbads --output report.html", f"failed: PrepareDataset: {REASON}"),
        ("stop", "executions show stopstopstop", "was stopped: Run `mapgate --endpoint-url"),
    ],
)
def test_following_what_failed_ends_with_the_reason_and_the_way_on(
    asked: Mapgate, execution: str, following: str, told: str
) -> None:
    done = asked("follow", execution)

    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.splitlines()[-1].endswith(following)


def _follow(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    ended = Execution("arn:x/abc", status, BEGAN, "TrainDetector failed" if status == "Failed" else None, [STEP])
    monkeypatch.setattr(executions, "follow", lambda *_: ended)
    monkeypatch.setattr(executions, "_came_to", lambda _, execution: Results(execution, {}))
    executions.follow_to_the_end(Connection(), "arn:x/abc", as_json=True)


def test_the_end_is_told_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _follow(monkeypatch, "Succeeded")

    told = json.loads(capsys.readouterr().out)
    assert (told["arn"], told["status"], told["steps"][0]["name"]) == ("arn:x/abc", "Succeeded", "TrainDetector")


@pytest.mark.parametrize(
    ("status", "told"),
    [("Failed", "abc failed: TrainDetector: the loss is not finite"), ("Stopped", "abc was stopped: somebody")],
)
def test_an_execution_that_did_not_succeed_is_work_that_failed(
    monkeypatch: pytest.MonkeyPatch, status: str, told: str
) -> None:
    with pytest.raises(WorkFailedError, match=f"execution {told}"):
        _follow(monkeypatch, status)


def test_the_end_is_told_also_where_nothing_more_can_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(_: object) -> None:
        raise BadInputError("it is not deployed")

    monkeypatch.setattr(executions, "follow", lambda *_: Execution("arn:x/abc", "Succeeded", BEGAN, None, []))
    monkeypatch.setattr(Deployment, "find", gone)
    executions.follow_to_the_end(Connection(), "arn:x/abc", as_json=False)

    assert capsys.readouterr().err == "mapgate: what it left could not be read: it is not deployed\n"


def test_following_that_is_cut_off_says_that_the_execution_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def expired(*_: object) -> Execution:
        raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "The token is too old."}}, "Describe")

    monkeypatch.setattr(executions, "follow", expired)
    with pytest.raises(
        WorkFailedError, match=r"cut off \(.* too old\); execution abc goes on: `m executions follow abc`"
    ):
        executions.follow_to_the_end(Connection(command="m"), "arn:x/abc", as_json=False)


def test_who_interrupts_is_told_that_the_execution_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> Execution:
        raise KeyboardInterrupt

    monkeypatch.setattr(executions, "follow", interrupted)
    with pytest.raises(typer.Exit) as ended:
        executions.follow_to_the_end(Connection(command="mapgate --local"), "arn:x/abc", as_json=False)

    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == (
        "mapgate: interrupted; execution abc goes on: `mapgate --local executions follow abc` shows it again, "
        "`mapgate --local executions stop abc` stops it\n"
    )
