"""Every room of ``kiosk/wire`` that reads foreign bytes: what to throw at it, and what must hold whatever comes.

A target's ``run`` ends in a value or in RemoteProtocolError, which it swallows; any other exception is a fault of
ours. The fuzzer and the bench of mutants throw at the same targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial

from kiosk.wire import (
    apdu,
    compaction,
    epc,
    extension,
    gaoxiao,
    isil,
    iso15693,
    iso15962,
    iso28560_2,
    iso28560_2_write,
    iso28560_3,
    iso28560_3_write,
    iso28560_4,
    iso_host,
    iso_host_gate,
    iso_host_tags,
    len_frame,
    m3,
    m3_tags,
    plain,
    raw_uii,
    rfid501,
    rr9,
    sip2,
    sip2_dates,
    sip2_exchange,
    sip2_fields,
    sip2_redaction,
    sip2_tables,
    sip2_tolerance,
    sip2_types,
    tag,
    transparent,
    uhf18,
    uhf18_gate,
    uhf18_reader,
    uhf_tag,
    urn40,
)
from kiosk.wire.content import Content, Label, Owner, Usage
from kiosk.wire.framing import Framer
from kiosk.wire.iso15693 import Uid
from mocban.errors import RemoteProtocolError

Run = Callable[[bytes], object]
Decoder = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Target:
    """``rooms``: the modules of ``kiosk.wire`` it goes through. ``seeds``: bytes that make sense to them."""

    name: str
    run: Run
    rooms: frozenset[str]
    seeds: tuple[bytes, ...] = field(repr=False)


def _hex(*texts: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in texts)


_U = "E0 04 01 00 12 34 56 78"
_V = "E0 04 01 00 9A BC DE F0"
_AIR = "78 56 34 12 00 01 04 E0"
_UID = Uid.parse("E004010012345678")
_BG01 = Owner("VN", "BG01")


@cache
def tags() -> tuple[bytes, ...]:
    """Memory of tags of every model: published vectors, and what our own writers write."""
    labels = (
        Label("BG00012345", _BG01),
        Label("33500000123456", _BG01, parts=3, part=2),
        Label("0012345678", _BG01, Usage.REFERENCE, fields=(("title", "Số đỏ"), ("shelf-location", "VV-895.922"))),
        Label("TV2400001", _BG01, Usage.PATRON_CARD),
    )  # fmt: skip
    bare = (Label("BG00012345"), Label("33500000123456"), Label("8934567890123"))
    written = [
        *(iso28560_3_write.encode(label, 112) for label in labels),
        *(iso28560_3_write.encode(label, 32) for label in labels if not label.fields),
        *(iso28560_2_write.encode(label, 112) for label in labels),
        *(iso28560_2_write.encode(label, 112, lock_id=True) for label in labels),
        *(rfid501.encode(label, 32) for label in bare),
        *(plain.encode_ascii(label, 64) for label in bare),
        *(plain.encode_ndef(label, 112) for label in bare),
        *(epc.bank(iso28560_4.encode(label, afi=afi)) for label in labels for afi in (0x07, 0xC2)),
        *(
            epc.bank(gaoxiao.encode(label, on_loan=lent))
            for label in bare
            for lent in (False, True)
        ),
    ]
    turned = [iso28560_3.turn_blocks(data) for data in written[: len(labels)]]
    return (*_TAGS, *written, *turned)


_TAGS = _hex(
    "91 00 05 1C BE 99 1A 14 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6 83 02 07 AC C0 9E BA A0 6F 6B 00 00",
    "91 00 05 1C BE 99 1A 14",
    "41 08 08 7C 30 C3 1C B3 D3 58 02 02 20 02 65 01 10 FF 02 02 0A 53 E1 BB 91 20 C4 91 E1 BB 8F 00 00 00",
    "11 01 01 31 31 32 32 33 33 34 34 00 00 00 00 00 00 00 00 51 3E 44 45 37 30 35 00 00 00 00 00 00",
    "42 01 01 11 30 30 30 47 34 33 32 31 00 00 00 35 03 00 00 00 42 4E 56 17 00 31 30 47 00 00 00 00",
    "11 03 02 42 47 30 30 30 35 34 33 32 31 00 00 00 00 00 00 FC 98 56 4E 42 47 30 31 00 00 00 00 00 00 00",
    "32 01 04 21 32 31 31 30 33 36 34 33 00 00 00 00 F7 00 00 00 44 45 44 49 32 35 2D 45 00 00 00 36 00 00 00 00",
    "11 01 01 42 47 30 30 30 31 32 33 34 35 00 00 00 00 00 00 03 17 56 4E 42 47 30 31 00 00 00 00 00 00 00"
    "05 01 00 05 01 0E 04 00 32 53 E1 BB 91 20 C4 91 E1 BB 8F 0E 03 00 03 56 56 2D 38 39 35 2E 39 32 32 00",
    "04 11 00 00 32 30 30 39 30 31 30 31 30 31 32 33 00 00 00 00 FF FF FF FF 7F FF FF FF 00 00 00 00",
    "E1 40 0E 01 03 11 D1 01 0D 54 02 65 6E 42 47 30 30 30 31 32 33 34 35 FE 00",
    "DAD5 3000 1703 2808 7903 0000 8456 0000",
    "0000 45C2 141C C04F C70B ADB5 C6E2 DA1D ED4D D319",
    "06 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6 53 08 AB 4D 6C 9D D5 56 CD EB 00",
)
_FEIG = _hex(
    "05 FF 65 E5 CB", "06 FF 66 00 CD BF", "07 FF B0 01 00 1C 56", f"11 FF B0 23 01 {_U} 00 08 07 D6",
    f"10 FF B0 27 01 {_U} 07 D8 DE", f"11 00 B0 00 01 03 00 {_U} D8 35", f"13 00 B0 00 00 {_U} 07 04 1C 01 A2 98",
    "0D FF 71 00 01 00 00 00 05 00 0A F2 CD", "02 00 07 FF 32 54 47", "02 00 09 FF 22 00 FF 79 69",
    "02 00 0D FF 72 01 01 81 01 00 0A 39 49", "02 00 0A 00 6E 00 00 00 4B 69",
    "02 00 12 FF 9F 00 0D 02 02 00 08 01 77 00 EE 02 44 31",
    "02 00 20 00 9F 00 02 00 18 01 77 00 00 00 00 00 00 00 00 00 00 00 00 64 00 00 00 5C 22 8C 81 A3",
    "02 00 40 00 22 00 13 00 01 00 35 03 00 08 E0 04 01 50 0A 20 3F A3 00 09 04 32 01 04 21 32 31 31 30 33 36 34 33"
    "00 00 00 00 F7 00 00 00 44 45 44 49 32 35 2D 45 00 00 00 36 00 00 00 00 04 FE 47",
)  # fmt: skip
_M3 = _hex(
    "D5 00 05 04 00 11 8C 66", "D5 00 09 04 00 11 0A 05 02 1B 97 2A", "D6 00 03 11 64 20",
    "D6 00 05 FE 00 05 FA 40", "D6 00 07 FE 00 00 05 00 C9 7B", f"D6 00 17 FE 00 00 05 02 {_U} {_V} AB 89",
    f"D6 00 0E 02 {_U} 00 08 04 5D C4", f"D6 00 0D 0A 00 {_U} 07 8B E4", f"D6 00 0C 09 06 {_U} B7 3A",
    f"D6 00 0C 0C {_U} 01 44 54",
)  # fmt: skip
_LEN = (
    *_hex("04 FF 01 1B B4", "04 FF 21 19 95", "06 00 01 04 00 AC 36", "09 00 01 04 00 00 80 02 6A 56",
          "06 00 22 0B 40 3F 1B", "05 00 2F 17 B3 A9"),
    rr9.Reply(0, bytes(9)).encode(),
    rr9.Reply(0, rr9.Info((1, 2), 3, (4, 5), 6).encode()).encode(),
    rr9.inventory(rr9.Scan(6)).encode(),
    uhf18.Reply(1, 1, uhf18.encode_sightings(uhf18.Series.R18, [b"\x30\x00" + bytes(12)])).encode(),
    uhf18.Reply(1, 1, uhf18.encode_sightings(uhf18.Series.R288, [bytes(12), bytes(6)])).encode(),
    uhf18.Reply(uhf18.Command.PUSHED, 0, uhf18_gate.Sighting(bytes(12), 1, 0x60).encode()).encode(),
    uhf18.read(uhf18.by_tid(bytes(12)), uhf18.Bank.EPC, 0, 8).encode(),
)  # fmt: skip
_SIP2 = (
    b"9300CNuser|COpin|CPdesk|AY0AZF5D6\r",
    b"98YYYYYN60000320261125    1800002.00AOBG|AMThu vien|BXYYYYYYYYYYYYYYYY|AY1AZDB0E\r",
    b"121NNY20261125    180000AOBG|AAcard|ABBG00012345|AJS\xe1\xbb\x91 \xc4\x91\xe1\xbb\x8f|AH09/12/2026|AY2AZCEEA\r",
    b"941AY0AZFDFC\r", b"96AZFEF6\r",
)  # fmt: skip
_AIR_FRAMES = (
    iso15693.inventory(), iso15693.read_blocks(_UID, 0, 8), iso15693.system_info(_UID),
    iso15693.sealed(bytes.fromhex(f"00 0F {_AIR} 06 07 1B 03 01")), iso15693.sealed(b"\x01\x0f"),
)  # fmt: skip
_APDUS = (
    transparent.begin(), transparent.choose(), transparent.exchange(iso15693.inventory()[:-2]), apdu.ATR,
    *_hex("C0 03 00 90 00 97 02 00 08 92 01 00 96 02 00 00 97 0A 00 06 78 56 34 12 00 01 04 E0 90 00",
          f"{_U} 90 00", "6C 08", "C0 03 01 64 01 90 00"),
)  # fmt: skip


def _tag(data: bytes) -> Content:
    found = tag.decode(data)
    tag.decode(data, dsfid=0x06, swapped=True)
    iso28560_2.lockable(data)
    iso15962.parse(data)
    extension.chain(data)
    return found


def _uhf(data: bytes) -> Content:
    cut = data[0] if data else 0
    bank, user = data[1 : 1 + cut], data[1 + cut :]
    uhf_tag.afi(bank)
    uhf_tag.secured(bank, 0x07)
    epc.recognise(data)
    for form in (raw_uii.Form("ascii", 1), raw_uii.Form("bcd", 0, 7), raw_uii.Form("hex")):
        raw_uii.read(bank, form)
    return uhf_tag.decode(bank, user)


def _text(data: bytes) -> object:
    code = compaction.Code(data[0] & 7 if data else 0)
    return urn40.decode(data), isil.decode(data), compaction.unpack(code, data[1:])


def _framed(framer: Callable[[], Framer], *decoders: Decoder) -> Run:
    def run(data: bytes) -> object:
        frames = list(cut(framer, data))
        for frame in (*frames, data):
            _through(decoders, frame)
        return frames

    return run


def cut(framer: Callable[[], Framer], data: bytes) -> Iterator[bytes]:
    """The frames of a stream that came in two pieces; every byte is a frame's or noise."""
    one = framer()
    half = len(data) // 2
    frames = [*one.feed(data[:half]), *one.feed(data[half:]), *one.idle()]
    assert sum(map(len, frames)) + one.noise == len(data), "bytes were lost or counted twice"
    assert not one.partial
    yield from frames


