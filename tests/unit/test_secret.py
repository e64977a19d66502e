"""A secret cannot be shown, stored, hashed or compared by accident, whatever one does to it."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import marshal
import pickle
import pprint
import reprlib
import string
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ivr.call.digits import Entered
from ivr.call.ports import Caller, Key, Subject
from ivr.secret import Personal, Secret

CANARY = "canary-13579"
KINDS = [Secret, Personal]

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@dataclasses.dataclass
class Holder:
    value: Secret


SHOWN: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": lambda secret: format(secret, ">20"),
    "f-string": lambda secret: f"{secret} {secret!r} {secret!s:>30} {secret:^40}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 (what is tested)
    "str.format": lambda secret: "{} {0!r}".replace("{}", "{0}").format(secret),
    "Template": lambda secret: string.Template("$a").substitute(a=secret),
    "pprint": lambda secret: pprint.pformat({"a": [secret]}),
    "reprlib": lambda secret: reprlib.repr([secret]),
    "containers": lambda secret: repr([secret]) + repr((secret,)) + repr({"a": secret}) + str({"b": {"c": secret}}),
    "dataclass": lambda secret: repr(Holder(secret)) + repr(Entered(secret, full=True)) + repr(Key(secret, 1.0)),
    "dir": lambda secret: repr(dir(secret)),
    "json default": lambda secret: json.dumps({"a": secret}, default=str),
    "orjson default": lambda secret: orjson.dumps({"a": secret}, default=str),
    "length": len,
}


@each_kind
@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_no_way_of_showing_it_shows_it(kind: type[Secret], show: Callable[[Secret], object]) -> None:
    assert "13579" not in str(show(kind(CANARY)))


@each_kind
def test_what_is_shown_instead(kind: type[Secret]) -> None:
    secret = kind(CANARY)
    assert repr(secret) == str(secret) == f"{secret}" == f"{secret:>99}" == f"<{kind.__name__}>"


def test_a_subject_and_a_caller_show_nothing_of_the_person() -> None:
    subject = Subject(key="k", known=True, name=Personal(CANARY), mobile=Personal(CANARY))
    caller = Caller("channel", "node", Personal(CANARY), "en", "main")
    assert CANARY not in repr(subject) + repr(caller)


STORED: dict[str, Callable[[Any], object]] = {
    "pickle": pickle.dumps,
    "old pickle": lambda secret: pickle.dumps(secret, protocol=0),
    "newest pickle": lambda secret: pickle.dumps([{"a": secret}], protocol=pickle.HIGHEST_PROTOCOL),
    "copy": copy.copy,
    "deepcopy": lambda secret: copy.deepcopy({"a": [secret]}),
    "reduce": lambda secret: secret.__reduce__(),
    "asdict": lambda secret: dataclasses.asdict(Holder(secret)),
    "marshal": marshal.dumps,
    "json": json.dumps,
    "orjson": orjson.dumps,
    "vars": vars,
    "hash": hash,
    "key": lambda secret: {secret: 1},
    "set": lambda secret: {secret},
    "counter": lambda secret: Counter([secret]),
    "iteration": list,
    "index": lambda secret: secret[0],
    "concatenation": lambda secret: secret + "",
    "join": lambda secret: "".join([secret]),
    "bytes": bytes,
    "int": int,
    "encode": lambda secret: secret.encode(),
    "attribute": lambda secret: secret._Secret__words,
    "new attribute": lambda secret: setattr(secret, "copy", "x"),
    "order": lambda secret: secret < secret,
    "contains": lambda secret: "1" in secret,
}


@each_kind
@pytest.mark.parametrize("store", STORED.values(), ids=STORED)
def test_no_way_of_storing_or_taking_it_apart_works_and_the_error_tells_nothing(
    kind: type[Secret], store: Callable[[Any], object]
) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError, orjson.JSONEncodeError)) as caught:
        store(kind(CANARY))
    assert "13579" not in "".join(traceback.format_exception(caught.value))


@each_kind
def test_the_error_of_a_forbidden_copy_says_what_was_forbidden(kind: type[Secret]) -> None:
    with pytest.raises(TypeError, match=f"^a {kind.__name__} cannot be stored$"):
        pickle.dumps(kind(CANARY))


@each_kind
def test_no_log_shows_it(kind: type[Secret]) -> None:
    stream = io.StringIO()
    logger = logging.getLogger(f"{__name__}.{kind.__name__}")
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(stream))
    secret = kind(CANARY)
    logger.warning("keyed %s", secret)
    logger.warning(secret)
    try:
        raise ValueError(secret)
    except ValueError:
        logger.exception("with %r", {"a": secret})
    for renderer in (structlog.processors.JSONRenderer(default=str), structlog.dev.ConsoleRenderer(), structlog.processors.KeyValueRenderer()):  # fmt: skip
        log = structlog.wrap_logger(
            structlog.PrintLogger(stream), processors=[structlog.processors.format_exc_info, renderer]
        )
        log.info("keyed", digits=secret, more=[secret])
    assert "keyed" in stream.getvalue()
    assert "13579" not in stream.getvalue()


@each_kind
def test_no_exception_shows_it(kind: type[Secret]) -> None:
    secret = kind(CANARY)
    try:
        try:
            raise KeyError(secret)
        except KeyError as error:
            error.add_note(f"while {secret}")
            raise RuntimeError("a", secret) from error
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "<" + kind.__name__ + ">" in shown
    assert "13579" not in shown


def test_it_keeps_nothing_in_a_dictionary() -> None:
    assert not hasattr(Secret(CANARY), "__dict__")
    assert not hasattr(Personal(CANARY), "__dict__")


# ---------------------------------------------------------------- comparing

texts = st.text(max_size=20)


@given(texts, texts)
def test_equal_are_those_of_equal_texts(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert (Secret(one) != Secret(other)) == (one != other)


@given(texts)
def test_a_text_is_never_equal_to_a_secret(text: str) -> None:
    secret: object = Secret(text)
    assert secret != text
    assert text != secret
    assert secret != text.encode()
    assert secret != [text]


def test_a_person_is_compared_like_a_secret() -> None:
    assert Personal("a") == Personal("a") != Personal("b")
    assert Secret("a") == Personal("a")


@given(texts)
def test_the_text_comes_out_as_it_went_in(text: str) -> None:
    assert Secret(text).reveal() == text
    assert len(Secret(text)) == len(text)
    assert bool(Secret(text)) == bool(text)


# ---------------------------------------------------------------- making


@given(st.lists(texts))
def test_joined_in_their_order(parts: list[str]) -> None:
    joined = Secret.join(Secret(part) for part in parts)
    assert joined.reveal() == "".join(parts)


@each_kind
def test_what_is_made_of_a_kind_is_of_that_kind(kind: type[Secret]) -> None:
    assert type(kind.join([kind("1"), kind("2")])) is kind
    assert type(kind.random_digits(6)) is kind
    assert type(kind.random_token()) is kind
    assert type(kind("x").within("a {x}", "{x}")) is kind


def test_random_digits() -> None:
    codes = [Secret.random_digits(6).reveal() for _ in range(2000)]
    assert all(len(code) == 6 and set(code) <= set(string.digits) for code in codes)
    assert len(set(codes)) > 1980
    counts = Counter("".join(codes))
    assert set(counts) == set(string.digits)
    # 1200 each on average, 33 the deviation: eight of those are out of reach
    assert all(940 < count < 1460 for count in counts.values())
    assert Secret.random_digits(0).reveal() == ""


def test_a_token_is_long_and_is_nothing_that_can_be_keyed() -> None:
    tokens = {Secret.random_token().reveal() for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {64}
    assert max(len(token) for token in tokens) > 20, "longer than anything that is ever keyed"


def test_within_a_template() -> None:
    assert Secret("123456").within("Acme: {code} and {code}", "{code}").reveal() == "Acme: 123456 and 123456"
    assert Secret("{code}").within("{code}", "{code}").reveal() == "{code}"
    assert Secret("1").within("no place", "{code}").reveal() == "no place"


@pytest.mark.parametrize("key", list("0123456789"))
def test_a_digit(key: str) -> None:
    assert Secret(key).is_digit()


@pytest.mark.parametrize("key", ["", "12", "*", "#", "A", " ", "-1", "٣", "²", "½"])
def test_no_digit(key: str) -> None:
    assert not Secret(key).is_digit()


# ---------------------------------------------------------------- persons


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+46701740601", "+46…01"),
        ("123456789", "123…89"),
        ("12345678", "1…"),
        ("Anna Andersson", "A…"),
        ("123456", "1…"),
        ("Anna", "A…"),
        ("A", "A…"),
        ("", "…"),
    ],
)
def test_masked(text: str, masked: str) -> None:
    assert Personal(text).masked == masked


@given(st.text("+0123456789", min_size=2, max_size=30))
def test_masked_never_tells_the_whole(text: str) -> None:
    masked = Personal(text).masked
    assert len(masked) <= 6
    assert len(masked.replace("…", "")) <= max(1, len(text) - 2)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Anna Maria Andersson", "Anna A."),
        ("Anna Andersson", "Anna A."),
        ("Anna", "Anna"),
        (" Anna   Andersson ", "Anna A."),
        ("Åsa Öberg", "Åsa Ö."),
        ("", ""),
        ("   ", ""),
    ],
)
def test_short(name: str, short: str) -> None:
    made = Personal(name).short
    assert isinstance(made, Personal)
    assert made.reveal() == short
