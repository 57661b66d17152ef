# SPDX-License-Identifier: Apache-2.0
"""Which permissions a request to S3 needs, by its method, its path and its query.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#require-sse-kms
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from localcloud.authorisation.deployed import bucket_named
from localcloud.authorisation.needs import Need, use_key
from localcloud.dispatch import S3Request

COPIED = "x-amz-copy-source"
ENCRYPTION = "x-amz-server-side-encryption"
_BUCKET_READS = {
    "acl": "s3:GetBucketAcl",
    "encryption": "s3:GetEncryptionConfiguration",
    "lifecycle": "s3:GetLifecycleConfiguration",
    "location": "s3:GetBucketLocation",
    "logging": "s3:GetBucketLogging",
    "policy": "s3:GetBucketPolicy",
    "tagging": "s3:GetBucketTagging",
    "uploads": "s3:ListBucketMultipartUploads",
    "versioning": "s3:GetBucketVersioning",
    "versions": "s3:ListBucketVersions",
}
_BUCKET_WRITES = {
    "encryption": "s3:PutEncryptionConfiguration",
    "lifecycle": "s3:PutLifecycleConfiguration",
    "logging": "s3:PutBucketLogging",
    "policy": "s3:PutBucketPolicy",
    "tagging": "s3:PutBucketTagging",
    "versioning": "s3:PutBucketVersioning",
}
_DELETED = re.compile(r"<Object>(.*?)</Object>", re.DOTALL)


def needs_of(request: S3Request) -> list[Need] | None:
    """What a request needs; None for one that is not known here."""
    if not request.bucket:
        return [Need("s3:ListAllMyBuckets")]
    return _bucket_needs(request) if not request.key else _object_needs(request)


def _bucket_needs(request: S3Request) -> list[Need] | None:
    query, arn = request.query, request.bucket_arn
    if request.method == "POST" and "delete" in query:
        return _deletions(request)
    if request.method in ("GET", "HEAD"):
        told = {f"s3:{name}": query[name] for name in ("prefix", "delimiter", "max-keys") if name in query}
        action = next((action for name, action in _BUCKET_READS.items() if name in query), "s3:ListBucket")
        return [Need(action, arn, told)]
    if request.method == "PUT":
        action = next((action for name, action in _BUCKET_WRITES.items() if name in query), "")
        return [Need(action or "s3:CreateBucket", arn)] if action or not query else None
    if request.method == "DELETE" and not query:
        return [Need("s3:DeleteBucket", arn)]
    return None


def _deletions(request: S3Request) -> list[Need]:
    """AWS refuses the single object, here the request is refused as a whole."""
    needs = []
    for text in _DELETED.findall(request.body.decode()):
        key = re.search(r"<Key>(.*?)</Key>", text, re.DOTALL)
        action = "s3:DeleteObjectVersion" if "<VersionId>" in text else "s3:DeleteObject"
        needs.append(Need(action, f"{request.bucket_arn}/{unescaped(key[1]) if key else ''}"))
    return needs


def _object_needs(request: S3Request) -> list[Need] | None:
    query, arn = request.query, request.object_arn
    version = "Version" if query.get("versionId") else ""
    if request.method in ("GET", "HEAD"):
        if "uploadId" in query:
            return [Need("s3:ListMultipartUploadParts", arn)]
        if "tagging" in query:
            return [Need(f"s3:GetObject{version}Tagging", arn)]
        return [Need(f"s3:GetObject{version}", arn), *_decryption(request, request.bucket, request.key)]
    if request.method == "DELETE":
        return [Need("s3:AbortMultipartUpload" if "uploadId" in query else f"s3:DeleteObject{version}", arn)]
    if request.method in ("PUT", "POST") and "tagging" not in query and "acl" not in query:
        return _writing(request)
    return None


def _writing(request: S3Request) -> list[Need]:
    """What a write needs; the headers that make it conditional are condition keys.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    """
    told = {f"s3:{name}": request.headers[name] for name in _WRITE_KEYS if request.headers.get(name)}
    told["s3:ObjectCreationOperation"] = "true" if _creates_object(request) else "false"
    needs = [Need("s3:PutObject", request.object_arn, told)]
    if request.headers.get(COPIED):
        place, _, version = request.headers[COPIED].partition("?")
        bucket, _, key = unquote(place).lstrip("/").partition("/")
        action = "s3:GetObjectVersion" if version.startswith("versionId=") else "s3:GetObject"
        needs += [Need(action, f"arn:aws:s3:::{bucket}/{key}"), *_decryption(request, bucket, key)]
    # Parts are decrypted when they are put together.
    in_parts = "uploadId" in request.query or "uploads" in request.query
    actions = ("GenerateDataKey", "Decrypt") if in_parts else ("GenerateDataKey",)
    return [*needs, *use_key(_encryption_key(request), request.account, request.region, "s3", *actions)]


def _creates_object(request: S3Request) -> bool:
    """Whether an object is there afterwards: not when an upload in parts begins, nor for a part of it."""
    if "uploads" in request.query:
        return False
    return request.method == "POST" or "uploadId" not in request.query


def _encryption_key(request: S3Request) -> str | None:
    """The key by which an object will be encrypted: the request's, or the bucket's."""
    asked = request.headers.get(ENCRYPTION)
    if asked:
        return (request.headers.get(_KEY_ID) or _default_key(request.bucket)) if asked.startswith("aws:kms") else None
    return _default_key(request.bucket)


def _default_key(bucket: str) -> str | None:
    found = bucket_named(bucket)
    rule = ((found.encryption or {}).get("Rule") or {}) if found else {}
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    return default.get("KMSMasterKeyID") if str(default.get("SSEAlgorithm", "")).startswith("aws:kms") else None


def _decryption(request: S3Request, bucket: str, key: str) -> list[Need]:
    """To read an object is to decrypt it, by the key that it was encrypted with."""
    found = bucket_named(bucket)
    stored = found.keys.get(key) if found else None
    encryption = str(getattr(stored, "encryption", None) or "")  # a delete marker has none
    key_id = stored.kms_key_id if stored is not None and encryption.startswith("aws:kms") else None
    return use_key(key_id, request.account, request.region, "s3", "Decrypt")


def unescaped(text: str) -> str:
    """XML's five entities as characters."""
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text


_KEY_ID = f"{ENCRYPTION}-aws-kms-key-id"
_WRITE_KEYS = (ENCRYPTION, _KEY_ID, COPIED, "if-match", "if-none-match")
