"""Parts of JSON by pointer: found, and taken out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.proxy import pointers
from ivr.proxy.pointers import Levels, Unreadable
from ivr.proxy.target import Ambiguous

DOCUMENT = {
    "name": "Anna", "phones": ["1", "2"], "cards": [{"name": "gold", "number": "4111"}, {"name": "blue", "number": "5222"}],
    "a/b": {"~": 1, "*": 2}, "deep": {"er": {"est": [[{"x": 1}]]}}, "empty": {}, "none": None,
}  # fmt: skip


def left(fields: dict[str, int], level: int, document: Any = DOCUMENT, rest: int = 2) -> Any:
    return Levels.of(fields).covered(document, level, rest)


def test_what_the_level_does_not_cover_is_taken_out() -> None:
    assert left({"/phones": 3}, 2) == {name: value for name, value in DOCUMENT.items() if name != "phones"}
    assert left({"/phones": 3}, 3) == DOCUMENT
    assert left({"/cards/*/number": 3}, 2)["cards"] == [{"name": "gold"}, {"name": "blue"}]
    assert left({"/cards/0": 3}, 2)["cards"] == [{"name": "blue", "number": "5222"}]
    assert left({"/phones/*": 3}, 2)["phones"] == []
    assert left({"/a~1b/~0": 3}, 2)["a/b"] == {"*": 2}
    assert left({"/a~1b/*": 3}, 2)["a/b"] == {}
    assert left({"/deep/er/est/*/*/x": 3}, 2)["deep"] == {"er": {"est": [[{}]]}}
    assert left({"/nothing/there": 3, "/name/of": 3}, 2) == DOCUMENT


def test_the_nearest_pointer_counts_and_the_empty_one_is_all_others() -> None:
    assert left({"": 3, "/name": 1, "/cards/*/name": 2}, 2) == {
        "name": "Anna",
        "cards": [{"name": "gold"}, {"name": "blue"}],
    }
    assert left({"": 3, "/cards": 1, "/cards/*/number": 3}, 2) == {"cards": [{"name": "gold"}, {"name": "blue"}]}
    assert left({"": 3}, 2) is None
    assert left({"": 3}, 2, "a text") is None
    assert left({"/*": 3, "/name": 1}, 2) is not None
    assert "name" not in left({"/*": 3, "/name": 1}, 2)


def test_what_is_found() -> None:
    def found(pointer: str) -> list[Any]:
        return list(pointers.found(DOCUMENT, pointers.parsed(pointer)))

    assert found("/cards/*/number") == ["4111", "5222"]
    assert found("/cards/1/number") == ["5222"]
    assert found("/cards/01/number") == found("/cards/9/number") == found("/cards/-/number") == [None]
    assert found("/cards/*/other") == [None, None]
    assert found("/name/*") == [None]
    assert found("/empty/*") == []
    assert found("") == [DOCUMENT]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=12,
)


def leaves(document: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    match document:
        case dict() if document:
            return {one for name, value in document.items() for one in leaves(value, (*path, name))}
        case list() if document:
            return {one for value in document for one in leaves(value, (*path, "*"))}
        case _:
            return {path}


@given(document=values, pointer=st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3))
def test_nothing_below_a_pointer_is_left_and_nothing_else_is_gone(document: Any, pointer: list[str]) -> None:
    kept = left({"/" + "/".join(pointer): 3}, 2, document)

    def below(leaf: tuple[str, ...]) -> bool:
        # what stands in an array is written with a star above
        return len(leaf) >= len(pointer) and all(want in ("*", have) for want, have in zip(pointer, leaf, strict=False))

    before = {leaf for leaf in leaves(document) if not below(leaf)}
    after = leaves(kept) if kept is not None or document is None else set()
    assert not {leaf for leaf in after if below(leaf) and leaf in leaves(document)}
    assert before <= after | {()} or document in ({}, [])


def test_reading_strictly() -> None:
    assert pointers.read_strictly(b' {"a": [1, 2.5, "\xc3\xa5"], "b": null} ') == {"a": [1, 2.5, "å"], "b": None}
    for twice in (b'{"a": 1, "a": 2}', b'{"a": 1, "A": 2}', b'[{"x": {"id": 1, "\\u0131D": 2}}]', b'{"a\\u0000": 1}'):
        with pytest.raises(Ambiguous):
            pointers.read_strictly(twice)
    for bad in (
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"NaN",
        b"[Infinity]",
        b"{} {}",
        b"{'a': 1}",
        b"[1,]",
        b"//\n1",
        b"[" * 10**5,
        b'"\x00"',
        b"1" * 5000,
    ):
        with pytest.raises(Unreadable):
            pointers.read_strictly(bad)


def test_reading_what_a_server_says() -> None:
    assert pointers.read(orjson.dumps(DOCUMENT)) == DOCUMENT
    for bad in (b"", b"{", b"\xff", b"[" * 10**5):
        with pytest.raises(Unreadable):
            pointers.read(bad)
