# SPDX-License-Identifier: Apache-2.0
"""The settings' text is judged without pydantic just as it is read with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.errors import ConfigurationError
from training_src.training.hyperparameters import Settings, unpacked, wanted
from training_src.training.written_settings import KINDS, settings_faults

written = st.one_of(
    st.integers(-3, 10**6).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(["auto", "on", "off", "loss", "step", "mAP", "True", "FALSE", "yes", "1.0", "1.", "+7", "-0"]),
    st.from_regex(r"[a-z0-9.+-]{1,6}", fullmatch=True),
)


def test_says_of_every_setting_what_it_takes() -> None:
    assert {name: kind.takes for name, kind in KINDS.items()} == {
        name: wanted(Settings, name) for name in Settings.model_fields
    }


@given(st.sampled_from(sorted(KINDS)), written)
def test_finds_the_faults_that_the_training_finds_and_no_other(name: str, value: str) -> None:
    found = settings_faults(f"{name}={value}")
    try:
        Settings.of(unpacked({"settings": f"{name}={value}"}))
    except ConfigurationError as error:
        assert found == [str(error)]
    else:
        assert found == []


def test_tells_every_fault_of_a_text() -> None:
    found = settings_faults("sead=3 seed=many xla=off xla=on")
    assert found == [
        f'TrainingSettings holds "sead=3"; give NAME=VALUE with one of {", ".join(sorted(KINDS))}.',
        'The hyperparameter seed is "many"; give a whole number of 0 or more.',
        "The setting xla is given twice; give it once.",
    ]


@pytest.mark.parametrize("text", ["", "  ", '"seed=18"', "seed=18 early_stopping_patience=5"])
def test_has_nothing_to_say_about_a_text_that_is_right(text: str) -> None:
    assert settings_faults(text) == []
