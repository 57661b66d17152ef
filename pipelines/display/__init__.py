# SPDX-License-Identifier: Apache-2.0
"""What a person is shown: an execution as it goes, detections drawn on their images."""
