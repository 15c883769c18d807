"""``mocban sip2``: what staff ask about the line to the library system."""

from __future__ import annotations

from typing import Annotated

import typer

from mocban.cli import JsonOption, new_app

app = new_app("SIP2, the language of library systems: explain what was said.")


# The root keeps sub-commands only where there are two or a callback.
@app.callback()
def _root() -> None:
    pass


@app.command()
def decode(
    encoding: Annotated[
        str, typer.Option("--encoding", help="utf-8, cp850, latin-1 or cp1258.")
    ] = "utf-8",
    personal: Annotated[
        bool, typer.Option("--show-personal", help="Also cards, PINs, names, passwords.")
    ] = False,
    lang: Annotated[str, typer.Option("--lang", help="vi or en.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Explain SIP2 lines from standard input; exit 1 if there is none, 3 if some are none."""
    from kiosk.sip2 import decode as room

    raise typer.Exit(room.run(encoding, personal=personal, lang=lang, as_json=as_json))
