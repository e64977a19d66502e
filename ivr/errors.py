"""Every exception that the project raises on purpose.

    TillitError
    ├── AgiError             Asterisk did not carry out an AGI command
    ├── AgiRefused           a connection to the FastAGI server that cannot be served; why, in one word
    ├── ConfigError          something an administrator wrote, or has to write: place, problem, cure
    │   └── Unreachable      a part that the settings name is not there, or not yet: the same again later may do
    ├── InputError           bad input to a command: nothing was done
    ├── NobodyThere          a way of reaching a person leads to nobody any more; other persons can be reached by it
    ├── NumberRefused        a gateway takes no texts to this one number; it takes those to others
    ├── RenderError          the prompts cannot be made
    ├── WorkerReplaced       another worker took over this application's name
    └── CallError            a call cannot go on as it was
        ├── HungUp           the channel is gone
        ├── OtherCustomer    the caller is not the customer who was found by the calling number
        ├── Interrupted      the events of a while were lost; begin the entry anew
        ├── TakenUp          another worker goes on with the call
        └── Unavailable      a part that verification needs is down; nobody is verified
            ├── AriError     Asterisk refused a request, or did not answer in time
            ├── AmiError     the same of its manager interface
            ├── StoreError   Redis or the database
            ├── VaultError   encrypted data was changed, or is of another key
            ├── OidcError    an OpenID provider did not answer, or not as it must
            ├── EidError     the same of a provider of electronic identities
            ├── PeerError    the same of another organisation's own Tillit
            │   └── PeerKeyError    it has another key than the one that it is known by
            ├── PushError    a push service, or an app's server, did not take a message
            ├── MailError    the same of a mail server
            └── TextError    no text message gateway took the message

Messages carry places, ids and statuses, never a value that came from a caller.
"""

from __future__ import annotations


class TillitError(Exception):
    """Whatever this project raises on purpose."""


class ConfigError(TillitError):
    """Names the place (file and field), what is wrong there, and what to do about it."""

    def __init__(self, place: str, problem: str, cure: str) -> None:
        super().__init__(f"{place}: {problem}. {cure}")
        self.place = place
        self.problem = problem
        self.cure = cure


class Unreachable(ConfigError):
    """A part that the settings name does not answer, or not yet; what is written may be right."""


class AgiError(TillitError):
    """Asterisk did not carry out an AGI command; names the command and the code of the answer."""


class AgiRefused(TillitError):
    """A FastAGI connection is not what it should be: `rubbish`, `too_long` or `cut_off`."""


class InputError(TillitError):
    """A command was given something that it cannot take; nothing was done."""


class NobodyThere(TillitError):
    """A push subscription that was ended, a user whom an app does not know, a mailbox that is not there: forget it."""


class NumberRefused(TillitError):
    """A gateway takes no texts to this number, and would take the same text to another."""


class RenderError(TillitError):
    """A prompt cannot be spoken, or a recording cannot be used; says which, and what is wrong with it."""


class WorkerReplaced(TillitError):
    """Asterisk gave this application's name to a newer connection."""


class CallError(TillitError):
    """A call cannot go on as it was."""


class HungUp(CallError):
    """The channel is gone, or has left the application."""


class Interrupted(CallError):
    """Events of this call were lost for a while: what was being keyed must begin anew."""


class TakenUp(CallError):
    """Another worker goes on with the call: this one hung, or was cut off, for longer than its lease."""

    def __init__(self) -> None:
        super().__init__("another worker has taken the call up")


class OtherCustomer(CallError):
    """The caller is not the customer who was found by the calling number, and says so."""


class Unavailable(CallError):
    """A part that verification needs is down. Nobody is verified; the conversation goes on."""


class AriError(Unavailable):
    """Asterisk refused a request (HTTP status), or did not answer in time (status 0)."""

    def __init__(self, operation: str, status: int, certificate: str | None = None) -> None:
        """`certificate`: what was wrong with it, or with TLS, where that is why."""
        super().__init__(f"{operation}: {status or certificate or 'no answer in time'}")
        self.operation = operation
        self.status = status
        self.certificate = certificate


class AmiError(Unavailable):
    """An action of the manager interface was refused, not answered in time, or would not arrive as it is meant."""

    def __init__(self, action: str, status: str, *, refused: bool = False) -> None:
        """`status`: Asterisk's own short words, or ours; `refused`: Asterisk has answered, and says no."""
        super().__init__(f"{action}: {status}")
        self.action = action
        self.status = status
        self.refused = refused


class StoreError(Unavailable):
    """Redis or the database did not do what it was asked to."""


class VaultError(Unavailable):
    """Encrypted data is not what was once stored there: changed, moved, or of another key."""


class OidcError(Unavailable):
    """An OpenID provider did not answer, or not as it must; says which."""


class EidError(Unavailable):
    """A provider of electronic identities did not answer, or not as it must; says which."""


class PeerError(Unavailable):
    """Another organisation does not answer at its domain, or not as it must; says what, and never what it has sent."""


class PeerKeyError(PeerError):
    """It has another key than the one that it is known by, and that one has not named it."""


class PushError(Unavailable):
    """A push service, or an app's server, did not take a message, or cannot be asked to; says why."""


class MailError(Unavailable):
    """A mail server did not take a message, or cannot be asked to; says why."""


class TextError(Unavailable):
    """No gateway took the text message."""
