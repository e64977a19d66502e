"""Whether Asterisk runs the modules that a verified call needs."""

from __future__ import annotations

from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.doctor.node import Node, rows

MISSING = Kind(
    "module-missing", Grade.FAULT,
    "A module of Asterisk is not running",
    "ARI, or the dialplan in front of it, does not work without it.",
)  # fmt: skip
KINDS = (MISSING,)

NEEDED = (
    "res_http_websocket", "res_stasis", "res_stasis_answer", "res_stasis_playback", "res_stasis_snoop",
    "res_ari", "res_ari_applications", "res_ari_asterisk", "res_ari_bridges", "res_ari_channels", "res_ari_events",
    "res_ari_playbacks", "res_ari_sounds",
    "app_stasis", "app_stack", "app_channelredirect", "app_exec", "app_playback", "app_dial", "res_musiconhold",
    "func_callerid", "func_channel", "func_devstate", "func_global", "func_logic", "func_strings", "func_timeout",
    "pbx_config", "res_pjsip_header_funcs", "format_wav", "codec_resample", "bridge_simple",
)  # fmt: skip
"""All of these, and what they pull in. `config/asterisk/modules.conf` has the lines to load them."""

DIALLED = ("func_frame_drop",)
"""These as well where the desk begins calls."""


async def check(node: Node) -> list[Finding]:
    """Each module that is not running."""
    running = {
        str(one["name"]).removesuffix(".so")
        for one in rows(await node.ari.request("GET", "asterisk/modules"))
        if one.get("status") == "Running"
    }
    needed = NEEDED if node.settings.calls.dial is None else NEEDED + DIALLED
    return [
        MISSING.found(
            node.about("modules"), f"{name} is not running",
            f"asterisk -rx 'module load {name}.so'",
            f"# and see that no line `noload = {name}.so` stands in /etc/asterisk/modules.conf, or add `load = {name}.so`",
        )
        for name in needed
        if name not in running
    ] or [ok(node.about("modules"), f"all {len(needed)} that are needed run")]  # fmt: skip
