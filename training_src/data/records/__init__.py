# SPDX-License-Identifier: Apache-2.0
"""TFRecords of tf.Examples in the TF Object Detection API's schema, without TensorFlow."""
