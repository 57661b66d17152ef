# SPDX-License-Identifier: Apache-2.0
"""What clients of the existing systems send and expect: AWS's built-in algorithm's form, and TensorFlow Serving's.

A request goes through in three steps, each of which refuses what it can: its headers, the first bytes of its body, and
the whole body, which only the last one sees.
"""

from inference_src.protocols.invocation import BEGINNING, Answer, Asked, Model, read_headers

__all__ = ["BEGINNING", "Answer", "Asked", "Model", "read_headers"]
