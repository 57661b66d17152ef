# SPDX-License-Identifier: Apache-2.0
"""Our keys are checked to the letter, and nobody else's is touched."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_src.detections import FURTHER_OUTPUTS
from inference_src.errors import RequestError
from inference_src.protocols import custom_attributes
from inference_src.protocols.custom_attributes import Attributes, check_classes, read_attributes

LABELS = ["vehicle", "Traffic light", "a|b,c:d"]


def test_every_key_is_read() -> None:
    text = (
        "mapgate-threshold=0.4,mapgate-class-thresholds=vehicle:0.25|Traffic%20light:1,mapgate-max-detections=5,"
        "mapgate-classes=vehicle|Traffic%20light|a%7Cb%2Cc%3Ad,mapgate-tiles=3x2"
    )
    attributes = read_attributes(text)
    assert attributes == Attributes(
        text,
        threshold=0.4,
        class_thresholds={"vehicle": 0.25, "Traffic light": 1.0},
        max_detections=5,
        classes=("vehicle", "Traffic light", "a|b,c:d"),
        tiles=(3, 2),
    )
    check_classes(attributes, LABELS)


def test_further_outputs_are_asked_for_by_their_names() -> None:
    text = "mapgate-outputs=detection_anchor_indices|detection_multiclass_scores"
    assert read_attributes(text).outputs == ("detection_anchor_indices", "detection_multiclass_scores")


@given(text=st.text(string.printable[:95], max_size=1024).filter(lambda text: "mapgate" not in text.lower()))
def test_what_is_not_ours_is_passed_back_unchanged(text: str) -> None:
    assert read_attributes(text) == Attributes(text)


def test_what_was_applied_stands_among_what_is_not_ours() -> None:
    text = " trace = 1 , mapgate-threshold = .5 ,tfs-model-name=a, mapgateway=2,mapgate-tiles=2x1"
    attributes = read_attributes(text)
    assert attributes.text == " trace = 1 ,mapgate-threshold=.5,tfs-model-name=a, mapgateway=2,mapgate-tiles=2x1"
    assert (attributes.threshold, attributes.tiles) == (0.5, (2, 1))


@pytest.mark.parametrize("value", ["0,c000b4f9-df62-4c85", "0.4,x", "1,,", "0, "])
def test_an_opaque_value_may_follow_ours(value: str) -> None:
    """SageMaker's own example of an attribute is an identifier without a name."""
    assert read_attributes(f"mapgate-threshold={value}").text == f"mapgate-threshold={value}"
    check_classes(read_attributes(f"mapgate-classes=vehicle,{value}"), LABELS)


