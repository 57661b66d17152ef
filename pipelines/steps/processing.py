# SPDX-License-Identifier: Apache-2.0
"""How a Processing step looks in this pipeline: one instance, an entry point of our image, files in, files out."""

from collections.abc import Collection, Mapping, Sequence

from sagemaker.core.helper.pipeline_variable import PipelineVariable
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow import CacheConfig, ProcessingStep

from pipelines.placeholders import BUCKET, PROCESSING_ROLE, UNBOUND_INSTANCE_TYPE
from pipelines.steps.retries import JOB_RETRIES


def processing_step(
    name: str,
    *,
    session: PipelineSession,
    image: str,
    entrypoint: Sequence[str],
    inputs: Mapping[str, PipelineVariable],
    outputs: Sequence[str],
    continuous: Collection[str] = (),
    environment: Mapping[str, str | PipelineVariable] | None = None,
    cache: CacheConfig | None = None,
    property_files: Sequence[PropertyFile] = (),
    maximum_runtime_seconds: int = 2 * 60 * 60,
) -> ProcessingStep:
    """Return a Processing step with inputs at `/opt/ml/processing/input/<name>` and outputs likewise.

    Args:
        name: Of the step.
        session: The offline pipeline session.
        image: Placeholder of the image that runs.
        entrypoint: Command in the image; a Processing job has no command of its own otherwise.
        inputs: S3 prefix or object by input name.
        outputs: Names; each goes to `s3://<bucket>/executions/<execution id>/<name>` when the job has ended well.
        continuous: Those of them that go there while it runs, so that what a failed job wrote is there too.
        environment: Of the job.
        cache: How long an equal step is reused; None never.
        property_files: JSON outputs that a condition may read.
        maximum_runtime_seconds: After which SageMaker stops the job.
    """
    processor = Processor(
        role=PROCESSING_ROLE,
        image_uri=image,
        instance_count=1,
        instance_type=UNBOUND_INSTANCE_TYPE,
        volume_size_in_gb=50,
        entrypoint=list(entrypoint),
        env=dict(environment) if environment else None,
        max_runtime_in_seconds=maximum_runtime_seconds,
        sagemaker_session=session,
    )
    return ProcessingStep(
        name,
        step_args=processor.run(
            inputs=[_input(input_name, uri) for input_name, uri in inputs.items()],
            outputs=[
                _output(output_name, "Continuous" if output_name in continuous else "EndOfJob")
                for output_name in outputs
            ],
        ),
        cache_config=cache,
        property_files=list(property_files),
        retry_policies=JOB_RETRIES,
    )


def output_of(step: ProcessingStep, name: str) -> PipelineVariable:
    """Return the S3 prefix of a Processing step's output; a cached step answers with that of its former run."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def _input(name: str, uri: PipelineVariable) -> ProcessingInput:
    return ProcessingInput(
        input_name=name,
        s3_input=ProcessingS3Input(
            s3_uri=uri,
            local_path=f"/opt/ml/processing/input/{name}",
            s3_data_type="S3Prefix",
            s3_input_mode="File",
            s3_data_distribution_type="FullyReplicated",
        ),
    )


def _output(name: str, upload_mode: str) -> ProcessingOutput:
    prefix = Join(on="/", values=[f"s3://{BUCKET}/executions", ExecutionVariables.PIPELINE_EXECUTION_ID, name])
    return ProcessingOutput(
        output_name=name,
        s3_output=ProcessingS3Output(
            s3_uri=prefix, local_path=f"/opt/ml/processing/output/{name}", s3_upload_mode=upload_mode
        ),
    )
