"""The settings: one TOML file, checked whole before anything starts."""

from ivr.config.file import load, secret_of
from ivr.config.models import (
    Asterisk,
    Company,
    CustomerNumber,
    Database,
    Keypad,
    Keys,
    Limits,
    Log,
    Pin,
    Policy,
    Redis,
    Settings,
    SmsCode,
    Steps,
    Texts,
    Worker,
)

__all__ = [
    "Asterisk",
    "Company",
    "CustomerNumber",
    "Database",
    "Keypad",
    "Keys",
    "Limits",
    "Log",
    "Pin",
    "Policy",
    "Redis",
    "Settings",
    "SmsCode",
    "Steps",
    "Texts",
    "Worker",
    "load",
    "secret_of",
]
