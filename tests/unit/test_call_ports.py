"""What the heart and those around it tell each other: nothing of a person is shown with it."""

from __future__ import annotations

from ivr.call.ports.eid import Done, EidAsked, Order
from ivr.call.ports.texts import Delivery, Report
from ivr.secret import Personal, Secret

WHO, NONCE, SHOWN, ADDRESS, NAME = "198001011234", "n-0nce", "Example asks", "203.0.113.7", "Anna Andersson"


def test_a_text_has_arrived_or_is_lost_and_never_both() -> None:
    assert {one for one in Delivery if one.arrived} == {Delivery.DELIVERED, Delivery.READ}
    assert {one for one in Delivery if one.lost} == {Delivery.UNDELIVERED, Delivery.FAILED, Delivery.EXPIRED}
    assert not any(one.arrived and one.lost for one in Delivery)


def test_a_report_names_its_text_or_is_none_and_what_can_be_no_code_is_left_out() -> None:
    def of(id: object, code: object = "") -> Report | None:
        return Report.of("http", id, Delivery.FAILED, code)

    assert of("abc-1", "30003") == Report("http", "abc-1", Delivery.FAILED, "30003")
    for code in ("a b", "x\n", "<b>", 30003, None):
        assert of("abc-1", code) == Report("http", "abc-1", Delivery.FAILED)
    for none in ("", "a b", "x\n", 17, None):
        assert of(none) is None, none


def test_an_identification_shows_nothing_of_who_is_asked() -> None:
    asked = EidAsked(Secret(WHO), True, SHOWN, NONCE, address=ADDRESS)
    order = Order(Secret("order-1"), asked, 0.0, 300.0, 2.0, link=Secret("bankid:///?x"), qr=lambda _: Secret("drawn"))
    done = Done(Secret(WHO), 3, Secret("signed"), Personal(NAME))
    shown = f"{asked} {order} {done}"
    for kept in (WHO, NONCE, SHOWN, ADDRESS, NAME, "order-1", "bankid", "drawn", "signed"):
        assert kept not in shown
