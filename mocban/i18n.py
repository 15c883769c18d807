"""Words for people: gettext catalogs per package, Vietnamese first. msgid is stable English text."""

from __future__ import annotations

import gettext
import os
from datetime import datetime
from functools import cache
from importlib import resources

from mocban.errors import ConfigError

LANGS = ("vi", "en")


@cache
def catalog(package: str, lang: str) -> gettext.NullTranslations:
    """The catalog ``<package>/locale/<lang>/LC_MESSAGES/<last part of package>.mo``; unknown ``lang``: vi."""
    lang = lang if lang in LANGS else LANGS[0]
    file = (
        resources.files(package)
        / "locale"
        / lang
        / "LC_MESSAGES"
        / f"{package.rsplit('.', 1)[-1]}.mo"
    )
    with file.open("rb") as stream:
        return gettext.GNUTranslations(stream)


def language(asked: str = "") -> str:
    """``asked``, or else the shell's: MOCBAN_LANG, LC_ALL, LC_MESSAGES, LANG; Vietnamese unless it is English.

    ConfigError if we do not speak what is asked for.
    """
    if asked and asked not in LANGS:
        told = f"there is no language {asked[:10]}"
        raise ConfigError(told, "write --lang vi or --lang en", code="usage")
    names = ("MOCBAN_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    told = next((os.environ[name] for name in names if os.environ.get(name)), "")
    return asked or ("en" if told.startswith("en") else "vi")


def day(at: datetime, lang: str) -> str:
    """The local day of ``at`` as dd/MM/yyyy, in either language: unambiguous and as on a Vietnamese receipt."""
    del (
        lang
    )  # one form for both; the argument keeps call sites honest about being language-dependent
    return at.astimezone().strftime("%d/%m/%Y")
