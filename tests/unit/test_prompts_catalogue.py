"""The words in every language: whole, speakable, and within what a text message costs."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from typing import Any

import pytest

from ivr.prompts import Prompt, about, catalogue, digits, languages, text, wait

LANGUAGES = languages()
# What may not be missing from a text: that the code is told to nobody.
NOBODY = {"en": "Never read it to anyone", "sv": "aldrig upp den för någon", "de": "Niemandem vorlesen", "pl": "nikomu"}
# Who called whom, and what to do where nobody did: a fraudster on a second line says otherwise.
CALL = {
    "en": ("your call to us now", "Not calling us? Please tell us."),
    "sv": ("ditt samtal till oss", "Ringer du inte nu? Hör av dig."),
    "de": ("Ihren Anruf bei uns", "Sie rufen nicht an? Bitte melden."),
    "pl": ("dzwonia Panstwo do nas", "Nie dzwonia Panstwo? Prosze o kontakt."),
}

# That the person has called us; that we have called.
DIRECTION = {
    "en": ("You called us", "We called you"),
    "sv": ("Du ringde oss", "Vi ringde dig"),
    "de": ("Sie riefen uns an", "Wir riefen Sie an"),
    "pl": ("Dzwonia Panstwo do nas", "Dzwonimy do Panstwa"),
}

# What to do where we have not called.
CALLED = {
    "en": "Not called? Please tell us.",
    "sv": "Har vi inte ringt? Hör av dig.",
    "de": "Kein Anruf von uns? Bitte melden.",
    "pl": "Nie dzwonimy? Prosze o kontakt.",
}

# GSM 03.38: one septet each; those of the second, two. With any other character a segment has 70, and no longer 160.
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_TWO = frozenset("^{}\\[~]|€")


def raw(language: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("ivr.prompts").joinpath(f"{language}.toml").read_text(encoding="utf-8"))


def septets(message: str) -> int:
    assert not set(message) - GSM - GSM_TWO, "costs more than twice as much"
    return sum(2 if letter in GSM_TWO else 1 for letter in message)


def test_there_are_four() -> None:
    assert LANGUAGES == ("de", "en", "pl", "sv")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_whole(language: str) -> None:
    words, english = raw(language), raw("en")
    assert set(words) == {"voice", "prompts", "spoken", "texts", "about", "phrases"}
    assert list(words["prompts"]) == [prompt.value for prompt in Prompt]
    assert set(words["texts"]) == set(english["texts"])
    assert list(words["about"]) == list(english["about"])
    for table in ("prompts", "texts", "spoken", "about"):
        assert all(said == said.strip() != "" for said in words[table].values())
    for said in (words["voice"], *words["phrases"].values()):
        assert said == said.strip() != ""
    for name, message in words["texts"].items():
        assert sorted(re.findall(r"\{\w*\}", message)) == sorted(re.findall(r"\{\w*\}", english["texts"][name]))
    assert not [said for said in words["prompts"].values() if "{" in said]


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_nothing_was_left_in_english(language: str) -> None:
    words, english = catalogue(language), catalogue("en")
    same = [prompt for prompt, said in words.prompts.items() if said == english.prompts[prompt]]
    # the same word in both
    assert same == ([Prompt.DIGIT_0] if language == "pl" else [])


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_digit_has_a_word_of_its_own(language: str) -> None:
    prompts = catalogue(language).prompts
    assert len({prompts[prompt] for prompt in digits("0123456789")}) == 10
    for other in ("1a", "1 2", "٣", "-1"):
        with pytest.raises(ValueError, match="digit-"):
            digits(other)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_spoken_is_written_out(language: str) -> None:
    """A number in digits, or letters that stand for words, are each voice's own guess."""
    words = catalogue(language)
    for said in words.prompts.values():
        short = set(re.findall(r"\d+|\b[A-ZĄĆĘŁŃÓŚŹŻÅÄÖÜ]{2,}\b", said)) - set(words.spoken)
        assert short <= ({"SMS"} if language == "de" else set()), said
    for written in words.spoken:
        assert any(re.search(rf"\b{re.escape(written)}\b", said) for said in words.prompts.values()), written


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_wait_has_words_of_its_own(language: str) -> None:
    prompts = catalogue(language).prompts
    waits = [prompt for prompt in Prompt if prompt.value.startswith("in-")]
    assert len({prompts[prompt] for prompt in waits}) == len(waits)
    for seconds in (1, 61, 3600, 7 * 3600, 10**6):
        assert wait(seconds) in waits


