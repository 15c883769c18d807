"""``mocban tag``: what staff do with tags."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mocban.cli import ConfigOption, JsonOption, new_app
from mocban.errors import ConfigError, Exit

if TYPE_CHECKING:
    from kiosk.tagging.desk import Asked, Desk

app = new_app("Tags: read, explain, write, convert, find.")

HexArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="HEX", help="Bytes from block 0; - reads them from stdin."),
]
PadOption = Annotated[
    str, typer.Option("--pad", help="Reader by URL; without it, the configuration's.")
]
DriverOption = Annotated[str, typer.Option("--driver", help="Its driver: feig, 3m, rr9, …")]
UidOption = Annotated[str, typer.Option("--uid", help="Only this tag.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask back.")]
UndoOption = Annotated[
    Path | None,
    typer.Option("--undo", help="Undo file; without it, a new one.", dir_okay=False),
]
ModelOption = Annotated[
    str, typer.Option("--model", help="iso28560-3, iso28560-2, 3m, ascii, ndef.")
]
OwnerOption = Annotated[str, typer.Option("--owner", help="Owner library, as in VN-BG01.")]
UsageOption = Annotated[str, typer.Option("--usage", help="circulating, reference, patron-card, …")]
PartsOption = Annotated[int | None, typer.Option("--parts", help="How many parts the item has.")]
SwappedOption = Annotated[
    bool,
    typer.Option("--swapped-nibbles", help="This site's tags have the halves of byte 0 swapped."),
]
KeepDsfidOption = Annotated[
    bool, typer.Option("--keep-dsfid", help="Leave the DSFID: on some tags it is locked.")
]
EvenSoOption = Annotated[bool, typer.Option("--even-so", help="Although it was advised against.")]


# The root keeps sub-commands only where there are two or a callback.
@app.callback()
def _root() -> None:
    pass


@app.command()
def decode(
    memory: HexArgument = None,
    afi: Annotated[str, typer.Option("--afi", help="The tag's AFI, two hex digits.")] = "",
    dsfid: Annotated[str, typer.Option("--dsfid", help="The tag's DSFID, two hex digits.")] = "",
    epc: Annotated[
        str,
        typer.Option("--epc", help="Of a UHF tag: PC and UII; HEX, if any, is its user memory."),
    ] = "",
    swapped: SwappedOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the bytes of a tag mean; exit 1 if they are no tag at all."""
    from kiosk.tagging import decode as room

    asked = room.ask(memory, afi=afi, dsfid=dsfid, epc=epc, swapped=swapped)
    if not room.run(asked, config, as_json=as_json):
        raise typer.Exit(Exit.NO)


