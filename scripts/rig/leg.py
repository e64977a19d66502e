"""The softphone's account and its calls: what pjsip calls back, and what the commands do to one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pjsua2 as pj  # type: ignore[import-untyped]  # the library has no types

from rig import sip

_VOLUME = 16_000
_METHODS = {"rfc4733": pj.PJSUA_DTMF_METHOD_RFC2833, "info": pj.PJSUA_DTMF_METHOD_SIP_INFO}


class Owner(Protocol):
    """What an account and its calls ask of the softphone."""

    settings: dict[str, Any]
    calls: dict[int, Leg]

    def emit(self, event: str, call: int | None = None, **fields: Any) -> None:
        """Report what happened."""

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Do `action` after `delay` seconds."""

    def number(self) -> int:
        """Return the number of a new call."""


class Account(pj.Account):  # type: ignore[misc]  # the library has no types
    """The phone's identity at the PBX."""

    def __init__(self, phone: Owner) -> None:
        super().__init__()
        self.phone = phone
        self.registered = False
        self.server = f"127.0.0.1:{phone.settings['server_port']}"
        config = pj.AccountConfig()
        config.idUri = f"sip:{phone.settings['user']}@{self.server}"
        config.regConfig.registrarUri = f"sip:{self.server}"
        config.regConfig.registerOnAdd = False
        config.regConfig.unregWaitMsec = 1000
        config.sipConfig.authCreds.append(
            pj.AuthCredInfo("digest", "*", phone.settings["user"], 0, phone.settings["password"])
        )
        # On hold a sending phone's silence would go on beside the music, and each second packet be lost.
        config.callConfig.holdType = pj.PJSUA_CALL_HOLD_TYPE_RFC2543
        # Else an UPDATE follows each answer, and a new display name or a hold collides with it.
        config.mediaConfig.lockCodecEnabled = False
        media = config.mediaConfig.transportConfig
        media.boundAddress = media.publicAddress = "127.0.0.1"
        self.create(config)

    def leave(self) -> None:
        """Ask the PBX to forget this phone."""
        if self.registered:
            self.setRegistration(False)

    def onRegState(self, prm: Any) -> None:
        """Report a registration that was accepted, refused or ended."""
        self.registered = active = prm.code == 200 and prm.expiration > 0
        self.phone.emit("registered" if active else "unregistered", code=prm.code, reason=prm.reason)

    def onIncomingCall(self, prm: Any) -> None:
        """Report an INVITE with all its headers; it waits for a command."""
        leg = Leg(self, self.phone, prm.callId)
        headers = sip.headers(prm.rdata.wholeMsg)
        name, number = sip.party(sip.first(headers, "From") or "")
        self.phone.emit("incoming", leg.key, headers=headers, name=name, number=number)


