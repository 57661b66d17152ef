# SPDX-License-Identifier: Apache-2.0
"""How large a picture the server takes. Both images know it: one refuses larger ones, the other says so beforehand."""

MAX_PIXELS = 2**25
"""Greatest height times width: 33 megapixels, 400 MB once a graph holds the image as float32."""

MAX_BODY_BYTES = 25 * 2**20
"""SageMaker's own limit for a real-time request."""
