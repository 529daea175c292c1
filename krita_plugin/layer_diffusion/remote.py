"""The backend of another machine: how to reach it, and the file that remembers it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from .backend_process import Address
from .notices import Fix, Trouble
from .translation import tr


@dataclass(frozen=True)
class Remote:
    """What a person says of another machine.

    Attributes:
        address: name or number, a colon and the port; "" for the backend of this machine.
        token: what the other machine's token file holds.
        encrypted: whether the connection is by TLS.
        certificate: path of the PEM file to trust; "" for the authorities that this machine knows.
    """

    address: str = ""
    token: str = ""
    encrypted: bool = True
    certificate: str = ""

    def reach(self) -> Address:
        """Return where to connect. Raises `Trouble` when the address cannot be one."""
        host, port = _split(self.address.strip())
        return Address(host, port, self.token.strip(), True, self.encrypted, self.certificate)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Trouble(tr("“{address}” is no address.", address=address), tr("Write it as name:port."), Fix.BACKEND)
    return host, int(port)


def load(path: Path) -> Remote:
    """Read what `save` wrote; whatever is unusable is the default."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Remote()
    default = asdict(Remote())
    fits = isinstance(stored, dict) and stored.keys() == default.keys()
    if not fits or any(type(stored[name]) is not type(value) for name, value in default.items()):
        return Remote()
    return Remote(**stored)


def save(path: Path, remote: Remote) -> None:
    """Write it where only this user can read it: the token is a secret. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(remote), file)
