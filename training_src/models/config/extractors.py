# SPDX-License-Identifier: Apache-2.0
"""Why a `feature_extractor.type` is refused: of another family, of a network that there is not here, or misspelt."""

from collections.abc import Collection, Mapping

from training_src.models.config import misspelling

# Networks of the API that wait, by what their extractors' names begin with; docs/migration.md has them too.
WAITING: Mapping[str, str] = {
    "embedded_ssd_mobilenet_v1": "embedded MobileNet V1",
    "faster_rcnn_inception_v2": "Inception V2",
    "faster_rcnn_mobilenet_v1": "Faster R-CNN on MobileNet V1",
    "faster_rcnn_nas": "NASNet",
    "faster_rcnn_pnas": "PNASNet",
    "ssd_inception_v2": "Inception V2",
    "ssd_inception_v3": "Inception V3",
    "ssd_mobiledet": "MobileDet",
    "ssd_mobilenet_edgetpu": "MobileNet EdgeTPU",
    "ssd_mobilenet_v1_ppn": "the pooling pyramid on MobileNet V1",
    "ssd_mobilenet_v2_mnasfpn": "MnasFPN",
    "ssd_mobilenet_v3": "MobileNet V3",
    "ssd_pnasnet": "PNASNet",
    "ssd_spaghettinet": "SpaghettiNet",
}
# Fields that stand for a whole network.
WAITING_FIELDS: Mapping[str, str] = {
    "center_net": "CenterNet",
    "context_config": "Context R-CNN",
    "rfcn_box_predictor": "R-FCN",
}


def refusal(given: str, known: Collection[str], family: str) -> str:
    """The way out for an extractor that a family has not; it names no other network than the one that was meant.

    Args:
        given: The type as written.
        known: The family's own types.
        family: `ssd` or `faster_rcnn`.
    """
    for beginning, network in WAITING.items():
        if given.startswith(beginning):
            return not_built(network)
    if meant := misspelling.meant(given, known):
        return f"did you mean {meant!r}?"
    other = next((name for name in ("ssd", "faster_rcnn", "center_net") if given.startswith(f"{name}_")), family)
    if other != family:
        return f"it is one for model.{other}, and this is model.{family}"
    return f"there are {', '.join(map(repr, known))}"


def not_built(network: str) -> str:
    """The way out where a network waits."""
    return f"{network} is not built here; use another architecture"
