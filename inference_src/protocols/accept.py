# SPDX-License-Identifier: Apache-2.0
"""The Accept header, with the two parameters of AWS's built-in Object Detection - TensorFlow.

Its example client sends `application/json;verbose;n_predictions=5`; both parameters may be left out.
"""

from dataclasses import dataclass

from inference_src.errors import RequestError


@dataclass(frozen=True)
class Wanted:
    """What the client wants in the answer.

    Attributes:
        verbose: Whether to add the model's own output.
        n_predictions: How many of the best detections to give; None gives all.
    """

    verbose: bool = False
    n_predictions: int | None = None


def read_accept(header: str | None) -> Wanted:
    """Read an Accept header; a missing or empty one takes JSON.

    Raises:
        RequestError: 406 JSON is not accepted; 400 `n_predictions` is no positive whole number.
    """
    if not header or not header.strip():
        return Wanted()
    for media_range in header.split(","):
        name, *parameters = (part.strip().lower() for part in media_range.split(";"))
        if name in ("application/json", "application/*", "*/*") and not _is_refused(parameters):
            return Wanted(verbose="verbose" in parameters, n_predictions=_n_predictions(parameters))
    raise RequestError(406, f"Accept: {header[:100]}: the answer is application/json only")


def _is_refused(parameters: list[str]) -> bool:
    return any(parameter.startswith("q=") and not parameter[2:].strip("0.") for parameter in parameters)


def _n_predictions(parameters: list[str]) -> int | None:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() != "n_predictions":
            continue
        digits = value.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10 and int(digits) > 0):
            raise RequestError(400, f"Accept: n_predictions={digits[:20]}: give a whole number above 0")
        return int(digits)
    return None
