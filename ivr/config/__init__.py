"""The settings: one TOML file, checked whole before anything starts."""

from ivr.config.agi import Agi
from ivr.config.asterisk import AmiSettings, Asterisk
from ivr.config.calls import Calls
from ivr.config.clear import loopback
from ivr.config.clients import Client
from ivr.config.desk import Desk, Password, SignIn
from ivr.config.eid import BankId, Broker, Eids, Freja
from ivr.config.file import load, secret_of, secrets_of
from ivr.config.lock import Lock
from ivr.config.mail import Mail
from ivr.config.metrics import Metrics
from ivr.config.models import Company, Keys, Log, Settings, Worker
from ivr.config.page import Brand, Page
from ivr.config.patterns import Pattern
from ivr.config.peers import Peers
from ivr.config.persons import Persons
from ivr.config.prove import Prove
from ivr.config.proxy import Proxy
from ivr.config.push import App, Push
from ivr.config.stores import Database, Redis
from ivr.config.texts import Elks, Http, Texts, Twilio
from ivr.config.tokens import Tokens
from ivr.config.verifying import CustomerNumber, Keypad, Limits, Pin, Policy, SmsCode, Steps
from ivr.config.webhooks import Webhook

__all__ = [
    "Agi",
    "AmiSettings",
    "App",
    "Asterisk",
    "BankId",
    "Brand",
    "Broker",
    "Calls",
    "Client",
    "Company",
    "CustomerNumber",
    "Database",
    "Desk",
    "Eids",
    "Elks",
    "Freja",
    "Http",
    "Keypad",
    "Keys",
    "Limits",
    "Lock",
    "Log",
    "Mail",
    "Metrics",
    "Page",
    "Password",
    "Pattern",
    "Peers",
    "Persons",
    "Pin",
    "Policy",
    "Prove",
    "Proxy",
    "Push",
    "Redis",
    "Settings",
    "SignIn",
    "SmsCode",
    "Steps",
    "Texts",
    "Tokens",
    "Twilio",
    "Webhook",
    "Worker",
    "load",
    "loopback",
    "secret_of",
    "secrets_of",
]
