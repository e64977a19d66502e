"""Certificates that are made on the spot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificate:
    """Two PEM files: the certificates from the server's own to its CA's, and its key."""

    chain: Path
    key: Path


class Authority:
    """A CA; `file` is its certificate, in PEM."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str) -> Certificate:
        """A server's, for these names and addresses. Its key can be read by its owner alone."""
        made = self._ca.issue_cert(*names)
        chain = self._folder / f"{self.file.stem}-{names[0]}.pem"
        key = chain.with_suffix(".key")
        chain.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
        key.touch(0o600)
        made.private_key_pem.write_to_path(str(key))
        return Certificate(chain, key)
