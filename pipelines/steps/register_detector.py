# SPDX-License-Identifier: Apache-2.0
"""RegisterDetector: a new version in the model registry, born pending."""

from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import ModelStep, ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder

from pipelines.placeholders import INFERENCE_IMAGE, MODEL_PACKAGE_GROUP, PROCESSING_ROLE, UNBOUND_INSTANCE_TYPE
from pipelines.steps.processing import output_of
from pipelines.steps.retries import CALL_RETRIES


def register_detector(session: PipelineSession, *, train: TrainingStep, evaluate: ProcessingStep) -> ModelStep:
    """Return the step; the status is no parameter, since only a person approves."""
    statistics = MetricsSource(
        content_type="application/json",
        s3_uri=Join(on="/", values=[output_of(evaluate, "evaluation"), "evaluation.json"]),
    )
    builder = ModelBuilder(
        s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
        image_uri=INFERENCE_IMAGE,
        # The registry takes no role. The builder asks for one before it knows that.
        role_arn=PROCESSING_ROLE,
        sagemaker_session=session,
    )
    request = builder.register(
        model_package_group_name=MODEL_PACKAGE_GROUP,
        approval_status="PendingManualApproval",
        content_types=["image/jpeg", "image/png", "application/x-image", "application/json"],
        response_types=["application/json"],
        inference_instances=[UNBOUND_INSTANCE_TYPE],
        transform_instances=[UNBOUND_INSTANCE_TYPE],
        model_metrics=ModelMetrics(model_statistics=statistics),
        domain="COMPUTER_VISION",
        task="OBJECT_DETECTION",
    )
    # The builder adds variables of SageMaker's own inference toolkit, empty ones among them; our image has no toolkit.
    for container in request.create_model_package_request["InferenceSpecification"]["Containers"]:
        container.pop("Environment")
    return ModelStep("RegisterDetector", step_args=request, retry_policies=CALL_RETRIES)
