# SPDX-License-Identifier: Apache-2.0
"""Which steps are not repeated while nothing about them changed.

Of the step types used here Processing and Training are jobs that AWS caches by their arguments:
https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching.html
The comparison looks at the arguments and never at the objects behind an S3 URI, so data lies under a prefix that is
named by its content. FindChampion is not cached since production changes behind its back, MeasureServing since it
measures time, EvaluateDetector since it judges.
"""

from sagemaker.mlops.workflow import CacheConfig

THIRTY_DAYS = CacheConfig(enable_caching=True, expire_after="P30D")
