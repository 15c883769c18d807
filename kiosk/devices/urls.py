"""Options of a driver in the URL of its line: taken out before the line sees it."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit

from kiosk.transports.base import bad_url


def part(url: str, names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The URL without the options called ``names``, and those that were given."""
    parts = urlsplit(url)
    ours, rest = {}, []
    wanted = set(names)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in wanted:
            ours[name] = value
        else:
            rest.append((name, value))
    return (parts._replace(query=urlencode(rest)).geturl() if ours else url), ours


def option(url: str, name: str) -> str | None:
    """One option of a URL, wherever it belongs."""
    return dict(parse_qsl(urlsplit(url).query)).get(name)


def with_speed(url: str, baud: int) -> str:
    """A serial URL that names no speed with the speed its reader leaves the factory with."""
    parts = urlsplit(url)
    if parts.scheme != "serial" or option(url, "baud"):
        return url
    return f"{url}{'&' if parts.query else '?'}baud={baud}"


def number(url: str, name: str, text: str, lowest: int, highest: int) -> int:
    """An option's whole number; ConfigError if it is none or out of range."""
    if text.isascii() and text.isdigit() and lowest <= int(text) <= highest:
        return int(text)
    raise bad_url(urlsplit(url), f"{name} takes a whole number from {lowest} to {highest}")


def choice(url: str, name: str, text: str, known: Iterable[str]) -> str:
    """An option that is one of some words; ConfigError if it is none of them."""
    words = sorted(known)
    if text in words:
        return text
    raise bad_url(urlsplit(url), f"{name} is one of {', '.join(words)}")
