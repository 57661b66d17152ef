# SPDX-License-Identifier: Apache-2.0
"""A detector behind Flask, as most samples serve one: TensorFlow's SavedModel, Pillow, lists of numbers as JSON.

It follows what SageMaker's bring-your-own-container sample and the OD API's inference tutorials have in common.
`MODEL` names the SavedModel's folder.
"""

import io
import os

import flask  # type: ignore[import-not-found,unused-ignore]  # the benchmark installs it beside
import numpy as np
import tensorflow as tf
from PIL import Image

app = flask.Flask(__name__)
model = tf.saved_model.load(os.environ["MODEL"])
detect = model.signatures["serving_default"]
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes")


@app.route("/ping", methods=["GET"])
def ping() -> flask.Response:
    """Say that the model is loaded."""
    return flask.Response("\n", status=200, mimetype="application/json")


@app.route("/invocations", methods=["POST"])
def invocations() -> flask.Response:
    """Detect objects in a picture."""
    image = Image.open(io.BytesIO(flask.request.get_data())).convert("RGB")
    found = detect(input_tensor=tf.convert_to_tensor(np.asarray(image))[tf.newaxis, ...])
    count = int(found["num_detections"][0])
    return flask.jsonify({name: found[name][0, :count].numpy().tolist() for name in OUTPUTS})
