"""Filters of AMI, and whether they surely keep keys from a user: read here, and by a real Asterisk in tests/e2e."""

FILTERS: dict[str, tuple[tuple[str, ...], bool]] = {
    "none": ((), False),
    "both": (("eventfilter = !Event: DTMF",), True),
    "both, and a comment": (("eventfilter = !Event: DTMF ; keys",), True),
    "both, as an object": (("eventfilter => !Event: DTMF",), True),
    "both, and what follows": (("eventfilter = !Event: DTMF.*",), True),
    "one after the other": (("eventfilter = !Event: DTMFBegin", "eventfilter = !Event: DTMFEnd"), True),
    "either": (("eventfilter = !Event: DTMF(Begin|End)",), True),
    "the class": (("eventfilter = !Privilege: dtmf",), True),
    "both by name": (("eventfilter(action(exclude),name(DTMFBegin)) =", "eventfilter(action(exclude),name(DTMFEnd)) ="), True),
    "the name in its header": (("eventfilter(action(exclude),header(Event),method(starts_with)) = DTMF",), True),
    "anywhere": (("eventfilter(action(exclude),method(contains)) = Event: DTMF",), True),
    "includes another": (("eventfilter(action(include),name(QueueMemberStatus)) =",), True),
    "includes another, and no action": (("eventfilter(name(QueueMemberStatus)) =",), True),
    "includes others": (("eventfilter = Event: QueueMember.*", "eventfilter = Event: (Newchannel|Hangup)"), True),
    "includes the end of another": (("eventfilter = Event: Hangup$",), True),
    "includes part of another": (("eventfilter(action(include),name(UserEvent),header(UserEvent),method(starts_with)) = Caller",), True),
    "includes all, excludes both": (("eventfilter = Event: .*", "eventfilter = !Event: DTMF"), True),
    "the beginning alone": (("eventfilter = !Event: DTMFBegin",), False),
    "the end alone": (("eventfilter = !Event: DTMFEnd",), False),
    "the end alone, by name": (("eventfilter(action(exclude),name(DTMFEnd)) =",), False),
    "another": (("eventfilter = !Event: DTMFMute",), False),
    "a name that ends the event": (("eventfilter = !Event: DTMFEnd$", "eventfilter = !Event: DTMFBegin$"), False),
    "of one channel alone": (("eventfilter(action(exclude),name(DTMFBegin),header(Channel),method(starts_with)) = SIP/", "eventfilter(action(exclude),name(DTMFEnd),header(Channel),method(starts_with)) = SIP/"), False),
    "includes all": (("eventfilter = Event: .*",), False),
    "includes keys": (("eventfilter = Event: DTMF",), False),
    "includes keys by name": (("eventfilter(action(include),name(QueueMemberStatus)) =", "eventfilter(name(DTMFEnd)) ="), False),
    "includes a channel": (("eventfilter = Channel: Local/",), False),
    "includes by any name": (("eventfilter(header(Channel),method(starts_with)) = Local/",), False),
    "includes a header that keys need not have": (("eventfilter = Channel: PJSIP/trunk",), False),
    # what Asterisk does not take is no filter
    "not taken: method without pattern": (("eventfilter(action(exclude),name(DTMFEnd),method(exact)) =", "eventfilter(action(exclude),name(DTMFBegin),method(exact)) ="), False),
    "not taken: pattern without method": (("eventfilter(action(exclude),name(DTMFEnd)) = x", "eventfilter(action(exclude),name(DTMFBegin)) = x"), False),
}  # fmt: skip

UNSURE = ("includes a header that keys need not have",)
"""Those of which the doctor warns, although no key came through: it takes nothing for granted."""
