"""What the desk's pages say, in each language: nothing is missing, nothing is left over, and it is the language that was asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ivr import web
from ivr.call.dial import DialStage
from ivr.call.outcome import Status
from ivr.call.proof import Stage, Way
from ivr.lock import FIELDS, OF_KIND, Direction, Held, Kind, Reason, State, Why
from ivr.prompts import languages as spoken
from ivr.staff import Role
from ivr.store.credentials import OWN
from ivr.store.identities import OIDC
from ivr.store.welcome import Unfit
from ivr.vault.password import Weak
from ivr.web import staffmodels, trailmodels
from ivr.web.problems import STATUSES
from ivr.web.proofview import MENDED, SPOKEN
from ivr.web.words import chosen, languages, words

HERE = Path(web.__file__).parent


def test_the_languages_are_those_of_the_callers() -> None:
    assert languages() == spoken() == ("de", "en", "pl", "sv")


@pytest.mark.parametrize("language", ["de", "pl", "sv"])
def test_a_language_says_all_that_english_says(language: str) -> None:
    english, other = words("en").texts, words(language).texts
    assert set(other) == set(english)
    for name, text in other.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", english[name])), name
        assert text.strip() == text and text, name


def test_every_sentence_is_used_and_every_one_that_is_used_is_there() -> None:
    code = "".join(file.read_text() for file in (*HERE.glob("*.py"), *HERE.glob("templates/*.html")))
    used = set(re.findall(r"words\(\s*['\"]([a-z_]+\.[a-z_]+)['\"]", code))
    used |= {f"reason.{name}" for name in STATUSES} | {
        f"method.{name}"
        for name in ("pin", "sms_code", "sms_link", "totp", "bankid", "freja", "ciba", "customer_number", "and")
    }
    used |= {f"desk.{state}" for state in State} | {
        f"desk.{state}_help" for state in State if state is not State.VERIFIED
    }
    used |= {f"desk.ended_{status}" for status in Status if status is not Status.VERIFIED}
    used |= {f"fault.{name}" for name in ("differ", Unfit.CODE, Unfit.PASSKEY, *Weak)}
    used |= {f"sign_in.{name}" for name in ("ended", "signed_out", "welcome_done", "welcome_passkey")}
    used |= {f"sign_in.{name}" for name in ("refused", "refused_passkey")}
    used |= {f"account.{name}" for name in ("added", "removed", "renamed", "last", "failed")}
    used |= {
        f"provider.{name}"
        for name in ("going", "go", "done", "on", "failed", "unknown", "down", "over", "leaving", "no_exit")
    }
    used |= {f"desk.{direction}" for direction in Direction} | {f"field.{name}" for name in FIELDS}
    used |= {f"openings.fault_{name}" for name in ("ref", "reason", "fields")}
    used |= {f"openings.{name}" for name in ("open", "waiting")} | {
        f"record.{name}" for name in ("yes", "no", "nothing")
    }
    used |= {f"team.lock_{kind}" for kind in Held}
    used |= {f"kind.{kind}" for kind in Kind}
    used |= {f"event.{action.replace('.', '_')}" for actions in OF_KIND.values() for action in actions}
    used |= {f"trail.fault_{name}" for name in (*trailmodels.QUERY, "query")}
    used |= {"page.reads", "trail.title_reads", "trail.none", "trail.older"}
    used |= {f"staff.way_{way}" for way in (*OWN, OIDC, "link")} | {
        f"staff.done_{act}" for act in ("disable", "enable", "reset")
    }
    used |= {f"staff.fault_{name}" for name in (*staffmodels.QUERY, "query")}
    used |= {f"role.{role}" for role in Role} | {"staff.active"}
    used |= {f"proof.{stage}{rest}" for stage in Stage for rest in ("", "_help")} | {f"proof.way_{way}" for way in Way}
    used |= {f"proof.spoken_{stage}{rest}" for stage in (*SPOKEN, "closed") for rest in ("", "_help")}
    used |= {f"proof.back_{stage}{rest}" for stage in ("identifying", "known", "refused") for rest in ("", "_help")}
    used |= {f"dial.{stage}{rest}" for stage in DialStage if stage is not DialStage.ANSWERED for rest in ("", "_help")}
    used |= {f"proof.speech_{speech}" for speech in MENDED} | {
        f"team.alarm_{stage}" for stage in (Stage.DENIED, Stage.WRONG)
    }
    outcomes = {name for name in words("en").texts if name.startswith("outcome.")}
    assert outcomes >= {f"outcome.{name}" for name in (*Status, *Why, *re.findall(r'outcome="(\w+)"', _lock()))}
    used |= outcomes
    assert set(words("en").texts) == used


def _lock() -> str:
    return "".join(file.read_text() for file in HERE.parent.glob("lock/*.py"))


def test_every_reason_of_the_lock_has_a_status() -> None:
    of_another = {Reason.NO_SUCH_VALUE, Reason.TOO_MANY_WISHES, Reason.NOT_OPEN}
    assert {reason.value for reason in Reason if reason not in of_another} <= set(STATUSES)


@pytest.mark.parametrize(
    ("own", "accepted", "company", "language"),
    [
        ("pl", "sv", "de", "pl"),
        (None, "sv-SE,sv;q=0.9,en;q=0.8", None, "sv"),
        (None, "fr, de;q=0.5, pl;q=0.7", None, "pl"),
        (None, "en;q=0, de-AT;q=0.1", None, "de"),
        (None, "fr", "de", "de"),
        (None, "", "sv", "sv"),
        (None, "*", None, "en"),
        ("xx", "yy", "zz", "en"),
        (None, ";;;q=,sv;q=2," + "a" * 10_000, None, "en"),
        (None, ",".join(["fr"] * 30) + ",sv", None, "en"),
    ],
)
def test_whose_language_it_is(own: str | None, accepted: str, company: str | None, language: str) -> None:
    assert chosen(own, accepted, company).language == language


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    assert words("en")("desk.last", when="{when} {login}") == "Last signed in: {when} {login}"