@app.command()
def read(
    pad: PadOption = "", driver: DriverOption = "", uid: UidOption = "",
    raw: Annotated[bool, typer.Option("--raw", help="All bytes as well.")] = False,
    undo: UndoOption = None, config: ConfigOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Say what every tag on the reader holds, and whether one was left half written."""
    from kiosk.tagging.desk import Asked
    from kiosk.tagging.reading import read as room

    _run(Asked(pad, driver, config, undo, uid, as_json=as_json), partial(room, raw=raw))


@app.command()
def program(
    item: Annotated[str, typer.Argument(metavar="BARCODE", help="The item's number.")],
    parts: PartsOption = None,
    part: Annotated[int | None, typer.Option("--part", help="Which of them this is.")] = None,
    title: Annotated[str, typer.Option("--title", help="Its title, if the tag has room.")] = "",
    owner: OwnerOption = "", usage: UsageOption = "", model: ModelOption = "",
    over: Annotated[bool, typer.Option("--over", help="Whatever the tag holds now.")] = False,
    lockable: Annotated[
        bool, typer.Option("--lockable", help="ISO 28560-2: the number in blocks of its own.")
    ] = False,
    swapped: SwappedOption = False, keep_dsfid: KeepDsfidOption = False,
    pad: PadOption = "", driver: DriverOption = "", uid: UidOption = "", yes: YesOption = False,
    undo: UndoOption = None, config: ConfigOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Write an item's number on the one tag that lies there, prove it, and mark it as in stock."""
    from kiosk.tagging import models, programming
    from kiosk.tagging.desk import Asked

    programming.check_parts(1 if parts is None else parts, 1 if part is None else part)
    if model:
        models.model_of(model)
    models.usage_of(usage or "circulating")
    asked = Asked(pad, driver, config, undo, uid, yes, as_json)

    async def work(desk: Desk) -> None:
        wish = programming.wish(
            desk, item, model, parts=parts, part=part, title=title, owner=owner, usage=usage,
            over=over, lockable=lockable, keep_dsfid=keep_dsfid, swapped=swapped,
        )  # fmt: skip
        await programming.program(desk, wish)

    _run(asked, work)


@app.command()
def convert(
    model: ModelOption = "", owner: OwnerOption = "",
    from_in_stock: Annotated[
        str, typer.Option("--from-in-stock", help="Old AFI of items in stock, two hex digits.")
    ] = "",
    from_on_loan: Annotated[
        str, typer.Option("--from-on-loan", help="Old AFI of items on loan, two hex digits.")
    ] = "",
    keep_afi: Annotated[bool, typer.Option("--keep-afi", help="Leave the AFI as it is.")] = False,
    single: Annotated[
        bool, typer.Option("--single", help="An unknown number of parts means one.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish tags that were left half written.")
    ] = False,
    leave: Annotated[
        bool, typer.Option("--leave", help="With --resume: leave those that were written elsewhere since.")
    ] = False,
    swapped: SwappedOption = False, keep_dsfid: KeepDsfidOption = False,
    pad: PadOption = "", driver: DriverOption = "", uid: UidOption = "", yes: YesOption = False,
    even_so: EvenSoOption = False,
    undo: UndoOption = None, config: ConfigOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Write all tags on the reader anew in the site's layout; what they held goes to the undo file first."""
    from kiosk.tagging import converting, models
    from kiosk.tagging.decode import byte
    from kiosk.tagging.desk import Asked
    from kiosk.wire.content import NOBODY, Owner

    old = byte(from_in_stock, "--from-in-stock"), byte(from_on_loan, "--from-on-loan")
    if model:
        models.model_of(model)
    if leave and not resume:
        raise ConfigError("--leave is of --resume", "say both", code="usage")
    asked = Asked(pad, driver, config, undo, uid, yes, as_json, even_so)

    async def work(desk: Desk) -> None:
        isil = owner or desk.site.tagging.owner
        plan = converting.Plan(
            models.model_of(model or desk.site.tagging.model), Owner.of(isil) if isil else NOBODY,
            *old, keep_afi, keep_dsfid, single, swapped,
        )  # fmt: skip
        await converting.convert(desk, plan)

    _run(asked, partial(converting.resume, leave=leave) if resume else work)


@app.command("undo")
def undo_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The undo file.", dir_okay=False)],
    pad: PadOption = "", driver: DriverOption = "", uid: UidOption = "", yes: YesOption = False,
    even_so: EvenSoOption = False, config: ConfigOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Put the tags on the reader back as an undo file says they were."""
    from kiosk.tagging.converting import undo
    from kiosk.tagging.desk import Asked

    asked = Asked(pad, driver, config, file, uid, yes, as_json, even_so)
    _run(asked, partial(undo, path=file))


@app.command()
def reset(
    every: Annotated[bool, typer.Option("--all", help="Every tag that lies there.")] = False,
    afi: Annotated[bool, typer.Option("--afi", help="The AFI as well.")] = False,
    keep_dsfid: KeepDsfidOption = False,
    pad: PadOption = "", driver: DriverOption = "", uid: UidOption = "", yes: YesOption = False,
    undo: UndoOption = None, config: ConfigOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Wipe a tag, so that it can be given to another item."""
    from kiosk.tagging.desk import Asked
    from kiosk.tagging.programming import reset as room

    asked = Asked(pad, driver, config, undo, uid, yes, as_json)
    _run(asked, partial(room, every=every, afi=afi, keep_dsfid=keep_dsfid))


@app.command()
def inventory(
    wanted: Annotated[
        Path | None, typer.Option("--list", help="What should be there.", dir_okay=False)
    ] = None,
    column: Annotated[str, typer.Option("--column", help="The list's column of numbers.")] = "",
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.5, help="End after so long.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The result as CSV.", dir_okay=False)
    ] = None,
    pad: PadOption = "", driver: DriverOption = "",
    config: ConfigOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Read a shelf along a list: found, missing, not on the list, not secured. Ctrl-C ends it."""
    from kiosk.tagging import shelf
    from kiosk.tagging.desk import Asked

    if column and wanted is None:
        raise ConfigError("--column is of --list", "name the list", code="usage")
    items = shelf.read_list(wanted, column) if wanted else None
    asked = Asked(pad, driver, config, as_json=as_json)
    _run(asked, partial(shelf.inventory, wanted=items, seconds=seconds, out=out))


@app.command()
def calibrate(
    values: Annotated[
        str, typer.Option("--values", help="AFI values to try, hex, with commas.")
    ] = "",
    pad: PadOption = "", driver: DriverOption = "", uid: UidOption = "", yes: YesOption = False,
    undo: UndoOption = None, config: ConfigOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Find out which security values the gate cries for, with a test tag carried through it."""
    from kiosk.tagging import calibration
    from kiosk.tagging.decode import byte
    from kiosk.tagging.desk import Asked

    found = [byte(one.strip(), "--values") for one in values.split(",")] if values else []
    tried = tuple(dict.fromkeys(one for one in found if one is not None)) or calibration.VALUES
    asked = Asked(pad, driver, config, undo, uid, yes, as_json)
    _run(asked, partial(calibration.calibrate, values=tried))


@app.command()
def station(
    scanner: Annotated[
        str, typer.Option("--scanner", help="A serial scanner by URL; without it, the keyboard.")
    ] = "",
    owner: OwnerOption = "", usage: UsageOption = "", model: ModelOption = "",
    over: Annotated[bool, typer.Option("--over", help="Whatever the tags hold now.")] = False,
    lockable: Annotated[
        bool, typer.Option("--lockable", help="ISO 28560-2: the number in blocks of its own.")
    ] = False,
    keep_dsfid: KeepDsfidOption = False, pad: PadOption = "", driver: DriverOption = "",
    undo: UndoOption = None, config: ConfigOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Scan, write, prove, next: for many items that get their tags."""
    from kiosk.tagging import models, programming
    from kiosk.tagging.desk import Asked
    from kiosk.tagging.station import station as room

    if model:
        models.model_of(model)
    models.usage_of(usage or "circulating")

    async def work(desk: Desk) -> None:
        wish = programming.wish(
            desk, "0", model, owner=owner, usage=usage, over=over, lockable=lockable,
            keep_dsfid=keep_dsfid,
        )  # fmt: skip
        await room(desk, wish, scanner)

    _run(Asked(pad, driver, config, undo, as_json=as_json), work)


@app.command()
def lock(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="id, afi, dsfid or eas.")],
    irreversible: Annotated[
        bool, typer.Option("--irreversible", help="Yes: nothing undoes it.")
    ] = False,
    again: Annotated[str, typer.Option("--again", help="The tag's UID once more.")] = "",
    even_so: EvenSoOption = False, pad: PadOption = "", driver: DriverOption = "",
    yes: YesOption = False, config: ConfigOption = None, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Lock a part of one tag for ever. Asked for twice, or it is refused."""
    from kiosk.tagging import locking
    from kiosk.tagging.desk import Asked

    locking.checked(what, irreversible=irreversible, again=again)
    asked = Asked(pad, driver, config, None, "", yes, as_json, even_so)
    _run(asked, partial(locking.lock, what=what, again=again))


def _run(asked: Asked, work: Callable[[Desk], Awaitable[None]]) -> None:
    from kiosk.tagging.desk import run

    run(asked, work)
