# SPDX-License-Identifier: Apache-2.0
"""What an environment binds, as readable stand-ins.

Each one satisfies the pattern that SageMaker asks of its field and says `unbound`, so that a definition that was never
bound is seen at a glance, and whose it is: `infra/training/binding.py` puts its `data_bucket` for
`unbound-data-bucket`.
"""

REGION = "us-east-1"
BUCKET = "unbound-data-bucket"
TRAINING_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/unbound-training-image:unbound"
INFERENCE_IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/unbound-inference-image:unbound"
PROCESSING_ROLE = "arn:aws:iam::000000000000:role/unbound-processing-role"
TRAINING_ROLE = "arn:aws:iam::000000000000:role/unbound-training-role"
CHECK_PLAN = "arn:aws:lambda:us-east-1:000000000000:function:unbound-check-plan"
FIND_CHAMPION = "arn:aws:lambda:us-east-1:000000000000:function:unbound-find-champion"
PUBLISH_DOSSIER = "arn:aws:lambda:us-east-1:000000000000:function:unbound-publish-dossier"
CALLBACK_QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/unbound-callback-queue"
# The folder of the environment's gate policy, named by the hash of the file.
FLOOR_POLICY = f"s3://{BUCKET}/defaults/gate-policy/unbound-floor-policy/"
MODEL_PACKAGE_GROUP = "unbound-model-package-group"
ENDPOINT = "unbound-endpoint"
# Instance types and volumes are bound by the name of their step; this one only has to be a type that SageMaker knows.
UNBOUND_INSTANCE_TYPE = "ml.m5.xlarge"
