# SPDX-License-Identifier: Apache-2.0
"""PrepareDataset: labelled images of any supported layout become checked, split TFRecord shards."""

from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import ProcessingStep

from pipelines.parameters import Parameters
from pipelines.placeholders import TRAINING_IMAGE
from pipelines.steps.caching import THIRTY_DAYS
from pipelines.steps.processing import processing_step


def prepare_dataset(session: PipelineSession, parameters: Parameters) -> ProcessingStep:
    """Return the step with the outputs `train`, `validation`, `test` and `metadata`.

    An environment may deal the images out among several instances: `infra/training/several_instances.py`.
    """
    return processing_step(
        "PrepareDataset",
        session=session,
        image=TRAINING_IMAGE,
        entrypoint=["python", "-m", "training_src", "prepare"],
        environment={"MAPGATE_ARCHITECTURE": parameters.architecture},
        inputs={
            "dataset": parameters.dataset_uri,
            "label_map": parameters.label_map_uri,
            "config": parameters.pipeline_config_uri,
        },
        outputs=["train", "validation", "test", "metadata"],
        continuous=["metadata"],  # the report of a data set that is refused
        cache=THIRTY_DAYS,
    )
