# SPDX-License-Identifier: Apache-2.0
"""What PublishDossier leaves of a verdict: three signed statements, the record that names them, the report."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from containers.evidence import statements
from containers.evidence.envelope import digest, seal
from containers.evidence.signing import signer
from containers.evidence.statements import Resource

FLOOR = "f" * 64
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:mapgate-dev-publish-dossier"
REPORT = b"""<html><dl>
<div data-row="approval" hidden><dd data-slot="approval"></dd></div>
<div data-row="serving" hidden><dd data-slot="serving"></dd></div>
</dl></html>"""


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """PublishDossier's rights: the signing key, the prefix of evidence and the table of records."""

    s3: Any
    kms: Any
    table: Any
    bucket: str
    endpoint_name: str
    key_arn: str

    def publish(
        self,
        *,
        version: int,
        arn: str,
        execution_arn: str,
        evaluation_uri: str,
        evaluation: bytes,
        model_uri: str,
        model_sha256: str,
        image: str,
        image_digest: str,
        champion_arn: str = "none",
        best_arn: str = "none",
        floor: str = FLOOR,
        passed: bool = True,
        **changes: Any,
    ) -> dict[str, Any]:
        """Sign and record a verdict; `changes` are of the record, of which runtime and precision are signed, too."""
        record = {
            "EndpointName": self.endpoint_name,
            "Record": f"verdict#{version:06d}",
            "Version": version,
            "ModelPackageArn": arn,
            "PipelineExecutionArn": execution_arn,
            "EvaluationUri": evaluation_uri,
            "EvaluationSha256": hashlib.sha256(evaluation).hexdigest(),
            "ModelUri": model_uri,
            "ModelSha256": model_sha256,
            "Image": image,
            "ImageDigest": image_digest,
            "FloorPolicySha256": floor,
            "GatePolicySha256": "",
            "TestSet": "e" * 64,
            "DatasetSha256": "c" * 64,
            "ChampionArn": champion_arn,
            "BestArn": best_arn,
            "Waiver": "",
            "MeanAP": Decimal("0.7"),
            "Runtime": changes.get("Runtime", "openvino"),
            "Precision": changes.get("Precision", "f32"),
            "StatementUri": f"s3://{self.bucket}/evidence/v{version:06d}/verdict.json",
            "PublishedAt": "2026-11-30T13:00:00Z",
            "Revision": 1,
        }
        record |= {"StatementSha256": self._sign(record, passed=passed)} | changes
        self.table.put_item(Item=record)
        self.s3.put_object(Bucket=self.bucket, Key=f"evidence/v{version:06d}/report.html", Body=REPORT)
        return record

    def _sign(self, record: dict[str, Any], *, passed: bool) -> str:
        """Sign what a record says, and return the digest of the verdict's envelope."""
        version, execution_arn = record["Version"], record["PipelineExecutionArn"]
        model = Resource(uri=record["ModelUri"], sha256=record["ModelSha256"])
        document = Resource(uri=f"s3://{self.bucket}/metadata/dataset.json", sha256="d" * 64)
        opening = statements.dataset(document=document, content_sha256=record["DatasetSha256"], facts={})
        made = statements.provenance(
            model=model,
            execution_arn=execution_arn,
            started_by="arn:aws:sts::123456789012:assumed-role/scientists/jo",
            started_at="2026-11-30T12:00:00Z",
            description="more night images",
            parameters={},
            pipeline_arn=execution_arn.partition("/execution/")[0],
            builder=FUNCTION,
            training_image=Resource(uri="training:tag", sha256="7" * 64),
            dataset_document=document,
            previous=self.put(version, "dataset", opening),
        )
        floor = record["FloorPolicySha256"]
        policy = f"s3://{self.bucket}/defaults/gate-policy/{floor}/gate_policy.yaml"
        judged = statements.verdict(
            model=model,
            version=version,
            model_package_arn=record["ModelPackageArn"],
            execution_arn=execution_arn,
            evaluation=Resource(uri=record["EvaluationUri"], sha256=record["EvaluationSha256"]),
            floor_policy=Resource(uri=policy, sha256=floor),
            gate_policy=None,
            image=Resource(uri=record["Image"], sha256=record["ImageDigest"]),
            test_set=record["TestSet"],
            dataset_sha256=record["DatasetSha256"],
            champion_arn=record["ChampionArn"],
            best_arn=record["BestArn"],
            waiver=record["Waiver"],
            passed=passed,
            sentence="good",
            mean_ap=float(record["MeanAP"]),
            runtime=record["Runtime"],
            precision=record["Precision"],
            verifier=FUNCTION,
            verified_at=record["PublishedAt"],
            previous=self.put(version, "provenance", made),
        )
        return self.put(version, "verdict", judged)

    def put(
        self, version: int, name: str, statement: dict[str, Any], *, key_arn: str | None = None, again: bool = False
    ) -> str:
        """Sign a statement, write it, over what is there only as a forger would, and return its digest."""
        key = key_arn or self.key_arn
        envelope = seal(statement, signer(self.kms, key), key)
        place = {"Bucket": self.bucket, "Key": f"evidence/v{version:06d}/{name}.json"}
        self.s3.put_object(**place, Body=envelope, **({} if key_arn or again else {"IfNoneMatch": "*"}))
        return digest(envelope)
