"""However a server reads an address, it reads no customer in it whom the proxy has not seen there."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ivr.config import Proxy
from ivr.proxy import pairs
from ivr.proxy.rules import NOBODY, Named, Rules
from ivr.proxy.target import Ambiguous, folded, read
from ivr.web.problems import Problem

PROXY = Proxy.model_validate(
    {
        "others": "pass",
        "free": ["/api/customers/new", "/assets/**"],
        "patterns": {
            "customer": {"path": "/api/customers/{number}"},
            "orders": {"path": "/api/orders", "query": ["customer"], "parameters": ["q"]},
        },
    }
)
RULES = Rules(PROXY, digits=(4, 12))
OWN = Named("number", "10001")

# ---------------------------------------------------------------- how servers read a path

Step = Callable[[str], str]


def _unicode_escapes(path: str) -> str:
    return re.sub(r"%u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), path)


STEPS: dict[str, Step] = {
    "decode": lambda path: unquote(path, errors="replace"),
    "decode latin-1": lambda path: unquote(path, encoding="latin-1"),
    "decode overlong": lambda path: re.sub(r"(?i)%c0%af", "/", re.sub(r"(?i)%c0%ae", ".", path)),
    "decode %u": _unicode_escapes,
    "plus": lambda path: path.replace("+", " "),
    "parameters": lambda path: re.sub(r";[^/]*", "", path),
    "backslash": lambda path: path.replace("\\", "/"),
    "merge": lambda path: re.sub(r"/+", "/", path),
    "dots": lambda path: posixpath.normpath(path) if path.startswith("/") else path,
    "no case": lambda path: path.lower(),
    "upper": lambda path: path.upper().lower(),
    "nfkc": lambda path: unicodedata.normalize("NFKC", path),
    "nul": lambda path: path.partition("\0")[0],
    "query again": lambda path: path.partition("?")[0],
    "fragment": lambda path: path.partition("#")[0],
    "trim": lambda path: "/".join(part.rstrip(". ") if part.strip(".") else part for part in path.split("/")),
    "streams": lambda path: re.sub(r":[^/]*", "", path),
    "trailing slash": lambda path: path.rstrip("/"),
    "spaces": lambda path: "/".join(part.strip() for part in path.split("/")),
    "no control": lambda path: re.sub(r"[\x00-\x1f\x7f]", "", path),
}
PROTECTED = re.compile(r"/api/customers/([^/]+)|/api/orders")

PIECES = (
    "/", "/", "api", "API", "Api", "%61pi", "customers", "CUSTOMERS", "customer%73", "orders", "10001", "10002", "10001", "10002", "new", "NEW",
    "assets", "..", ".", "%2e", "%2E%2e", "..;", "%252e%252e", "%2f", "%2F", "%252f", "%5c", "\\", ";x", ";x=1", "%3b", "%3f", "%23", "%00", "%20", "+",
    "%2b", " ", "%u002f", "%c0%af", "%c0%ae", "%ef%bc%8f", "%ef%bc%8e", "%c4%b1", "%e2%84%aa", "%c5%bf", "%ef%bd%81pi", "\u0131", "%0a", "%09", "%7f", "~1", "::$DATA", ":x",
    "%25", "%2525", "*", "@", "a", "http:", "//", "?", "#", "?q=1",
)  # fmt: skip
paths = st.lists(st.sampled_from(PIECES), max_size=12).map("".join).map(lambda text: "/" + text)
# the way there, with something in it
near = st.tuples(
    st.sampled_from(["/api/customers/10002", "/api/customers/10001", "/api/orders", "/assets/x", "/api/customers/new"]),
    st.integers(0, 22), st.sampled_from(PIECES), st.integers(0, 3),
).map(lambda made: made[0][: made[1]] + made[2] + made[0][made[1] + made[3] :])  # fmt: skip
readings = st.lists(st.sampled_from(sorted(STEPS)), max_size=8)


def customers_in(raw: str, steps: list[str]) -> str | None:
    """The last segment of a path that is protected, as that server reads it; None where it is another path."""
    path = raw.partition("?")[0]
    for step in steps:
        path = STEPS[step](path)
    found = PROTECTED.fullmatch(path)
    return None if found is None else found[1] or ""


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=paths | near, steps=readings)
@example(raw="/api/customers;x/10002", steps=["parameters"])
@example(raw="/assets/..%2f..%2fapi/customers/10002", steps=["decode", "dots"])
@example(raw="/assets/%252e%252e/api/customers/10002", steps=["decode", "decode", "dots"])
@example(raw="/ap\u0131/customers/10002", steps=["upper"])
@example(raw="/ap%c4%b1/customers/10002", steps=["decode", "upper"])
@example(raw="/API/customers/10002", steps=["no case"])
@example(raw="/api/orders:x", steps=["streams"])
@example(raw="/api/orders+", steps=["plus", "spaces"])
@example(raw="/+api/customers%2b/10002", steps=["decode", "plus", "spaces"])
def test_no_reading_finds_a_customer_whom_the_proxy_does_not(raw: str, steps: list[str]) -> None:
    meant = customers_in(raw, steps)
    try:
        target = read(raw)
        protected = RULES.of("GET", target)
        named = None if protected is None else [one for rule in protected.rules for one in rule.named(target)]
    except (Ambiguous, Problem):
        return
    if meant is not None and not (named is None and target.segments == ("api", "customers", "new")):
        assert named is not None, f"read as {meant} behind the proxy, and as nobody by it"
        assert NOBODY in named or {one.text for one in named} == {meant}


# ---------------------------------------------------------------- how servers read a query

NAMES = ("customer", "Customer", "CUSTOMER", "customer[]", "customer%5b%5d", "cust%6fmer", "customer%00", "%20customer", "customer.", "q", "q%26customer", "q%2526customer", "customer[0]", "c\u0131", "_method")  # fmt: skip
VALUES = ("10001", "10002", "1", "", "10001%26customer%3D10002", "10001%2526customer%253D10002", "10001;customer=10002", "10001%3bcustomer=10002", "%31%30%30%30%31", "10001+", "10001%00", "10001#", "x?customer=10002", "%u0031")  # fmt: skip
queries = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["=", "%3d", ""]), st.sampled_from(VALUES)).map("".join), max_size=4
).flatmap(lambda parts: st.sampled_from(["&", "&&", ";", "?", "%26"]).map(lambda by: by.join(parts)))  # fmt: skip


def readings_of(query: str) -> set[str]:
    """Every value that some server takes for the customer's: by any separator, decoding, case, the first or the last."""
    found = set()
    texts = [query]
    for _ in range(4):
        texts.append(unquote(texts[-1].replace("+", " "), errors="replace"))
    for text in texts:
        for separator in ("&", "[&;]", "[&;?#]"):
            for pair in re.split(separator, text):
                name, _, value = pair.partition("=")
                bare = re.split(r"[\[\0]", unquote(name, errors="replace"))[0].strip().lower().replace(".", "_")
                if bare in ("customer", "customer_"):
                    found.add(unquote(value, errors="replace"))
    return found


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(query=queries)
@example(query="customer=10001&q%26customer=10002")
@example(query="customer=10001&q=1%2526customer%253D10002")
def test_no_reading_of_a_query_finds_another_customer(query: str) -> None:
    try:
        target = read(f"/api/orders?{query}")
        protected = RULES.of("GET", target)
        assert protected is not None
        named = [one for rule in protected.rules for one in rule.named(target)]
    except (Ambiguous, Problem):
        return
    if NOBODY not in named:
        assert readings_of(query) == {named[0].text}


