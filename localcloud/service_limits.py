# SPDX-License-Identifier: Apache-2.0
"""A request against its shape in the service model, refused with the code and in the words of its service. Pure.

What is said here of codes and words is recorded in `tests/localcloud/conformance/test_limits.py`, each with its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from itertools import groupby
from operator import getitem
from typing import Any, NamedTuple

from botocore.model import OperationModel, Shape

from localcloud.definitions.shapes import NUMBERS, MapKey, Violation, violations


class LimitError(NamedTuple):
    """Why a request is refused."""

    code: str
    message: str


_CODES = {
    "cloudformation": "ValidationError",
    "cloudwatch": "ValidationError",
    "ecr": "InvalidParameterException",
    "iam": "ValidationError",
    "logs": "InvalidParameterException",
    "sagemaker-runtime": "ValidationError",
    "sns": "ValidationError",
    "sts": "ValidationError",
}
_CODE = "ValidationException"

_HIDES_VALUES = frozenset({"iam"})
"""These never repeat what they were given; others leave out what the model calls sensitive."""

_UNENFORCED = frozenset(
    {
        # "The maximum payload size is 25 MB": https://docs.aws.amazon.com/sagemaker/latest/dg/hosting-faqs.html
        ("sagemaker-runtime", "BodyBlob", "max"),
        # Recorded in LocalStack's tests/aws/services/s3: where a bucket may be, and whether there is one, is told in
        # other words (localcloud/refusals/buckets.py), and no tags are taken for an empty set of them.
        ("s3", "BucketLocationConstraint", "enum"),
        ("s3", "ServerSideEncryptionConfiguration", "required"),
        ("s3", "Tagging", "required"),
    }
)
"""Service, shape and limit of the model's that AWS does not keep."""

_FORMER_NAMES = {("ReceiveMessageRequest", "AttributeNames"): "MessageSystemAttributeNames"}
"""By request and member: the newer member whose values it takes, too, though the model does not list them.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""


def limit_error(service: str, operation: OperationModel, parameters: Mapping[str, Any]) -> LimitError | None:
    """What a service answers to a request that breaks its shape's required, enum, pattern, min or max; None if none.

    Args:
        service: boto3's name.
        operation: What is asked for.
        parameters: The request, as boto3 is given it.
    """
    shape = operation.input_shape
    broken = list(_broken(service, parameters, shape)) if shape else []
    if not broken:
        return None
    if service == "s3":
        return _s3_error(broken[0], parameters)
    if service == "sqs":
        return _sqs_error(broken[0])
    if service == "ecr":
        return LimitError(_CODES["ecr"], _ecr_sentence(broken[0]))
    if service == "lambda" and broken[0].path == ("Runtime",):
        sentence = f"Value {broken[0].value} at 'runtime' failed to satisfy constraint: {_constraint(broken[0])}"
        return LimitError("InvalidParameterValueException", f"{sentence} or be a valid ARN")
    return LimitError(_CODES.get(service, _CODE), _counted(_sentences(broken, parameters, service in _HIDES_VALUES)))


def validation_errors(parameters: Mapping[str, Any], shape: Shape) -> str:
    """The sentence of most services on everything that a request breaks; empty if there is nothing.

    Args:
        parameters: The request, as boto3 is given it.
        shape: The operation's input shape.
    """
    return _counted(_sentences(_broken("", parameters, shape), parameters, hidden=False))


def _broken(service: str, parameters: Mapping[str, Any], shape: Any) -> Iterator[Violation]:
    for each in violations(parameters, shape):
        if each.limit in ("type", "unknown") or (service, each.shape.name, each.limit) in _UNENFORCED:
            continue
        newer = _FORMER_NAMES.get((shape.name, str(each.path[0])))
        if newer is None or each.value not in shape.members[newer].member.enum:
            yield each


def _counted(sentences: Iterable[str]) -> str:
    found = list(sentences)
    if not found:
        return ""
    return f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: {'; '.join(found)}"


def _sentences(broken: Iterable[Violation], parameters: Mapping[str, Any], hidden: bool) -> Iterator[str]:
    for (path, of_key), group in groupby(broken, lambda each: (each.path, each.of_key)):
        each = list(group)
        constraints, value = [_constraint(one) for one in each], each[0].value
        if isinstance(path[-1], MapKey | int):  # told of the whole map or list, all at once
            what = "Member" if isinstance(path[-1], int) else "Map keys" if of_key else "Map value"
            path, value = path[:-1], reduce(getitem, path[:-1], parameters)
            constraints = [f"{what} must satisfy constraint: [{', '.join(constraints)}]"]
        secret = value is not None and (hidden or each[0].shape.metadata.get("sensitive"))
        shown = "Value" if secret else f"Value {_shown(value)}"
        for constraint in constraints:
            yield f"{shown} at '{_where(path)}' failed to satisfy constraint: {constraint}"


def _constraint(broken: Violation) -> str:
    limits = broken.shape.metadata
    what = "value" if broken.shape.type_name in NUMBERS else "length"
    match broken.limit:
        case "enum":
            return f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
        case "max":
            return f"Member must have {what} less than or equal to {limits['max']}"
        case "min":
            return f"Member must have {what} greater than or equal to {limits['min']}"
        case "pattern":
            return f"Member must satisfy regular expression pattern: {limits['pattern']}"
    return "Member must not be null"


def _ecr_sentence(broken: Violation) -> str:
    constraint = _constraint(broken).removeprefix("Member ")
    if broken.limit == "pattern":
        constraint = f"must satisfy regular expression '{broken.shape.metadata['pattern']}'"
    return f"Invalid parameter at '{_where(broken.path)}' failed to satisfy constraint: '{constraint}'"


def _sqs_error(broken: Violation) -> LimitError:
    """Its model has names that must be there, and names of attributes."""
    name = next(part for part in reversed(broken.path) if isinstance(part, str))
    if broken.limit == "required":
        return LimitError("MissingParameter", f"The request must contain the parameter {name}.")
    return LimitError("InvalidAttributeName", f"Unknown Attribute {broken.value}.")


_NOT_OF_THE_SCHEMA = "The XML you provided was not well-formed or did not validate against our published schema"
_S3_HEADERS = {
    "StorageClass": LimitError("InvalidStorageClass", "The storage class you specified is not valid"),
    "EncodingType": LimitError("InvalidArgument", "Invalid Encoding Method specified in Request"),
}


def _s3_error(broken: Violation, parameters: Mapping[str, Any]) -> LimitError:
    """What is in the body breaks its schema; what is in a header or in the address is an argument."""
    member = broken.path[0]
    if broken.limit == "required" or isinstance(parameters.get(str(member)), dict | list):
        return LimitError("MalformedXML", _NOT_OF_THE_SCHEMA)
    header = broken.shape.serialization.get("name", member)
    return _S3_HEADERS.get(str(member), LimitError("InvalidArgument", f"Invalid {header} header: {broken.value}"))


def _where(path: tuple[str | int, ...]) -> str:
    parts = (
        f"{part + 1}.member"
        if isinstance(part, int)
        else f"{part}.member"
        if isinstance(part, MapKey)
        else part[0].lower() + part[1:]
        for part in path
    )
    return ".".join(parts)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = _as_java_prints(value)
    return f"'{text if len(text) <= 400 else text[:397] + '...'}'"


def _as_java_prints(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_as_java_prints, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}={_as_java_prints(each)}' for key, each in value.items())}}}"
    return str(value)
