"""The public page over HTTP: what it shows to whom, what changes nothing, and how often anybody may ask."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape

import aiohttp
import pytest
from yarl import URL

from ivr.call.proof import Keyed, Stage
from ivr.page import routes
from ivr.secret import Secret
from ivr.store.opened import new_link
from ivr.store.posted import PostBox
from tests.contract.live_server import Server
from tests.contract.page_kit import DIGITS, SHOWN, House, at, page, proof
from tests.contract.test_page_store import contents

pytestmark = pytest.mark.servers

BOTS = (
    "WhatsApp/2.23.20.0",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
)


@pytest.fixture
async def house(server: Server) -> AsyncIterator[House]:
    async with page(server, 'timezone = "Europe/Stockholm"\nper_address_minute = 10000\n') as made:
        yield made


# ---------------------------------------------------------------- the way of a proof


async def test_from_the_link_to_the_confirmation(house: House) -> None:
    one, link = await house.both.begin()
    first = await house.ask(at(link))
    assert first.status == 200
    assert "Show who it is" in first.text
    for hidden in ("Agda", "Customer service", "green canoe", "invoice"):
        assert hidden not in first.text
    who = await house.open(link)
    for shown in (
        "Agda, Case handler",
        "Customer service",
        "Your invoice",
        "green canoe",
        "We called you at 16:13, on +46…67",
    ):
        assert shown in unescape(who.text)
    assert await house.stage(one) == Stage.OPENED
    wrong = await house.key(link, "000000")
    assert wrong.status == 422
    assert "You can try 2 more times" in wrong.text
    assert "green canoe" in wrong.text
    right = await house.key(link, "481 650")
    assert right.status == 200
    assert "You are talking with us" in right.text
    assert await house.stage(one) == Stage.CONFIRMED


async def test_whoever_gets_the_link_of_a_confirmed_call_is_told_nothing_of_their_own(house: House) -> None:
    """A fraudster confirms a proof to himself, and sends its link to somebody whom he then calls in our name."""
    for number, said in (
        ("+46…67", "The call at 16:13 with +46…67 was confirmed"),
        ("", "The call at 16:13 was confirmed"),
    ):
        one, link = await house.both.begin(proof(shown=replace(SHOWN, number=number)))
        await house.open(link)
        assert "You are talking with us" in (await house.key(link, "481650")).text
        for answer in (
            await house.ask(at(link)),
            await house.open(link),
            await house.key(link, "481650"),
            await house.key(link, "000000"),
        ):
            text = unescape(answer.text)
            assert said in text
            assert "somebody is using our name" in text
            assert f'action="{at(link, "/deny")}"' in text
            for hidden in ("talking with us", "Agda", "green canoe", "Case handler", "invoice"):
                assert hidden not in text
        assert await house.stage(one) == Stage.CONFIRMED


async def test_the_page_says_who_called_whom(house: House) -> None:
    for outbound, number, said in (
        (True, "+46…67", "We called you at 16:13, on +46…67"),
        (False, "+46…67", "You called us at 16:13, from +46…67"),
        (False, "", "You called us at 16:13, with your number hidden"),
        (True, "", "We called you at 16:13"),
    ):
        one, link = await house.both.begin(proof(shown=replace(SHOWN, outbound=outbound, number=number)))
        text = unescape((await house.open(link)).text)
        assert said in text
        other = "If you called somebody instead" if outbound else "If somebody called you instead"
        assert f"{other}, that is not us" in text
        await house.both.pages.end(one.id, Stage.EXPIRED)


async def test_a_denial_tells_what_to_do(house: House) -> None:
    one, link = await house.both.begin()
    told = await house.deny(link)
    assert "Hang up now" in told.text
    assert "call your bank" in told.text
    assert await house.stage(one) == Stage.DENIED
    assert "Hang up now" in (await house.ask(at(link))).text
    assert "Hang up now" in (await house.key(link, "481650")).text
    assert await house.stage(one) == Stage.DENIED


async def test_a_denial_that_comes_late_tells_what_to_do_all_the_same(house: House) -> None:
    one, link = await house.both.begin()
    await house.both.pages.end(one.id, Stage.EXPIRED)
    over = await house.ask(at(link))
    assert "This is over" in over.text
    assert f'action="{at(link, "/deny")}"' in over.text
    assert await house.both.pages.due() == []
    for _ in range(2):
        told = await house.deny(link)
        assert "Hang up now" in told.text
        assert "We have raised an alarm" in told.text
    assert await house.both.pages.due() == [replace(one, stage=Stage.DENIED)], "so that there is one"
    assert await house.stage(one) == Stage.EXPIRED


async def test_wrong_digits_three_times(house: House) -> None:
    one, link = await house.both.begin()
    await house.open(link)
    for said in ("2 more times", "You can try once more", "keyed wrongly too many times"):
        assert said in (await house.key(link, "000000")).text
    assert "keyed wrongly too many times" in (await house.key(link, DIGITS.reveal())).text
    assert await house.stage(one) == Stage.WRONG


@pytest.mark.parametrize("text", ["", "48165", "4816500", "abcdef", "４８１６５０", "481650\x00", "-481650-1"])
async def test_what_is_no_guess_costs_no_try(house: House, text: str) -> None:
    one, link = await house.both.begin()
    await house.open(link)
    answer = await house.key(link, text)
    assert answer.status == 422
    assert "Key the 6 digits that you hear" in answer.text
    seen = await house.both.store.look(link)
    assert seen is not None
    assert (seen.left, seen.stage) == (3, Stage.OPENED)
    assert one.id == seen.id


async def test_digits_before_it_was_opened_confirm_nothing(house: House) -> None:
    one, link = await house.both.begin()
    assert "Show who it is" in (await house.key(link, DIGITS.reveal())).text
    assert await house.stage(one) == Stage.ASKED


async def test_digits_to_be_keyed_on_the_phone_are_shown_and_not_taken(house: House) -> None:
    one, link = await house.both.begin(proof(keyed=Keyed.PHONE))
    assert DIGITS.reveal() not in (await house.ask(at(link))).text
    who = await house.open(link)
    assert DIGITS.reveal() in who.text
    assert 'name="digits"' not in who.text
    await house.key(link, DIGITS.reveal())
    assert await house.stage(one) == Stage.OPENED


async def test_an_expired_one_shows_no_name(house: House, server: Server) -> None:
    _, link = await house.both.begin()
    await house.open(link)
    server.pass_time(301)
    for answer in (await house.ask(at(link)), await house.open(link), await house.key(link, DIGITS.reveal())):
        assert "This is over" in answer.text
        assert "Agda" not in answer.text


async def test_a_link_that_nobody_has(house: House) -> None:
    for path in (at(new_link()), "/p/x", "/p/" + "a" * 64):
        for answer in (await house.ask(path), await house.ask(path + "/open", "POST", form={})):
            assert answer.status == 404
            assert "This link leads nowhere" in answer.text


async def test_a_short_code_shows_who_it_is(house: House) -> None:
    one, _ = await house.both.begin(code=Secret("12345678"))
    assert "Code from the message" in (await house.ask("/")).text
    assert await house.stage(one) == Stage.ASKED
    wrong = await house.ask("/code", "POST", form={"code": "87654321"})
    assert wrong.status == 422
    assert "We know no such code" in wrong.text
    shown = await house.ask("/code", "POST", form={"code": "1234 5678"})
    assert "green canoe" in shown.text
    assert await house.stage(one) == Stage.OPENED
    found = re.search(r'action="/p/([\w-]{22})/confirm"', shown.text)
    assert found is not None
    await house.key(Secret(found[1]), DIGITS.reveal())
    assert await house.stage(one) == Stage.CONFIRMED


# ---------------------------------------------------------------- what changes nothing


async def test_opening_changes_nothing_by_any_route(house: House, server: Server) -> None:
    """Previews and scanners ask for all that they find in a message, and on the page behind it; twice, and by other methods."""
    one, link = await house.both.begin(code=Secret("12345678"))
    before = without_paces(server)
    for agent in BOTS:
        for _ in range(2):
            for method in ("GET", "HEAD", "OPTIONS", "PROPFIND", "PUT", "DELETE"):
                todo, seen = {at(link), at(link) + "?x=1", "/", "/code?code=12345678"}, set[str]()
                while todo:
                    path = todo.pop()
                    seen.add(path)
                    answer = await house.ask(path, method, User_Agent=agent, Purpose="prefetch")
                    assert answer.status in (200, 404, 405)
                    assert "Agda" not in answer.text
                    todo |= set(re.findall(r'(?:href|src|action)="([^"]+)"', answer.text)) - seen
                assert method != "GET" or at(link, "/deny") in seen
    assert without_paces(server) == before
    assert await house.stage(one) == Stage.ASKED


@pytest.mark.parametrize("path", sorted(routes.METHODS))
async def test_every_route_by_every_other_method(house: House, server: Server, path: str) -> None:
    one, link = await house.both.begin()
    await house.both.store.opened(link)
    before = without_paces(server)
    at_path = path.replace("{link}", link.reveal()).replace("{way}", "elks").replace("{secret}", "s")
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"):
        if method != "POST" or "POST" not in routes.METHODS[path]:
            answer = await house.ask(at_path, method)
            expected = method in routes.METHODS[path]
            assert (answer.status != 405) is expected, method
            if not expected:
                assert set(answer.headers["Allow"].split(", ")) == routes.METHODS[path]
    assert without_paces(server) == before
    assert await house.stage(one) == Stage.OPENED


async def test_a_form_of_another_kind_changes_nothing(house: House) -> None:
    one, link = await house.both.begin()
    await house.both.store.opened(link)
    url = f"{house.url}{at(link, '/confirm')}"
    for data, kind in (
        (b'{"digits":"481650"}', "application/json"),
        (b"digits=481650", "text/plain"),
        (b"digits=481650", "application/x-www-form-urlencoded; charset=utf-16"),
        (b"digits=481650&a=1&b=2&c=3&d=4", "application/x-www-form-urlencoded"),
        (b"digits=%ff481650", "application/x-www-form-urlencoded"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"digits=481650&" + b"x" * 2000, "application/x-www-form-urlencoded"),
    ):
        async with house.browser.post(url, data=data, headers={"Content-Type": kind}) as answer:
            assert answer.status in (400, 413, 415), (kind, answer.status)
    assert await house.stage(one) == Stage.OPENED

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    async with house.browser.post(
        url, data=slowly(), headers={"Content-Type": "application/x-www-form-urlencoded"}
    ) as answer:
        assert answer.status == 413


async def test_who_has_a_code_is_not_told_of_a_link_and_the_other_way_round(house: House) -> None:
    _, link = await house.both.begin()
    for path, said in (
        ("/code", "key the code from our message again"),
        (at(link, "/confirm"), "open the link from there"),
    ):
        for answer in (
            await house.ask(path, "POST", Content_Type="text/plain"),
            await house.ask(path, "PUT"),
        ):
            assert answer.status in (405, 415)
            for sentence in ("key the code from our message again", "open the link from there"):
                assert (sentence in answer.text) is (sentence == said), path


# ---------------------------------------------------------------- headers, words, traces


async def test_headers_of_every_answer(house: House) -> None:
    _, link = await house.both.begin()
    for path, method in (
        (at(link), "GET"), (at(link), "HEAD"), (at(link, "/open"), "POST"), (at(link, "/deny"), "POST"), ("/", "GET"),
        ("/nowhere", "GET"), (at(link), "PUT"), ("/logo", "GET"), ("/healthz", "GET"), ("/in/elks/x", "POST"), ("/code", "POST"),
    ):  # fmt: skip
        answer = await house.ask(path, method)
        headers = answer.headers
        assert headers["Cache-Control"] == "no-store", path
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Robots-Tag"] == "noindex"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Server"] == "page"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        for part in ("form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'", "img-src 'self'"):
            assert part in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert "Set-Cookie" not in headers
        assert "<script" not in answer.text
        assert not re.search(r"https?://", answer.text), "nothing of another site"


async def test_it_is_small(house: House) -> None:
    _, link = await house.both.begin()
    for answer in (
        await house.ask(at(link)),
        await house.open(link),
        await house.key(link, "000000"),
        await house.deny(link),
    ):
        assert len(answer.text.encode()) < 30_000, "with its style and everything"


async def test_the_language_is_that_of_the_message_else_the_browsers(house: House) -> None:
    _, link = await house.both.begin(proof(shown=replace(SHOWN, language="sv")))
    swedish = await house.ask(at(link), Accept_Language="de")
    assert '<html lang="sv">' in swedish.text
    assert swedish.headers["Content-Language"] == "sv"
    assert '<html lang="de">' in (await house.ask("/", Accept_Language="de-AT,en;q=0.5")).text
    assert '<html lang="pl">' in (await house.ask(at(new_link()), Accept_Language="pl")).text
    assert '<html lang="en">' in (await house.ask("/", Accept_Language="ja")).text


async def test_no_token_in_logs_or_redis(house: House, server: Server) -> None:
    _, link = await house.both.begin(code=Secret("12345678"))
    await house.ask(at(link))
    await house.ask(at(link) + "?digits=481650")
    await house.open(link)
    await house.key(link, "000000")
    await house.key(link, DIGITS.reveal())
    await house.deny(link)
    await house.ask("/code", "POST", form={"code": "12345678"})
    await house.ask(f"/p/{link.reveal()}x")
    await house.ask(f"/nowhere/{link.reveal()}")
    await house.ask("/in/elks/canary-secret", "POST", form={"to": "+46701234567"})
    told = repr(house.log.lines) + repr(contents(server))
    assert house.log.of("page.request")
    for text in (
        link.reveal(),
        DIGITS.reveal(),
        "000000",
        "12345678",
        "canary-secret",
        "46701234567",
        "Agda",
        "green canoe",
        "127.0.0.1",
    ):
        assert text not in told, text


async def test_what_is_filled_in_is_text(house: House) -> None:
    evil = "</style><script>alert(1)</script>\"'{{7*7}}"
    _, link = await house.both.begin(
        proof(shown=replace(SHOWN, agent=evil, title=evil, department=evil, about=evil, number=evil, phrase=evil))
    )
    for answer in (await house.open(link), await house.key(link, "000000"), await house.key(link, DIGITS.reveal())):
        assert "<script" not in answer.text
        assert "&lt;/style&gt;&lt;script&gt;" in answer.text


# ---------------------------------------------------------------- who, and how often


async def test_another_host_is_told_nothing(house: House) -> None:
    _, link = await house.both.begin()
    answer = await house.ask(at(link), Host="evil.example.com")
    assert answer.status == 421
    assert (await house.ask("/healthz", Host="10.0.0.1:80")).status == 200


async def test_too_many_of_one_address_wait(server: Server) -> None:
    proxies = 'allow_proxies = ["127.0.0.1"]\n'
    async with page(server, f"{proxies}per_address_minute = 50\n") as house:
        _, link = await house.both.begin()

        async def statuses(address: str, count: int, method: str = "GET", path: str = "") -> list[int]:
            return [(await house.ask(at(link) + path, method, X_Forwarded_For=address)).status for _ in range(count)]

        assert await statuses("203.0.113.1", 7) == [200] * 5 + [429] * 2
        assert await statuses("203.0.113.2", 1) == [200]
        # of IPv6 a home is one
        assert await statuses("2001:db8::1", 5) == [200] * 5
        assert await statuses("2001:db8::2", 1) == [429]
        assert await statuses("2001:db8:0:1::2", 1) == [200]
        waits = await house.ask(at(link), X_Forwarded_For="203.0.113.1")
        assert int(waits.headers["Retry-After"]) >= 1
        assert "Too many have asked at once" in waits.text
        assert house.log.of("page.paced")[0]["peer"] == "203.0.113.*"
        server.pass_time(60)
        assert await statuses("203.0.113.1", 1) == [200]


async def test_less_may_be_sent_from_one_address_than_looked_at(server: Server) -> None:
    async with page(server, "per_address_minute = 100\n") as house:
        _, link = await house.both.begin()
        assert [(await house.open(link)).status for _ in range(6)] == [200] * 5 + [429]
        assert (await house.ask(at(link))).status == 200


async def test_who_has_a_whole_site_of_ipv6_has_no_more_than_eight_addresses(server: Server) -> None:
    proxies = 'allow_proxies = ["127.0.0.1"]\n'
    async with page(server, f"{proxies}per_address_minute = 50\n") as house:

        async def first_refused(address: str) -> int:
            for n in range(1, 100):
                if (await house.ask("/", X_Forwarded_For=address.format(n))).status == 429:
                    return n
            return 100

        # one after the other, so that some of it has grown again meanwhile
        assert 15 <= await first_refused("2001:db8:0:{:x}::1") < 30, "of a /56"
        assert 20 <= await first_refused("2001:db8:0:{:x}00::1") < 60, "of a /48"
        assert (await house.ask("/", X_Forwarded_For="2001:db8:1::1")).status == 200


async def test_too_many_of_all_wait(server: Server) -> None:
    async with page(server, 'allow_proxies = ["127.0.0.1"]\nper_minute = 100\n') as house:
        asked = [(await house.ask("/", X_Forwarded_For=f"203.0.113.{n}")).status for n in range(12)]
        assert asked == [200] * 10 + [429] * 2


async def test_too_many_reports_of_all_wait_and_keep_nobody_from_the_page(server: Server) -> None:
    async with page(server, 'allow_proxies = ["127.0.0.1"]\nreports_per_minute = 100\n') as house:
        asked = [
            (await house.ask("/in/elks/s", "POST", form={}, X_Forwarded_For=f"203.0.113.{n}")).status for n in range(12)
        ]
        assert asked == [204] * 10 + [429] * 2
        assert (await house.ask("/", X_Forwarded_For="203.0.113.99")).status == 200


async def test_too_many_addresses_and_codes_wait(server: Server) -> None:
    """Whoever guesses codes: from one address few, from many not many more, and the right one is not looked at any more."""
    # what else an address may send is no limit here
    lines = (
        'allow_proxies = ["127.0.0.1"]\nper_address_minute = 10000\ncodes_of_one_per_hour = 50\ncodes_per_hour = 80\n'
    )
    async with page(server, lines) as house:
        await house.both.begin(code=Secret("12345678"))

        async def key(address: str, code: str) -> int:
            return (await house.ask("/code", "POST", form={"code": code}, X_Forwarded_For=address)).status

        assert [await key("203.0.113.1", f"{n:08}") for n in range(6)] == [422] * 5 + [429]
        assert [await key(f"203.0.113.{n}", f"{n:08}") for n in range(2, 6)] == [422] * 3 + [429]
        assert await key("203.0.113.9", "12345678") == 429
        assert (
            "Too many codes"
            in (await house.ask("/code", "POST", form={"code": "12345678"}, X_Forwarded_For="203.0.113.8")).text
        )
        server.pass_time(3600)
        await house.both.begin(proof(channel="1712.6", subject="main:bo"), code=Secret("12345678"))
        assert await key("203.0.113.9", "12345678") == 200


async def test_a_browser_that_says_it_comes_by_a_proxy_does_not(house: House) -> None:
    await house.ask("/", X_Forwarded_For="203.0.113.77")
    assert house.log.of("page.request")[-1]["peer"] == "127.0.0.*"


async def test_what_is_no_http(house: House) -> None:
    host, port = house.url.removeprefix("http://").split(":")
    for sent in (
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        assert b"nonsense" not in answer
        assert b"default-src 'none'" in answer
        writer.close()


async def test_one_address_holds_so_many_connections(server: Server) -> None:
    async with page(server, "connections = 10\nconnections_of_one = 3\n") as house:
        host, port = house.url.removeprefix("http://").split(":")
        held = [socket.create_connection((host, int(port))) for _ in range(3)]
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as other, other.get(house.url):
                pass
        for one in held:
            one.close()


# ---------------------------------------------------------------- where something is away


async def test_without_redis_nothing_is_shown_and_it_is_not_ready(house: House, server: Server) -> None:
    _, link = await house.both.begin()
    assert (await house.ask("/readyz")).status == 200
    server.kill()
    answer = await house.ask(at(link))
    assert answer.status == 503
    assert "We cannot show it just now" in answer.text
    assert (await house.open(link)).status == 503
    assert house.log.of("page.unavailable")
    assert (await house.ask("/healthz")).status == 200
    assert (await house.ask("/readyz")).status in (200, 503)


# ---------------------------------------------------------------- what gateways send


async def test_what_a_gateway_sends_is_passed_on_unread(house: House) -> None:
    box = PostBox(house.both.links[0], house.both.prefix, house.both.key)
    headers = {"X-Twilio-Signature": "GvWf1cFY/Q7PnoempGyD5oXAezc=", "X-Other": "no", "Cookie": "no"}
    async with house.browser.post(
        f"{house.url}/in/twilio/a-secret?x=1", data={"MessageSid": "SM1", "To": "+46701234567"}, headers=headers
    ) as answer:
        assert answer.status == 204
    posted = await box.take()
    assert posted is not None
    assert (posted.way, posted.secret, posted.path) == ("twilio", Secret("a-secret"), Secret("/in/twilio/a-secret?x=1"))
    assert posted.body == Secret("MessageSid=SM1&To=%2B46701234567")
    assert posted.headers == {
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": "GvWf1cFY/Q7PnoempGyD5oXAezc=",
    }


async def test_a_header_that_is_no_text_is_passed_on_as_one(house: House) -> None:
    box = PostBox(house.both.links[0], house.both.prefix, house.both.key)
    url = URL(house.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"POST /in/twilio/a-secret HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic \xff\r\nContent-Length: 1\r\n\r\nx"
        % url.authority.encode()
    )
    assert b" 204 " in await reader.readline()
    writer.close()
    posted = await box.take()
    assert posted is not None and posted.headers == {"authorization": "Basic ?"}


async def test_what_is_too_long_or_goes_nowhere_is_not_passed_on(house: House) -> None:
    for path, body, status in (
        ("/in/twilio/a-secret", b"x" * 8193, 413),
        ("/in/twilio/a-secret", b"x" * 8192, 204),
        ("/in/twilio/a-secret", b"\x00" * 8192, 413),
        ("/in/twilio/a-secret", b"\xff" * 8192, 400),
        (f"/in/twilio/a-secret?{'x' * 1024}", b"", 413),
        ("/in/twilio", b"", 404),
        ("/in/twilio/a/b", b"", 404),
        ("/in/TWILIO/%2e%2e", b"", 404),
    ):
        async with house.browser.post(f"{house.url}{path}", data=body) as answer:
            assert answer.status == status, path
    box = PostBox(house.both.links[0], house.both.prefix, house.both.key, seconds=0.1)
    assert await box.take() is not None
    assert await box.take() is None


async def test_a_header_that_is_too_long_is_not_passed_on(house: House, server: Server) -> None:
    for length, status in ((513, 413), (512, 204)):
        async with house.browser.post(
            f"{house.url}/in/twilio/a-secret", data=b"", headers={"X-Twilio-Signature": "x" * length}
        ) as answer:
            assert answer.status == status
    assert server.client.llen("tillit:page:in") == 1


async def test_a_flood_takes_no_more_memory_than_is_said(house: House, server: Server) -> None:
    """The longest that is taken, as often as it is: nobody has to be anybody for that."""
    async with house.browser.post(f"{house.url}/in/twilio/a-secret", data=b"x" * 8192) as answer:
        assert answer.status == 204
    (longest,) = server.client.lrange("tillit:page:in", 0, -1)
    assert len(longest) <= 16 * 1024


async def test_where_nobody_takes_them_the_gateway_is_told_to_come_again(house: House, server: Server) -> None:
    server.client.rpush("tillit:page:in", *("x" for _ in range(500)))
    server.client.pexpire("tillit:page:in", 60_000)
    assert (await house.ask("/in/elks/s", "POST", form={})).status == 503


def without_paces(server: Server) -> dict[str, object]:
    """All that Redis holds, but for how often somebody has asked."""
    return {name: held for name, held in contents(server).items() if ":page:pace:" not in name}
