# SPDX-License-Identifier: Apache-2.0
"""Calls of SageMaker's SDK as its users write them; runs in the SDK's own environment, of version 2 or 3.

`python calls.py <address> <folder>`: the runtime endpoint to ask, and where the picture lies as `picture.jpg` and
`picture.npy`. Prints for each call what the user gets, as JSON.
"""

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from numpy.typing import NDArray

REGION, ENDPOINT = "us-east-1", "street"
Calls = dict[str, Callable[[], Any]]


def main() -> None:
    """Make each call, and print what comes back."""
    address, folder = sys.argv[1], Path(sys.argv[2])
    boto = boto3.Session("key", "secret", region_name=REGION)
    runtime = boto.client("sagemaker-runtime", endpoint_url=address)
    path, jpeg, pixels = folder / "picture.jpg", (folder / "picture.jpg").read_bytes(), np.load(folder / "picture.npy")
    major = version("sagemaker").partition(".")[0]
    calls = version_2(boto, runtime, path, jpeg, pixels) if major == "2" else version_3(runtime, jpeg, pixels)
    calls |= {"boto3 without content type": lambda: json.load(runtime_call(runtime, jpeg))}
    print(json.dumps({name: plain(call()) for name, call in calls.items()}))


def version_2(boto: Any, runtime: Any, path: Path, jpeg: bytes, pixels: NDArray[np.uint8]) -> Calls:
    """Predictors with their own defaults, and with the pairs of serializer and deserializer that take images."""
    from sagemaker import Session, deserializers, serializers
    from sagemaker.predictor import Predictor
    from sagemaker.pytorch.model import PyTorchPredictor
    from sagemaker.tensorflow.model import TensorFlowPredictor

    session = Session(boto, boto.client("sagemaker"), runtime)

    def predictor(serializer: Any, deserializer: Any) -> Any:
        return Predictor(ENDPOINT, session, serializer=serializer, deserializer=deserializer)

    as_json = predictor(serializers.JSONSerializer(), deserializers.JSONDeserializer())
    return {
        "Predictor": lambda: json.loads(Predictor(ENDPOINT, session).predict(jpeg)),
        "Predictor with custom attributes": lambda: json.loads(
            Predictor(ENDPOINT, session).predict(jpeg, custom_attributes="trace=7,mapgate-max-detections=1")
        ),
        "PyTorchPredictor": lambda: PyTorchPredictor(ENDPOINT, session).predict(pixels),
        "PyTorchPredictor with a list": lambda: PyTorchPredictor(ENDPOINT, session).predict([pixels.tolist()]),
        "TensorFlowPredictor": lambda: TensorFlowPredictor(ENDPOINT, session).predict({"instances": [pixels.tolist()]}),
        "TensorFlowPredictor in columns": lambda: TensorFlowPredictor(ENDPOINT, session, model_name="a").predict(
            {"inputs": {"input_tensor": [pixels.tolist()]}}
        ),
        "TensorFlowPredictor with an array": lambda: TensorFlowPredictor(ENDPOINT, session).predict(pixels[np.newaxis]),
        "JSONSerializer of one image": lambda: as_json.predict(pixels),
        "JSONLinesSerializer": lambda: predictor(
            serializers.JSONLinesSerializer(), deserializers.JSONLinesDeserializer()
        ).predict([pixels.tolist(), pixels.tolist()]),
        "DataSerializer": lambda: predictor(serializers.DataSerializer(), deserializers.JSONDeserializer()).predict(
            str(path)
        ),
        "IdentitySerializer as image/jpg": lambda: predictor(
            serializers.IdentitySerializer("image/jpg"), deserializers.JSONDeserializer()
        ).predict(jpeg),
    }


def version_3(runtime: Any, jpeg: bytes, pixels: NDArray[np.uint8]) -> Calls:
    """`Endpoint.invoke` with what its user gives, and with serializers, whose content type it does not send."""
    from sagemaker.core.deserializers import JSONDeserializer
    from sagemaker.core.resources import Endpoint
    from sagemaker.core.serializers import JSONSerializer, NumpySerializer
    from sagemaker.core.utils.utils import SageMakerClient

    SageMakerClient(region_name=REGION).sagemaker_runtime_client = runtime  # one for the process
    bare = Endpoint(endpoint_name=ENDPOINT)
    as_json = Endpoint(endpoint_name=ENDPOINT, serializer=JSONSerializer(), deserializer=JSONDeserializer())
    arrays = Endpoint(endpoint_name=ENDPOINT, serializer=NumpySerializer(), deserializer=JSONDeserializer())
    return {
        "Endpoint.invoke": lambda: json.load(bare.invoke(body=jpeg).body),
        "Endpoint.invoke with types": lambda: json.load(
            bare.invoke(body=jpeg, content_type="application/x-image", accept="application/json;verbose").body
        ),
        "Endpoint.invoke with custom attributes": lambda: json.load(
            bare.invoke(body=jpeg, custom_attributes="trace=7,mapgate-max-detections=1").body
        ),
        "Endpoint.invoke of JSON": lambda: as_json.invoke(body={"instances": [pixels.tolist()]}).body,
        "Endpoint.invoke of an array": lambda: arrays.invoke(body=pixels).body,
    }


def runtime_call(runtime: Any, jpeg: bytes) -> Any:
    """What is asked without any SDK above boto3."""
    return runtime.invoke_endpoint(EndpointName=ENDPOINT, Body=jpeg)["Body"]


def plain(value: Any) -> Any:
    """The value as JSON has it."""
    return value.tolist() if isinstance(value, np.ndarray) else value


if __name__ == "__main__":
    main()