def _through(decoders: tuple[Decoder, ...], data: bytes) -> None:
    for decoder in decoders:
        try:
            decoder(data)
        except RemoteProtocolError:
            continue


def _feig_reply(data: bytes) -> None:
    body = iso_host.Reply.decode(data).data
    iso_host.words(iso_host.Reply.decode(data).status)
    _through(
        (iso_host.Version.decode, iso_host_tags.decode_found, iso_host_tags.Blocks.decode,
         iso_host_tags.decode_system_info, iso_host_gate.Batch.decode, iso_host_gate.decode_counters), body,
    )  # fmt: skip


def _feig_request(data: bytes) -> None:
    body = iso_host.Request.decode(data).data
    _through(
        (iso_host.OutputMask.decode, iso_host_tags.TagCommand.decode, iso_host_tags.CustomCommand.decode,
         iso_host_tags.Through.decode, iso_host_gate.decode_outputs, iso_host_gate.Piggyback.decode), body,
    )  # fmt: skip


def _m3_answer(data: bytes) -> None:
    answer = m3.Answer.decode(data)
    m3.words(answer.error)
    _through(
        (m3.Version.decode, m3_tags.Round.decode, m3_tags.decode_byte, lambda rest: m3_tags.decode_info(_UID, rest),
         lambda rest: m3_tags.Blocks.decode(rest, 0, 2), lambda _: m3.decode_boot(answer)), answer.rest,
    )  # fmt: skip