def test_polish_counts_as_polish_does() -> None:
    """Two to four, also at the end of a greater number, are otherwise than five and more."""
    for prompt in Prompt:
        if found := re.fullmatch(r"in-(\d+)-(minute|hour)s?", prompt.value):
            number = int(found[1])
            forms = ("minutę", "minuty", "minut") if found[2] == "minute" else ("godzinę", "godziny", "godzin")
            place = 0 if number == 1 else 1 if number % 10 in (2, 3, 4) and number // 10 != 1 else 2
            assert catalogue("pl").prompts[prompt].endswith(f" {forms[place]}."), prompt


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("says to be you", "If that is not you, press star.")),
        ("sv", ("säger sig vara du", "Om det inte är du, tryck stjärna.")),
        ("de", ("gibt sich als Sie aus", "Sind Sie es nicht, drücken Sie Stern.")),
        ("pl", ("podaje się za Państwa", "Jeśli to nie Państwo, proszę nacisnąć gwiazdkę.")),
    ],
)
def test_the_call_that_tells_a_code_says_for_whom(language: str, words: tuple[str, ...]) -> None:
    """Before any key is asked for that tells it: whoever answers may not be who is talking with us."""
    said = catalogue(language).prompts[Prompt.PRESS_FOR_CODE]
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["sms_code", "sms_code_outbound"])
def test_the_text_with_a_code_is_one_message(language: str, name: str) -> None:
    message = text(name, language, company="A Company of Twenty.", code="123456")
    assert message.startswith("A Company of Twenty.: ")
    said = CALL[language] if name == "sms_code" else (DIRECTION[language][1], CALLED[language])
    assert all(words in message for words in (NOBODY[language], *said))
    # it can be picked out of the text, by a person and by a telephone
    assert "123456" in message.split()
    assert septets(message) <= 160
    longest = text(name, language, company="A" * 40, code="1" * 10)
    assert septets(longest) <= 2 * 153


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["proof_inbound", "proof_outbound", "proof_code_inbound", "proof_code_outbound"])
def test_the_text_of_a_proof_is_one_message(language: str, name: str) -> None:
    """With a name and a department as they mostly are, of the alphabet of text messages, and whatever it is about."""
    for told in catalogue(language).about.values():
        message = text(
            name, language, company="Example Telecom", who="Alexandra, Support", about=told, code="12345678",
            site="id.example.com", link=f"https://id.example.com/p/{'x' * 22}",
        )  # fmt: skip
        assert septets(message) <= 160, (len(message), message)
        assert "{" not in message and told in message


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_text_of_a_proof_says_who_has_called_whom(language: str) -> None:
    """A victim who was called by somebody else reads that they have called us, and that is not so."""
    for kind in ("proof", "proof_code"):
        called, calling = (text(f"{kind}_{way}", language, company="A") for way in ("inbound", "outbound"))
        assert DIRECTION[language][0] in called and DIRECTION[language][0] not in calling
        assert DIRECTION[language][1] in calling and DIRECTION[language][1] not in called


@pytest.mark.parametrize("name", ["phone_changed", "sim_replaced"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_text_of_a_change_is_one_message(language: str, name: str) -> None:
    assert septets(text(name, language, company="A Company of Twenty.")) <= 160


def test_a_language_without_a_catalogue_is_written_to_in_english() -> None:
    assert text("sms_code", "fi", company="Example") == text("sms_code", "en", company="Example")
    assert about("invoice", "fi") == about("invoice", "en") != about("invoice", "sv")
    with pytest.raises(KeyError):
        catalogue("fi")
