# SPDX-License-Identifier: Apache-2.0
"""report.html of a data set: what is in it, and what is wrong with it.

The contract of whoever collects:

    content = ReportContent(description, Collected(...), samples, faults, ...)
    description |= figures(content.collected)     # the page's numbers, for dataset.json
    write_report(path, content)
"""

from training_src.data.report.anchors import read_anchors
from training_src.data.report.content import (
    AnchorLevel,
    Anchors,
    BoxArrays,
    Collected,
    FaultPicture,
    ReportContent,
    Sample,
)
from training_src.data.report.figures import figures
from training_src.data.report.page import render, write_report

__all__ = [
    "AnchorLevel",
    "Anchors",
    "BoxArrays",
    "Collected",
    "FaultPicture",
    "ReportContent",
    "Sample",
    "figures",
    "read_anchors",
    "render",
    "write_report",
]
