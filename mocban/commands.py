"""Orders from the centre to the edge: the closed union of commands, their risk, and the signed order around one.

The gateway alone signs, sequences and publishes. A person approves what is asked (``Request``) with an SSH key; the
edge checks gateway and persons itself. An order is addressed to one outbox epoch: a restored or copied device refuses
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Literal, get_args
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from mocban import identity, sshsig
from mocban.clock import rfc3339
from mocban.errors import RemoteProtocolError
from mocban.ids import DeviceId
from mocban.messages import Epoch, Seq

ORDER_MAX = 16_384
"""Longest order on the wire, in bytes."""
NAMESPACE = "mocban-order"
"""SSHSIG namespace of approvals."""
UPLOAD_MAX = 5 * 1024 * 1024
"""Most bytes of one collection of logs."""

App = Annotated[str, Field(pattern=r"^[a-z]{2,16}$")]
Person = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$")]


class Risk(IntEnum):
    """What an order can do: read; local and reversible; seen by patrons and reversible; destructive."""

    C0 = 0
    C1 = 1
    C2 = 2
    C3 = 3


def persons(risk: Risk, *, undone: bool) -> int:
    """How many persons must approve; ``undone``: the order undoes itself after a time."""
    return {Risk.C0: 0, Risk.C1: 0, Risk.C2: 0 if undone else 1, Risk.C3: 2}[risk]


class Command(BaseModel):
    """Something a device can be told to do. ``apps``: which of our apps obey it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    nv: ClassVar[int] = 1
    risk: ClassVar[Risk]
    apps: ClassVar[frozenset[str]] = frozenset({"kiosk", "gate"})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    @property
    def undone(self) -> bool:
        """It undoes itself after a time."""
        return False

    @property
    def persons(self) -> int:
        """How many persons must approve it."""
        return persons(self.risk, undone=self.undone)


class SelfTest(Command):
    """Try every device of the app; the answer names each part and its state, and in ``lost`` those that fail."""

    risk: ClassVar[Risk] = Risk.C0


class CollectLogs(Command):
    """Upload the last ``minutes`` of the app's log, redacted at the source, gzipped, newest first kept.

    PUT to ``url`` with ``Authorization: Bearer token``: HTTPS, plain HTTP only to a loopback address.
    """

    risk: ClassVar[Risk] = Risk.C0
    url: Annotated[str, Field(pattern=r"^https?://", max_length=500)]
    token: Annotated[str, Field(pattern=r"^[0-9a-f]{32,64}$")]
    minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] = 60
    max_bytes: Annotated[int, Field(ge=1024, le=UPLOAD_MAX)] = UPLOAD_MAX


class Restart(Command):
    """End the app in good order as soon as nobody is at it; its supervisor starts it again.

    Answered ``failed`` with ``busy`` if somebody still is after ``patience`` seconds.
    """

    risk: ClassVar[Risk] = Risk.C1
    patience: Annotated[int, Field(ge=0, le=3600)] = 300


class SetMode(Command):
    """``open`` serves; ``closed`` takes nothing new; ``silent`` (gates) counts and does not cry.

    With ``seconds`` it goes back to ``open`` by itself, which makes it need nobody's approval.
    """

    risk: ClassVar[Risk] = Risk.C2
    mode: Literal["open", "closed", "silent"]
    seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None

    @property
    def undone(self) -> bool:
        return self.seconds is not None


class Wipe(Command):
    """Stolen or given away: destroy every key patron data is sealed with, and serve nobody again until set up anew."""

    risk: ClassVar[Risk] = Risk.C3


AnyCommand = SelfTest | CollectLogs | Restart | SetMode | Wipe
COMMANDS: dict[tuple[str, int], type[Command]] = {
    (cls.name, cls.nv): cls for cls in get_args(AnyCommand)
}