@pytest.mark.parametrize("header", [None, ""])
def test_without_the_header_nothing_is_asked_for(header: str | None) -> None:
    assert read_attributes(header) == Attributes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mapgate-treshold=0.4", "did you mean mapgate-threshold?"),
        ("mapgate-class-threshold=a:1", "did you mean mapgate-class-thresholds?"),
        ("mapgate_threshold=0.4", "did you mean mapgate-threshold?"),
        ("Mapgate-Threshold=0.4", "did you mean mapgate-threshold?"),
        ("mapgate-tile=2x2", "did you mean mapgate-tiles?"),
        ("mapgate-colour=red", "mapgate-colour: there is no such key"),
        ("mapgate-=1", "there is no such key"),
        ("mapgate-threshold", "mapgate-threshold=: give a number from 0 to 1"),
        ("mapgate-threshold=40%", "mapgate-threshold=40%: give a number"),
        ("mapgate-threshold=1.1", "give a number from 0 to 1"),
        ("mapgate-threshold=-0.1", "give a number from 0 to 1"),
        ("mapgate-threshold=nan", "give a number from 0 to 1"),
        ("mapgate-threshold=1e-1", "give a number from 0 to 1"),
        ("mapgate-threshold=0.4,mapgate-threshold=0.5", "stands twice"),
        ("mapgate-class-thresholds=0.4", "give each class once"),
        ("mapgate-class-thresholds=a:0.4|a:0.5", "give each class once"),
        ("mapgate-class-thresholds=a:2", "mapgate-class-thresholds=2: give a number"),
        ("mapgate-max-detections=0", "give a whole number above 0"),
        ("mapgate-max-detections=1.5", "give a whole number above 0"),
        ("mapgate-max-detections=" + "9" * 20, "give a whole number above 0"),
        ("mapgate-classes=", "give different names"),
        ("mapgate-classes=a||b", "give different names"),
        ("mapgate-classes=a|a", "give different names"),
        ("mapgate-classes=caf%C3%A9|cafe%CC%81", "give different names"),
        ("mapgate-class-thresholds=%20:0.5", "give each class once"),
        ("mapgate-tiles=3", "give columns x rows"),
        ("mapgate-tiles=0x2", "give columns x rows"),
        ("mapgate-tiles=1x1", "2 to 16 windows"),
        ("mapgate-tiles=5x5", "2 to 16 windows"),
        ("mapgate-outputs=raw_detection_boxes", "megabytes an image and not given here; run the SavedModel for it"),
        ("mapgate-outputs=detection_anchor_index", "did you mean detection_anchor_indices?"),
        ("mapgate-outputs=masks", "there are detection_anchor_indices and detection_multiclass_scores"),
        ("mapgate-outputs=detection_anchor_indices,mapgate-tiles=2x2", "leave out mapgate-tiles"),
        ("mapgate-threshold=0,4", "mapgate-threshold=0,4: no comma stands in it"),
        ("trace=1,mapgate-max-detections=1,000,b=2", "mapgate-max-detections=1,000: no comma stands in it"),
        (
            "mapgate-outputs=detection_anchor_indices,detection_multiclass_scores",
            "mapgate-outputs=detection_anchor_indices,detection_multiclass_scores: no comma stands in it",
        ),
        ("trace=1;mapgate-threshold=0.4", "mapgate-threshold stands within trace=1;mapgate-threshold=0.4: give"),
        ('{"mapgate-threshold": 0.4}', 'mapgate-threshold stands within {"mapgate-threshold": 0.4}: give key=value'),
        ("a&mapgate_tiles =2x2", "mapgate_tiles stands within"),
        ("a" * 1025, "at most 1024 visible ASCII characters"),
        ("café", "visible ASCII"),
        ("a\tb", "visible ASCII"),
    ],
)
def test_what_is_wrong_is_400_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_attributes(text)
    assert refused.value.status == 400
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mapgate-classes=vehicles", "no class 'vehicles'; did you mean vehicle?"),
        ("mapgate-classes=traffic-light", "did you mean Traffic light?"),
        ("mapgate-class-thresholds=VEHICLE:0.1", "did you mean vehicle?"),
        ("mapgate-classes=xyz", "it has vehicle, Traffic light"),
        ("mapgate-classes=vehicle,Traffic light", "mapgate-classes=vehicle,Traffic light: no comma stands in it"),
        ("mapgate-classes=vehicle, Traffic%20light,b=1", "no comma stands in it; names stand between |"),
        ("mapgate-class-thresholds=vehicle:0.1,traffic light:0.2", "no comma stands in it; names stand between |"),
    ],
)
def test_a_class_that_the_model_has_not_is_400(text: str, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        check_classes(read_attributes(text), LABELS)
    assert refused.value.status == 400
    assert said in str(refused.value)


@pytest.mark.parametrize("asked", ["caf%C3%A9%20bar", "cafe%CC%81%20bar", "caf%C3%A9%20%20bar"])
@pytest.mark.parametrize("written", ["caf\u00e9 bar", "cafe\u0301 bar"])
def test_a_class_is_known_however_unicode_writes_it(asked: str, written: str) -> None:
    """A label map of an earlier release may hold either."""
    attributes = read_attributes(f"mapgate-classes={asked},mapgate-class-thresholds={asked}:0.5")
    check_classes(attributes, [written])
    assert attributes.classes == ("caf\u00e9 bar",)
    assert attributes.class_thresholds == {"caf\u00e9 bar": 0.5}


def test_every_key_and_output_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "serving.md").read_text()
    for name in (*custom_attributes.KEYS, *FURTHER_OUTPUTS):
        assert f"`{name}" in page or f"|{name}`" in page, name
