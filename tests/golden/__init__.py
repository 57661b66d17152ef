# SPDX-License-Identifier: Apache-2.0
"""What the TensorFlow Object Detection API computes: its README says how the numbers were made and what they prove."""