def _m3_request(data: bytes) -> None:
    request = m3.Request.decode(data)
    _through((lambda _: request.uid,), request.body)


def _rr9(data: bytes) -> None:
    reply = rr9.Reply.decode(data)
    rr9.words(reply.status)
    _through(
        (rr9.Info.decode, rr9.decode_found, lambda body: rr9.decode_blocks(body, 2, 4),
         lambda _: rr9.addressee(rr9.Request.decode(data))), reply.data,
    )  # fmt: skip


def _uhf18(data: bytes) -> None:
    reply = uhf18.Reply.decode(data)
    uhf18.words(reply.status)
    uhf18_gate.told(data)
    _through(
        (uhf18_reader.Info.decode, uhf18.Statistics.decode, uhf18_gate.Sighting.decode,
         lambda _: uhf18_gate.decode_inputs(reply),
         *(partial(uhf18.decode_sightings, series) for series in uhf18.Series),
         *(partial(_aimed, size) for size in (3, 7))), reply.data,
    )  # fmt: skip


def _aimed(size: int, body: bytes) -> uhf18.Aimed:
    return uhf18.Aimed.decode(body, size)


def _pcsc(data: bytes) -> None:
    apdu.is_vicinity(data)
    body = apdu.Response.decode(data).data
    _through(
        (apdu.uid_of, transparent.granted, transparent.decode_exchange, transparent.size_of), body
    )
    _through((transparent.opened, lambda frame: transparent.found(frame, 0, 0)), body)


