"""`[lock]`: what is not named, and what is named wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivr.errors import ConfigError
from ivr.lock.actions import ACTIONS
from ivr.lock.lock import FIELDS
from tests.unit.database_kit import settings_in


def test_every_field_and_action_has_its_level_and_nothing_else_has(tmp_path: Path) -> None:
    rules = settings_in(tmp_path).lock
    assert tuple(type(rules.fields).model_fields) == FIELDS
    assert tuple(type(rules.actions).model_fields) == tuple(ACTIONS)


def test_what_is_named_is_changed_and_nothing_else(tmp_path: Path) -> None:
    rules = settings_in(tmp_path, "[lock.fields]\nphones = 3\n[lock.actions]\nadd_phone = 2\n").lock
    assert (rules.fields.phones, rules.fields.number, rules.actions.add_phone, rules.actions.change_phone) == (
        3,
        2,
        2,
        3,
    )


@pytest.mark.parametrize(
    ("text", "place", "cure"),
    [
        ("[lock.fields]\nphone = 1\n", "[lock.fields] phone: there is no such setting", "Did you mean phones?"),
        ("[lock.fields]\npin = 1\n", "[lock.fields] pin: there is no such setting", "Did you mean has_pin?"),
        ("[lock.actions]\nerase = 1\n", "[lock.actions] erase: there is no such setting", "Here belong: lock, set_language"),
        ("[lock.action]\nlock = 1\n", "[lock] action: there is no such setting", "Did you mean actions?"),
        ("[lock.fields]\nname = 0\n", "[lock.fields] name: Input should be greater than or equal to 1", "The name"),
        ("[lock.fields]\nname = 4\n", "[lock.fields] name: Input should be less than or equal to 3", "The name"),
        ("[lock.reads]\nstop_hour = 5\n", "[lock.reads]: warn_hour is more than stop_hour", "Lower the one, or raise the other"),
        ("[lock.glass]\nopen_minutes = 0\n", "[lock.glass] open_minutes: Input should be", "Minutes that the record is open"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place_and_cure(tmp_path: Path, text: str, place: str, cure: str) -> None:
    with pytest.raises(ConfigError) as error:
        settings_in(tmp_path, text)
    assert place in str(error.value) and cure in str(error.value)
