# SPDX-License-Identifier: Apache-2.0
"""What S3 refuses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from moto.core.utils import get_service_model

from localcloud.authorisation.deployed import bucket_named
from localcloud.dispatch import Call
from localcloud.dispatch import backend as backend_of
from localcloud.refusals.refusal import parameter, recorded

_TESTS = "s3/test_s3.py"
_API_TESTS = "s3/test_s3_api.py"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_VERSION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""As moto makes them."""
_TAG = re.compile(r"[\w\s.:/=+@-]*")
_NOT_WELL_FORMED = "The XML you provided was not well-formed or did not validate against our published schema"
_MAX_PART = 10_000
_REGION_OF_EVERY_LOCATION = "us-east-1"
_LOCATIONS = frozenset(get_service_model("s3").shape_for("BucketLocationConstraint").metadata["enum"])


@recorded("s3", "CreateBucket", "InvalidBucketName", _TESTS)
def _odd_name(call: Call) -> str:
    return "" if _NAME.fullmatch(call.parameters["Bucket"]) else "The specified bucket is not valid."


@recorded("s3", "CreateBucket", "InvalidLocationConstraint", _TESTS)
def _no_location(call: Call) -> str:
    """Where a request goes to another region, that region's name is the only one taken, and the code is another."""
    location = (call.parameters.get("CreateBucketConfiguration") or {}).get("LocationConstraint")
    if not location or call.region != _REGION_OF_EVERY_LOCATION or location in _LOCATIONS:
        return ""
    return "The specified location-constraint is not valid"


@recorded("s3", "CreateBucket", "BucketAlreadyOwnedByYou", _API_TESTS)
def _tags_of_a_bucket_that_is_there(call: Call) -> str:
    tags = (call.parameters.get("CreateBucketConfiguration") or {}).get("Tags")
    if tags and call.parameters["Bucket"] in _buckets(call):
        return "Your previous request to create the named bucket succeeded and you already own it."
    return ""


@recorded("s3", "CreateBucket PutBucketTagging", "InvalidTag", _API_TESTS)
def _odd_tags(call: Call) -> str:
    given = call.parameters.get("CreateBucketConfiguration") or {}
    tags = given.get("Tags") or (call.parameters.get("Tagging") or {}).get("TagSet") or ()
    if any(tag["Key"].startswith("aws:") for tag in tags) and given:
        way_out = 'This prefix is reserved for system tags. Remove "aws:" from your tag keys and try again.'
        return f'User-defined tag keys can\'t start with "aws:". {way_out}'
    for what in ("Key", "Value"):
        if not all(_TAG.fullmatch(tag[what]) for tag in tags):
            return f"The Tag{what} you have provided is invalid"
    return ""


@recorded("s3", "CreateBucket", "InternalError", _API_TESTS)
def _tag_given_twice(call: Call) -> str:
    keys = [tag["Key"] for tag in (call.parameters.get("CreateBucketConfiguration") or {}).get("Tags") or ()]
    return "We encountered an internal error. Please try again." if len(keys) != len(set(keys)) else ""


@recorded("s3", "PutBucketLogging", "CrossLocationLoggingProhibitted", "s3/test_s3.py")
def _logs_in_another_region(call: Call) -> str:
    buckets = _buckets(call)
    logging = (call.parameters.get("BucketLoggingStatus") or {}).get("LoggingEnabled") or {}
    source, target = buckets.get(call.parameters["Bucket"]), buckets.get(logging.get("TargetBucket"))
    if source is None or target is None or source.region_name == target.region_name:
        return ""
    return "Cross S3 location logging not allowed. "


@recorded("s3", "PutObject", "InvalidArgument", _API_TESTS)
def _odd_tags_of_an_object(call: Call) -> str:
    text = parameter(call, "Tagging")
    tags = parse_qsl(text, keep_blank_values=True)
    keys = [key for key, _ in tags]
    if len(keys) == len(set(keys)) and all(_TAG.fullmatch(part) for tag in tags for part in tag):
        return ""
    form = "URLEncoded URL query parameters without tag name duplicates."
    return f"The header 'x-amz-tagging' shall be encoded as UTF-8 then {form}"


