# SPDX-License-Identifier: Apache-2.0
"""What a person may choose when starting an execution. Defaults are stand-ins that an environment binds."""

from dataclasses import dataclass

from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString

from pipelines.placeholders import BUCKET, UNBOUND_INSTANCE_TYPE
from pipelines.zoo.architectures import names

# A channel without objects fails its job, so "not given" is an object that the scripts know.
NOT_GIVEN = f"s3://{BUCKET}/defaults/none/"


@dataclass(frozen=True)
class Parameters:
    """The parameters of the pipeline, by their names in Python.

    Attributes:
        dataset_uri: S3 prefix of the labelled images, in any supported layout; must be given.
        architecture: Zoo name of the detector, one of those that are bundled.
        pipeline_config_uri: Prefix of the user's own pipeline.config; the bundled one of the architecture otherwise.
        label_map_uri: Prefix of a label_map.pbtxt; otherwise made from the data.
        initial_checkpoint_uri: Prefix of a checkpoint to start from, a model.tar.gz, or `defaults/scratch/`; otherwise
            the training image's own weights where a bundled config's backbone is theirs.
        gate_policy_uri: Prefix of a gate policy of this execution's own, which can only tighten the environment's.
        training_steps: 0 takes `num_steps` of the pipeline.config; an environment's default may be another.
        training_instance_type: One of those that the environment's settings allow; the first of them is the default.
        map_threshold: Least mAP; it can only tighten the policy.
        training_settings: How training goes on, such as `seed=17 early_stopping_patience=5`; see docs/settings.md.
        checkpoint_fingerprint: Which executions share a prefix of checkpoints, besides the architecture; `mapgate run`
            gives the hash of the data, config and settings.
    """

    dataset_uri: ParameterString
    architecture: ParameterString
    pipeline_config_uri: ParameterString
    label_map_uri: ParameterString
    initial_checkpoint_uri: ParameterString
    gate_policy_uri: ParameterString
    training_steps: ParameterInteger
    training_instance_type: ParameterString
    map_threshold: ParameterFloat
    training_settings: ParameterString
    checkpoint_fingerprint: ParameterString

    def all(self) -> list[ParameterString | ParameterInteger | ParameterFloat]:
        """Return the parameters in the order in which the definition lists them."""
        return list(vars(self).values())


def pipeline_parameters() -> Parameters:
    """Return the parameters with unbound defaults."""
    return Parameters(
        # Without a default SageMaker refuses to start an execution that does not give it.
        dataset_uri=ParameterString("DatasetUri"),
        architecture=ParameterString(
            "Architecture", enum_values=names(), default_value="ssd_mobilenet_v2_fpnlite_640x640"
        ),
        pipeline_config_uri=ParameterString("PipelineConfigUri", default_value=NOT_GIVEN),
        label_map_uri=ParameterString("LabelMapUri", default_value=NOT_GIVEN),
        initial_checkpoint_uri=ParameterString("InitialCheckpointUri", default_value=NOT_GIVEN),
        gate_policy_uri=ParameterString("GatePolicyUri", default_value=NOT_GIVEN),
        training_steps=ParameterInteger("TrainingSteps", default_value=0),
        training_instance_type=ParameterString("TrainingInstanceType", default_value=UNBOUND_INSTANCE_TYPE),
        map_threshold=ParameterFloat("MapThreshold", default_value=0.0),
        training_settings=ParameterString("TrainingSettings", default_value="seed=17"),
        checkpoint_fingerprint=ParameterString("CheckpointFingerprint", default_value="shared"),
    )