class Leg(pj.Call):  # type: ignore[misc]  # the library has no types
    """One call, its recording, and what it plays to the other side."""

    def __init__(self, account: Account, phone: Owner, sip_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, sip_id)
        self.account = account
        self.phone = phone
        self.key = phone.number()
        self.recorder: pj.AudioMediaRecorder | None = None
        self.player: pj.AudioMedia | None = None
        self.sending = False
        phone.calls[self.key] = self

    def dial(self, to: str, headers: list[list[str]], identity: str | None) -> None:
        """Call extension `to`; `identity` stands in the From header instead of the account's own."""
        option = pj.CallOpParam(True)
        _add(option, headers)
        if identity is not None:
            option.txOption.localUri = identity
        try:
            self.makeCall(f"sip:{to}@{self.account.server}", option)
        except pj.Error:
            del self.phone.calls[self.key]
            raise

    def do(self, name: str, command: dict[str, Any]) -> None:
        """Carry out one command on this call."""
        option = pj.CallOpParam(True)
        match name:
            case "answer":
                option.statusCode = command["code"]
                self.answer(option)
            case "hang_up":
                self.hangup(option)
            case "hold":
                self.setHold(option)
            case "resume":
                option.opt.flag = pj.PJSUA_CALL_UNHOLD
                _add(option, command["headers"])
                self.reinvite(option)
            case "transfer":
                self.xfer(f"sip:{command['to']}@{self.account.server}", option)
            case "digits":
                self._send_digits(list(command["digits"]), command["method"], command["on"], command["off"])
            case "tone":
                self._play(_tone(command["hertz"]))
            case "play":
                self._play(_player(command["file"], loop=command["loop"]))
            case "silence":
                self.player = None
            case _:
                raise ValueError(f"no command {name}")

    def onCallState(self, prm: Any) -> None:
        """Report ringing, answer and end."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY:
            self.phone.emit("ringing", self.key, code=info.lastStatusCode)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.phone.emit("confirmed", self.key)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.drop_media()
            self.phone.calls.pop(self.key, None)
            self.phone.emit("disconnected", self.key, code=info.lastStatusCode, reason=info.lastReason)

    def onCallMediaState(self, prm: Any) -> None:
        """Record what is heard from the first moment, and keep playing across a re-INVITE."""
        audio = self._audio()
        if audio is None:
            return
        if self.recorder is None and self.phone.settings["recordings"]:
            file = f"{self.phone.settings['recordings']}-{self.key}.wav"
            self.recorder = pj.AudioMediaRecorder()
            self.recorder.createRecorder(file)
            self.phone.emit("media", self.key, file=file)
        if self.recorder is not None:
            audio.startTransmit(self.recorder)
        if self.player is not None:
            self.player.startTransmit(audio)

    def onCallTsxState(self, prm: Any) -> None:
        """Report a new name or number of the other side (connected line) and what became of a transfer."""
        event = prm.e.body.tsxState
        if event.type != pj.PJSIP_EVENT_RX_MSG:
            return
        headers = sip.headers(event.src.rdata.wholeMsg)
        identity = sip.first(headers, "P-Asserted-Identity") or sip.first(headers, "Remote-Party-ID")
        if identity is not None:
            name, number = sip.party(identity)
            self.phone.emit("connected_line", self.key, name=name, number=number, headers=headers)

    def onDtmfDigit(self, prm: Any) -> None:
        """Report a digit that the other side's keys sent."""
        self.phone.emit("heard_digit", self.key, digit=prm.digit)

    def onCallTransferStatus(self, prm: Any) -> None:
        """Report how the PBX takes a transfer that this phone asked for; leave the call when it has worked."""
        self.phone.emit("transfer", self.key, code=prm.statusCode, reason=prm.reason, final=prm.finalNotify)
        if prm.finalNotify and prm.statusCode == pj.PJSIP_SC_OK and self.isActive():
            self.hangup(pj.CallOpParam(True))

    def drop_media(self) -> None:
        """Close the recording and stop playing."""
        self.recorder = self.player = None

    def _audio(self) -> pj.AudioMedia | None:
        info = self.getInfo()  # bound to a name: its parts do not keep it alive
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                return self.getAudioMedia(index)
        return None

    def _play(self, player: pj.AudioMedia) -> None:
        audio = self._audio()
        if audio is None:
            raise ValueError("the call has no audio yet: await 'media' first")
        self.player = player
        player.startTransmit(audio)

    def _send_digits(self, digits: list[str], method: str, on: int, off: int) -> None:
        if self.sending:
            raise ValueError("digits are still being sent on this call")
        self.sending = True
        self._send_next(digits, digits[:], method, on, off)

    def _send_next(self, left: list[str], all_: list[str], method: str, on: int, off: int) -> None:
        if self.key not in self.phone.calls:  # hung up meanwhile
            return
        digit = left.pop(0)
        if method == "inband":
            generator = pj.ToneGenerator()
            generator.createToneGenerator(8000)
            self._play(generator)
            tone = pj.ToneDigit()
            tone.digit, tone.on_msec, tone.off_msec, tone.volume = digit, on, off, _VOLUME
            generator.playDigits(pj.ToneDigitVector([tone]))
        else:
            param = pj.CallSendDtmfParam()
            param.method, param.duration, param.digits = _METHODS[method], on, digit
            self.sendDtmf(param)
        self.phone.later(on / 1000, lambda: self._ended(digit, left, all_))
        if left:
            self.phone.later((on + off) / 1000, lambda: self._send_next(left, all_, method, on, off))

    def _ended(self, digit: str, left: list[str], all_: list[str]) -> None:
        self.phone.emit("digit", self.key, digit=digit)
        if not left:
            self.sending = False
            self.phone.emit("digits_sent", self.key, digits="".join(all_))


def _add(option: Any, headers: list[list[str]]) -> None:
    for name, value in headers:
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        option.txOption.headers.append(header)


def _tone(hertz: int) -> pj.ToneGenerator:
    generator = pj.ToneGenerator()
    generator.createToneGenerator(8000)
    tone = pj.ToneDesc()
    tone.freq1, tone.freq2, tone.on_msec, tone.off_msec, tone.volume = hertz, 0, 1000, 0, _VOLUME
    generator.play(pj.ToneDescVector([tone]), True)
    return generator


def _player(file: str, *, loop: bool) -> pj.AudioMediaPlayer:
    player = pj.AudioMediaPlayer()
    player.createPlayer(file, 0 if loop else pj.PJMEDIA_FILE_NO_LOOP)
    return player
