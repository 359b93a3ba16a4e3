"""Who asks. A person is an id: `MACHINE` is the machine's owner, any other is a browser that came from elsewhere.

    MACHINE may do everything, and owns what nobody owns: the command line, and browsers on this machine.
    a person may change their own runs; everybody else's they may look at.

A browser from elsewhere holds a cookie "ID.SIGNATURE", signed with a secret of this home. The id is no secret, it
stands in the files of what a person made; the signature is what only they have.
"""

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path

from playground.home import home

MACHINE = ""
SECRET_BYTES = 32
_UNTIL_RESTART = secrets.token_bytes(SECRET_BYTES)
_ID = re.compile(r"[0-9a-f]{16}")
_FORWARDED = ("forwarded", "x-forwarded-", "x-real-ip", "via")
"""How the names begin of headers that a proxy sets."""


def may_change(owner: str, by: str) -> bool:
    """Whether a person may change what somebody owns."""
    return by in (MACHINE, owner)


def name_person(person: str) -> str:
    """Return what a person is called: there are no accounts, so a few signs that tell them apart."""
    return f"person {person[:4]}" if person else "the machine's owner"


def is_on_this_machine(client: str | None, server: str | None, headers: Iterable[str]) -> bool:
    """Whether a request comes from this machine itself, so from its owner.

    It does by loopback, or from the address that it was sent to, unless a proxy says that it hands on for somebody. A
    proxy that does not say so needs PLAYGROUND_SHARED=1, with which everybody who comes by a browser is a person.

    Args:
        client, server: the addresses of both ends; None where there are none.
        headers: the names of the request's headers, in small letters.
    """
    if os.environ.get("PLAYGROUND_SHARED", "0") not in ("", "0") or not client:
        return False
    if any(name.startswith(_FORWARDED) for name in headers):
        return False
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or client == server


# The cookie


def make_person() -> str:
    """Return the id of somebody who was never here."""
    return secrets.token_hex(8)


def name_cookie() -> str:
    """Return the cookie's name: another one for each home, as a browser mixes up the ports of one host."""
    return f"playground-{_sign('cookie')[:8]}"


def write_cookie(person: str) -> str:
    """Return what proves who a person is."""
    return f"{person}.{_sign(person)}"


def read_cookie(value: str) -> str | None:
    """Return whose cookie it is; None if it was not made here."""
    person, _, signature = value.partition(".")
    genuine = _ID.fullmatch(person) and hmac.compare_digest(signature.encode(), _sign(person).encode())
    return person if genuine else None


def _sign(text: str) -> str:
    return hmac.new(_secret(), text.encode(), hashlib.sha256).hexdigest()


def _secret() -> bytes:
    """Return the home's secret, made if need be; where nothing can be written, one that lasts as long as the server."""
    try:
        path = home() / "secret"
        if not path.exists():
            _make_secret(path)
        found = path.read_bytes()
    except OSError:
        found = b""
    return found if len(found) == SECRET_BYTES else _UNTIL_RESTART


def _make_secret(path: Path) -> None:
    """Write a secret that its owner alone can read; of several who do it at once, one wins."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # a disk without hard links
        os.replace(temporary, path)
        return
    os.unlink(temporary)
