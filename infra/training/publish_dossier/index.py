# SPDX-License-Identifier: Apache-2.0
"""PublishDossier: pin what was judged, sign it, and show it on the registered version."""

from __future__ import annotations

import json
import os
from typing import Any

from dossier.publishing import publish
from dossier.settings import Inputs, Settings


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Answer the Lambda step.

    Args:
        event: The step's inputs, as `Inputs` has them.
        context: Lambda's, which knows the function's ARN.

    Returns:
        Where the report lies.

    Raises:
        DossierError: What was judged is not what is there, or the verdict cannot be written.
    """
    inputs = Inputs.read(event)
    published = publish(inputs, Settings.read(os.environ, context.invoked_function_arn))
    print(json.dumps({"version": inputs.model_package_arn, "verdict": published.statement_sha256}), flush=True)
    return {"ReportUri": published.report_uri}