def _air(data: bytes) -> None:
    body = iso15693.unsealed(data)
    iso15693.decode_system_info(body)


def _sip2(data: bytes) -> object:
    framer = sip2_exchange.LineFramer(4096)
    lines = [*framer.feed(data[: len(data) // 2]), *framer.feed(data[len(data) // 2 :])]
    assert framer.waiting <= 4096
    for line in (*lines, data):
        for encoding in ("utf-8", "cp1258"):
            _through((partial(_message, encoding),), line)
        sip2.sealed(line)
        sip2_dates.parse_due(line.decode("latin-1"))
    return lines


def _message(encoding: str, line: bytes) -> sip2.Message:
    message = sip2.decode(line, encoding)
    assert sip2_redaction.redacted(line, encoding) == sip2_redaction.shown(message)
    for warning in message.warnings:
        sip2_tolerance.Tolerance.of(warning)
    for part in sip2_fields.MESSAGES[message.code].fixed:
        sip2_types.typed_fixed(part, message.fixed[part.name])
    for key, value in message.fields:
        sip2_types.typed(key, value, currency=message.get("BH"))
        sip2_types.parse_money(value, "VND")
        sip2_tables.meaning(key, value)
    return message


def _swallow(run: Run) -> Run:
    def quiet(data: bytes) -> object:
        try:
            return run(data)
        except RemoteProtocolError:
            return None

    return quiet


@cache
def every() -> tuple[Target, ...]:
    """All targets. A room that reads foreign bytes and stands in none of them fails a test."""
    models = {
        "tag", "iso28560_2", "iso28560_2_sets", "iso28560_2_values", "iso28560_2_write", "iso28560_3",
        "iso28560_3_write", "iso15962", "extension", "rfid501", "plain", "ndef", "isil", "compaction",
    }  # fmt: skip
    banks = {"uhf_tag", "epc", "gaoxiao", "iso28560_4", "raw_uii", "urn40"}
    found = (
        ("tag", _tag, models | banks, tags()),
        ("uhf", _uhf, banks, tuple(bytes((len(data) - 2,)) + data[2:] + _TAGS[-1] for data in tags())),
        ("text", _text, {"urn40", "isil", "compaction"}, tags()),
        ("feig", _framed(iso_host.framer, _feig_reply, _feig_request),
         {"iso_host", "iso_host_tags", "iso_host_gate", "framing"}, _FEIG),
        ("m3", _framed(m3.framer, _m3_answer, _m3_request), {"m3", "m3_tags"}, _M3),
        ("rr9", _framed(len_frame.framer, _rr9), {"rr9", "len_frame"}, _LEN),
        ("uhf18", _framed(len_frame.framer, _uhf18), {"uhf18", "uhf18_reader", "uhf18_gate", "len_frame"}, _LEN),
        ("pcsc", _pcsc, {"apdu", "transparent"}, _APDUS),
        ("air", _air, {"iso15693"}, _AIR_FRAMES),
        ("sip2", _sip2, {"sip2", "sip2_dates", "sip2_exchange", "sip2_fields", "sip2_redaction", "sip2_tables",
                         "sip2_tolerance", "sip2_types"}, _SIP2),
    )  # fmt: skip
    return tuple(
        Target(name, _swallow(run), frozenset(rooms), seeds) for name, run, rooms, seeds in found
    )
