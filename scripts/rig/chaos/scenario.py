"""What SIPp's callers do. Each writes down when it dials, when it is answered, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PIN = "2580"

# What the dialplan says to a caller at the end, in the Q.850 cause of its BYE: what nothing else on the way sends.
CAUSES = {"verified": 31, "refused": 21, "locked": 52, "timeout": 18, "unavailable": 34}

# A caller who has keyed and hears nothing new keys it again after so many ms, and gives up when that did not help so often.
_AGAIN_MS, _MOST = 6000, 9

_INVITE = """<nop><action><assign assign_to="turns" value="0"/><assignstr assign_to="code" value="none"/><log message="dials [field0] [timestamp]"/></action></nop>
<send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:chaos@[local_ip]>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:chaos@[local_ip]:[local_port]>
P-Asserted-Identity: <sip:+[field0]@[local_ip]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [auto_media_port] RTP/AVP 0 96
a=rtpmap:0 PCMU/8000
a=rtpmap:96 telephone-event/8000
a=fmtp:96 0-15
]]></send>
<recv response="100" optional="true" timeout="30000" ontimeout="unanswered"/>
<recv response="180" optional="true" timeout="30000" ontimeout="unanswered"/>
<recv response="183" optional="true" timeout="30000" ontimeout="unanswered"/>
<recv response="503" optional="true" timeout="30000" ontimeout="unanswered" next="turned_away"/>
<recv response="200" rrs="true" timeout="30000" ontimeout="unanswered"/>
<send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:chaos@[local_ip]>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<nop><action><log message="answered [field0] [timestamp]"/></action></nop>
"""

_HANG_UP = """<send retrans="500"><![CDATA[
BYE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:chaos@[local_ip]>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv request="BYE" optional="true" timeout="5000" ontimeout="end"/>
<recv request="MESSAGE" optional="true" timeout="5000" ontimeout="end"/>
<recv response="481" optional="true" timeout="5000" ontimeout="end" next="end"/>
<recv response="200" timeout="5000" ontimeout="end" next="end"/>
"""

_ENDINGS = f"""<label id="over"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<nop next="end"><action><log message="over [field0] [timestamp] cause=[$cause]"/></action></nop>
<label id="turned_away"/>
<nop next="end"><action><log message="turned_away [field0] [timestamp]"/></action></nop>
<label id="unanswered"/>
<nop next="end"><action><log message="unanswered [field0] [timestamp]"/></action></nop>
<!-- What comes in the moment between two waits is left alone: it is sent again, and heard then. -->
<label id="_unexp.main"/>
<nop><action><jump variable="_unexp.retaddr"/></action></nop>
<label id="silence"/>
<nop><action><log message="silence [field0] [timestamp]"/></action></nop>
{_HANG_UP}
<label id="leave"/>
<nop><action><log message="left [field0] [timestamp]"/></action></nop>
{_HANG_UP}
<label id="end"/>
<nop><action><assign assign_to="tired" value="0"/></action></nop>
<Reference variables="turns,tired,whole,cause,code"/>
"""

_CAUSE = (
    '<action><ereg regexp="cause=([0-9]+)" search_in="hdr" header="Reason:" assign_to="whole,cause"/></action></recv>'
)
_CODE = '<action><ereg regexp="[0-9]{6}" search_in="body" assign_to="code"/></action></recv>'


@dataclass(frozen=True)
class Kind:
    """One kind of caller: `weight` of ten; `earns` a mark, if all goes well; `leaves` by itself."""

    name: str
    weight: int
    body: str
    earns: bool = False
    leaves: bool = False

    def scenario(self) -> str:
        """SIPp's file."""
        text = f'{_INVITE}{self.body}<label id="silenced"/><nop next="silence"/>{_ENDINGS}'
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{self.name}">\n{text}</scenario>\n'


# SIPp looks at the clock of the first of several that it waits for.
def _wait(milliseconds: int, then: str) -> str:
    """Hang up if the dialplan does; else, after so long, go on at this label."""
    return f'<recv request="BYE" timeout="{milliseconds}" ontimeout="{then}" next="over">{_CAUSE}\n'


def _key(label: str, keys: str) -> str:
    """Key this; once too often is silence."""
    return (
        f'<label id="{label}"/>\n<nop><action><add assign_to="turns" value="1"/>'
        f'<test assign_to="tired" variable="turns" compare="greater_than" value="{_MOST}"/></action></nop>\n'
        f'<nop next="silence" test="tired"/>\n<nop><action><exec play_dtmf="{keys}"/></action></nop>\n'
    )


def _text(again: str) -> str:
    """Wait for the text; key again from that label where none comes."""
    after = f'timeout="{_AGAIN_MS}" ontimeout="{again}"'
    return (
        f'<recv request="BYE" optional="true" {after} next="over">{_CAUSE}\n<recv request="MESSAGE" {after}>{_CODE}\n'
    )


def _verifying(pin_ms: int, code_ms: int, code: str = "[$code]", again_ms: int = _AGAIN_MS) -> str:
    """Key the PIN, wait for the text, key its code; a newer text's where another comes."""

    def told(milliseconds: int) -> str:
        newer = (
            f'<recv request="MESSAGE" optional="true" timeout="{milliseconds}" ontimeout="code" next="read">{_CODE}\n'
        )
        return newer + _wait(milliseconds, "code")

    asked = _wait(pin_ms, "pin") + _key("pin", f"{PIN}#") + _text("pin")
    return asked + '<label id="read"/>\n' + told(code_ms) + _key("code", code) + told(again_ms)


KINDS: Sequence[Kind] = (
    Kind("verifies", 3, _verifying(700, 500), earns=True),
    Kind("verifies_slowly", 2, _verifying(3000, 3500), earns=True),
    Kind("wrong_pin", 1, _wait(1000, "pin") + _key("pin", "0000#") + _wait(3000, "pin")),
    Kind("wrong_code", 1, _verifying(700, 1000, "000000", 3000)),
    Kind("leaves_soon", 1, _wait(1300, "leave"), leaves=True),
    Kind("leaves_late", 1, _wait(700, "pin") + _key("pin", f"{PIN}#") + _text("pin") + _wait(1500, "leave"), leaves=True),
    Kind("keys_nothing", 1, '<recv request="BYE" timeout="75000" ontimeout="silence" next="over">' + _CAUSE),
)  # fmt: skip