class Approval(BaseModel):
    """One person's SSH signature over the canonical form of the request."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    by: Person
    sig: Annotated[str, Field(max_length=sshsig.SIGNATURE_MAX)]


class Request(BaseModel):
    """What somebody asks the gateway to order: this, and nothing the gateway adds, is what persons approve."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    v: Literal[1] = 1
    id: UUID
    by: Annotated[str, Field(pattern=r"^(person|app):[a-z0-9][a-z0-9._-]{0,31}$")]
    """Who asks; nobody approves their own."""
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    device: DeviceId
    app: App
    name: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*$", max_length=40)]
    nv: Annotated[int, Field(ge=1)] = 1
    args: dict[str, Any] = Field(default_factory=dict)
    expires: AwareDatetime

    def body(self) -> dict[str, Any]:
        """As JSON values; times in the one form of our wires."""
        return {**self.model_dump(mode="json"), "expires": rfc3339(self.expires)}

    def canonical(self) -> bytes:
        """The bytes a person signs."""
        return identity.canonical(_request_part(self.body()))

    def command(self) -> Command:
        """The typed command; RemoteProtocolError ``unknown-command``, ``bad-args`` or ``wrong-app``."""
        cls = COMMANDS.get((self.name, self.nv))
        if cls is None:
            raise RemoteProtocolError(
                f"there is no command {self.name} version {self.nv}", code="unknown-command"
            )
        if self.app not in cls.apps:
            raise RemoteProtocolError(f"{self.app} does not obey {self.name}", code="wrong-app")
        try:
            return cls.model_validate(self.args)
        except ValidationError as error:
            top = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, top["loc"])) or self.name
            raise RemoteProtocolError(f"{where}: {top['msg']}"[:200], code="bad-args") from error


class Order(Request):
    """A request as the gateway publishes it on ``cmd/{name}``: addressed, sequenced, signed.

    ``seq`` grows strictly per device and app, with gaps; ``epoch`` is the addressee's outbox epoch.
    """

    epoch: Epoch
    seq: Seq
    issued: AwareDatetime
    approvals: tuple[Approval, ...] = Field(default=(), max_length=8)
    kid: str
    sig: str

    def body(self) -> dict[str, Any]:
        return {**super().body(), "issued": rfc3339(self.issued)}

    def encode(self) -> bytes:
        """UTF-8 JSON."""
        return json.dumps(self.body(), ensure_ascii=False, separators=(",", ":")).encode()


def sign(
    key: identity.SigningKey, request: Request, approvals: Iterable[Approval],
    *, epoch: str, seq: int, issued: datetime,
) -> Order:  # fmt: skip
    """The gateway's order for ``request``."""
    body = {
        **_request_part(request.body()),
        "epoch": epoch,
        "seq": seq,
        "issued": rfc3339(issued),
        "approvals": [one.model_dump() for one in approvals],
    }
    return Order.model_validate(key.sign(body))


def parse(payload: bytes, pinned: Iterable[str]) -> Order:
    """The order in ``payload``, its gateway signature checked before anything else is believed.

    RemoteProtocolError: ``too-long``, ``bad-order``, ``unsigned``, ``unknown-key``, ``bad-signature``.
    """
    document = identity.signed(payload, ORDER_MAX, pinned, "order")
    try:
        return Order.model_validate(document)
    except ValidationError as error:
        raise RemoteProtocolError("it is no order", code="bad-order") from error


def approved(
    request: Request, approvals: Iterable[Approval], staff: Mapping[str, str]
) -> frozenset[str]:
    """The persons of ``staff`` (name to public key line) whose approval of ``request`` is true, each key once.

    RemoteProtocolError ``bad-approval`` for a wrong signature, ``unknown-person``, ``own-approval``.
    """
    message, found = Request.canonical(request), dict[bytes, str]()
    for one in approvals:
        if one.by not in staff:
            raise RemoteProtocolError("somebody unknown here approved it", code="unknown-person")
        if request.by == f"person:{one.by}":
            raise RemoteProtocolError("nobody approves what they ask for", code="own-approval")
        sshsig.verify(one.sig, message, NAMESPACE, staff[one.by])
        found[sshsig.public_raw(staff[one.by])] = one.by
    return frozenset(found.values())


def _request_part(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in Request.model_fields}