@recorded("s3", "PutBucketEncryption", "InvalidArgument", _API_TESTS)
def _key_that_is_not_used(call: Call) -> str:
    for rule in (call.parameters.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or ():
        default = rule.get("ApplyServerSideEncryptionByDefault") or {}
        if default.get("KMSMasterKeyID") and not str(default.get("SSEAlgorithm")).startswith("aws:kms"):
            return "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse"
    return ""


@recorded("s3", "PutBucketEncryption", "NoSuchBucket", _API_TESTS)
def _no_bucket(call: Call) -> str:
    return "" if bucket_named(call.parameters["Bucket"]) else "The specified bucket does not exist"


@recorded("s3", "PutBucketEncryption PutBucketOwnershipControls", "MalformedXML", _API_TESTS)
def _not_one_rule(call: Call) -> str:
    given = call.parameters.get("ServerSideEncryptionConfiguration") or call.parameters.get("OwnershipControls") or {}
    return _NOT_WELL_FORMED if len(given.get("Rules") or ()) != 1 else ""


@recorded("s3", "PutBucketVersioning", "IllegalVersioningConfigurationException", _API_TESTS)
def _no_versioning(call: Call) -> str:
    given = call.parameters.get("VersioningConfiguration") or {}
    return "" if given.get("Status") else "The Versioning element must be specified"


@recorded("s3", "PutBucketLifecycleConfiguration", "MalformedXML", _TESTS)
def _odd_lifecycle(call: Call) -> str:
    for rule in _rules(call):
        filtered = rule.get("Filter") or {}
        if rule.get("NoncurrentVersionExpiration") == {} or len(filtered) > 1:
            return _NOT_WELL_FORMED
    return ""


@recorded("s3", "PutBucketLifecycleConfiguration", "InvalidArgument", _TESTS)
def _moment_of_expiration(call: Call) -> str:
    for rule in _rules(call):
        date = (rule.get("Expiration") or {}).get("Date")
        if date and "00:00:00" not in str(date):
            return "'Date' must be at midnight GMT"
    return ""


@recorded("s3", "PutBucketLifecycleConfiguration", "InvalidRequest", _TESTS)
def _key_given_twice(call: Call) -> str:
    for rule in _rules(call):
        keys = [tag["Key"] for tag in ((rule.get("Filter") or {}).get("And") or {}).get("Tags") or ()]
        if len(keys) != len(set(keys)):
            return "Duplicate Tag Keys are not allowed."
    return ""


@recorded("s3", "PutObject CreateMultipartUpload", "KMS.NotFoundException", _TESTS)
def _unknown_key(call: Call) -> str:
    key = parameter(call, "SSEKMSKeyId")
    return f"Invalid keyId '{key}'" if key and _key(call, key) is None else ""


@recorded("s3", "PutObject CreateMultipartUpload GetObject", "KMS.KMSInvalidStateException", _TESTS)
def _key_that_goes(call: Call) -> str:
    key = _key_in_use(call)
    return f"{key.arn} is pending deletion." if key is not None and key.key_state == "PendingDeletion" else ""


@recorded("s3", "UploadPart", "InvalidArgument", _TESTS)
def _odd_part(call: Call) -> str:
    number = call.parameters.get("PartNumber")
    if number is None or 1 <= int(number) <= _MAX_PART:
        return ""
    return f"Part number must be an integer between 1 and {_MAX_PART}, inclusive"


@recorded("s3", "UploadPart CompleteMultipartUpload", "NoSuchUpload", _TESTS)
def _unknown_upload(call: Call) -> str:
    bucket = _buckets(call).get(call.parameters["Bucket"])
    if bucket is None or call.parameters["UploadId"] in bucket.multiparts:
        return ""
    what = "The specified upload does not exist."
    return f"{what} The upload ID may be invalid, or the upload may have been aborted or completed."


@recorded("s3", "CompleteMultipartUpload", "InvalidRequest", _TESTS)
def _no_parts(call: Call) -> str:
    return "" if (call.parameters.get("MultipartUpload") or {}).get("Parts") else "You must specify at least one part"


@recorded("s3", "CompleteMultipartUpload", "InvalidPartOrder", _TESTS)
def _parts_out_of_order(call: Call) -> str:
    numbers = [int(part["PartNumber"]) for part in (call.parameters.get("MultipartUpload") or {}).get("Parts") or ()]
    if numbers == sorted(numbers):
        return ""
    return "The list of parts was not in ascending order. Parts must be ordered by part number."


@recorded("s3", "DeleteObject GetObject", "InvalidArgument", _API_TESTS)
def _odd_version(call: Call) -> str:
    """One that no version can have; one that none has, or none any more, is another matter."""
    version = parameter(call, "VersionId")
    if not version or version == "null" or call.parameters["Bucket"] not in _buckets(call):
        return ""
    return "" if _VERSION.fullmatch(version) else "Invalid version id specified"


@recorded("s3", "ListObjectVersions", "InvalidArgument", "s3/test_s3_list_operations.py")
def _version_without_a_key(call: Call) -> str:
    if parameter(call, "VersionIdMarker") and not call.parameters.get("KeyMarker"):
        return "A version-id marker cannot be specified without a key marker."
    return ""


def _buckets(call: Call) -> Any:
    return backend_of("s3", call.account, "aws").buckets


def _rules(call: Call) -> Iterable[Mapping[str, Any]]:
    return (call.parameters.get("LifecycleConfiguration") or {}).get("Rules") or ()


def _key_in_use(call: Call) -> Any:
    key = parameter(call, "SSEKMSKeyId")
    if not key and "Body" not in call.parameters:
        bucket = _buckets(call).get(call.parameters["Bucket"])
        found = bucket.keys.get(call.parameters["Key"]) if bucket is not None else None
        key = vars(found).get("kms_key_id") or "" if found is not None else ""
    return _key(call, key) if key else None


def _key(call: Call, name: str) -> Any:
    if name.startswith("arn:") and name.split(":")[3] != call.region:
        return None
    kms = backend_of("kms", call.account, call.region)
    key = kms.any_id_to_key_id(name)
    return kms.keys.get(key)