def test_what_is_plain_goes_through() -> None:
    for raw in (
        "/",
        "/a/b",
        "/a/b/",
        "/caf%C3%A9/x",
        "/a%20b/c",
        "/a(b)/c,d",
        "/a.b/.well-known",
        "/a?x=1&y=%20z",
        "/a?x[]=1|2",
        "/a+b/@x:1",
        "/%5Bx%5D",
    ):
        assert read(raw).raw == raw
    assert read("/a/b/").segments == ("a", "b")
    assert read("/caf%C3%A9").segments == ("café",)
    assert RULES.of("GET", read("/api/customers/new")) is None
    protected = RULES.of("HEAD", read("/api/customers/10001"))
    assert protected is not None
    assert protected.rules[0].named(read("/api/customers/10001")) == [OWN]


@pytest.mark.parametrize(
    "raw", ["", "a", "*", "http://x/", "//x", "/a//b", "/.", "/..", "/a/../b", "/a;b", "/a\\b", "/%2e", "/%41", "/%", "/%2", "/%25", "/a.", "/a%20", "/ä", "/a?b c", "/a?%"],
)  # fmt: skip
def test_what_is_not_plain_is_refused(raw: str) -> None:
    with pytest.raises(Ambiguous):
        read(raw)


def test_forms_say_no_other_method() -> None:
    pairs.check_form("name=Anna&note=%C3%A5")
    for form in ("_method=DELETE", "a=1&_METHOD=put", "a=1%26_method=x", "x-http-method-override=PUT", "a=%E4"):
        with pytest.raises(Ambiguous):
            pairs.check_form(form)


def test_letters_that_some_do_not_tell_apart_are_one() -> None:
    assert folded("API") == folded("api") == folded("ap\u0131") == folded("ap\u0130") == folded("\uff41pi")
    assert folded("\u212aey") == folded("key")
    assert folded("\u017fet") == folded("set")
