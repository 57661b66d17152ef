# SPDX-License-Identifier: Apache-2.0
"""The SageMaker Pipeline on a page, and the command that writes it to definition.json.

The build is offline and gives the same bytes each time. `make definition` runs it with the SageMaker SDK; everything
else (CDK, the local executor, `mapgate check`) reads the committed JSON, which infra binds to an environment.
"""

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# First, since the SDK makes AWS clients while it is imported.
from pipelines.offline import offline, pipeline_session

# isort: split
from sagemaker.mlops.workflow import Pipeline

from pipelines.parameters import pipeline_parameters
from pipelines.steps.check_plan import check_plan
from pipelines.steps.check_quality import check_quality, quality_gate_failed
from pipelines.steps.deploy_candidate import deploy_candidate
from pipelines.steps.evaluate_detector import evaluate_detector
from pipelines.steps.find_champion import find_champion
from pipelines.steps.measure_serving import measure_serving
from pipelines.steps.prepare_dataset import prepare_dataset
from pipelines.steps.publish_dossier import publish_dossier
from pipelines.steps.register_detector import register_detector
from pipelines.steps.train_detector import train_detector
from pipelines.whole_files import written_whole

DEFINITION = Path(__file__).with_name("definition.json")


def pipeline() -> Pipeline:
    """Return the whole DAG, unbound."""
    session = pipeline_session()
    parameters = pipeline_parameters()

    prepare = prepare_dataset(session, parameters)
    plan = check_plan(session, parameters, prepare=prepare)
    train = train_detector(session, parameters, prepare=prepare, after=plan)
    champion = find_champion(session, after=train)
    measure = measure_serving(session, prepare=prepare, train=train, champion=champion)
    evaluate = evaluate_detector(session, parameters, prepare=prepare, train=train, champion=champion, measure=measure)

    register = register_detector(session, train=train, evaluate=evaluate)
    publish = publish_dossier(
        session,
        parameters,
        prepare=prepare,
        plan=plan,
        train=train,
        champion=champion,
        measure=measure,
        evaluate=evaluate,
        register=register,
    )
    candidate = deploy_candidate(register=register, evaluate=evaluate, publish=publish)
    check = check_quality(
        parameters,
        evaluate=evaluate,
        if_passed=[register, publish, candidate],
        otherwise=quality_gate_failed(evaluate=evaluate),
    )

    return Pipeline(
        "unbound",
        parameters=parameters.all(),
        steps=[prepare, plan, train, champion, measure, evaluate, check],
        pipeline_experiment_config=None,
        sagemaker_session=session,
    )


def build() -> str:
    """Return the text of definition.json: the SDK's definition, its keys in a fixed order.

    Raises:
        NetworkUseError: If any part of the build reaches for the network.
    """
    with offline():
        definition = json.loads(pipeline().definition())
    return json.dumps(_ordered(definition), indent=2) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the definition, or with --check compare it with the committed one. Exit code 1: they differ."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.definition", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the file is current")
    parser.add_argument("--output", type=Path, default=DEFINITION, help="file to write or to compare with")
    options = parser.parse_args(arguments)

    # The SDK narrates every step that it compiles.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    text = build()
    if options.check:
        if options.output.exists() and options.output.read_text() == text:
            return 0
        print(f"{options.output}: not what pipelines/definition.py builds; run `make definition`", file=sys.stderr)
        return 1
    with written_whole(options.output) as beside:
        beside.write_text(text)
    return 0


FIRST = ["Version", "Metadata", "Name", "Type", "DependsOn", "Parameters", "Steps"]


def _ordered(value: Any) -> Any:
    """Sort the keys of every object, those that name it first, and drop nulls: the SDK's own order is no contract."""
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: (FIRST.index(key) if key in FIRST else len(FIRST), key))
    return {key: _ordered(value[key]) for key in keys if value[key] is not None}


if __name__ == "__main__":
    sys.exit(main())
