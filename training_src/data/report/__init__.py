# SPDX-License-Identifier: Apache-2.0
"""report.html of a data set: what is in it, and what is wrong with it.

The contract of whoever collects:

    content = ReportContent(description, Collected(...), samples, faults, ...)
    description |= figures(content.collected)     # the page's numbers, for dataset.json
    write_report(path, content)
"""

from training_src.data.report.content import (
    AnchorLevel,
    Anchors,
    BoxArrays,
    Collected,
    FaultPicture,
    ReportContent,
    Sample,
)

__all__ = ["AnchorLevel", "Anchors", "BoxArrays", "Collected", "FaultPicture", "ReportContent", "Sample"]
