# SPDX-License-Identifier: Apache-2.0
"""What everything else stands on: the key, the data bucket, the image repositories."""
