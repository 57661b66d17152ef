# SPDX-License-Identifier: Apache-2.0
"""How large a picture may be. Both images know it: one refuses larger ones, the other says so beforehand."""

MAX_PIXELS = 100 * 10**6
"""Greatest height times width, in training, measuring and serving: 100 megapixels, 300 MB as RGB."""

MAX_BODY_BYTES = 25 * 2**20
"""SageMaker's own limit for a real-time request."""
