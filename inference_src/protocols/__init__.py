# SPDX-License-Identifier: Apache-2.0
"""What clients of the existing systems send and expect: AWS's built-in algorithm's form, and TensorFlow Serving's."""
