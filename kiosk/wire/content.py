"""What a library tag says, whatever its model: the values that every decoder gives and every encoder takes.

Data elements are those of ISO 28560-1; ``Element`` numbers are their relative OIDs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Model(StrEnum):
    """How the content of a tag is laid out."""

    ISO28560_2 = "iso28560-2"
    ISO28560_3 = "iso28560-3"
    ISO28560_4 = "iso28560-4"
    RFID501 = "3m"
    ASCII = "ascii"
    NDEF = "ndef"
    BLANK = "blank"
    FOREIGN = "foreign"


class Element(IntEnum):
    """Data elements of ISO 28560-1 by relative OID; ``label`` is the name used in ``fields``."""

    PRIMARY_ID = 1
    CONTENT_PARAMETER = 2
    OWNER = 3
    SET_INFORMATION = 4
    TYPE_OF_USAGE = 5
    SHELF_LOCATION = 6
    ONIX_MEDIA = 7
    MARC_MEDIA = 8
    SUPPLIER = 9
    ORDER_NUMBER = 10
    ILL_BORROWER = 11
    ILL_TRANSACTION = 12
    GS1_PRODUCT = 13
    ALTERNATIVE_UNIQUE_ID = 14
    LOCAL_A = 15
    LOCAL_B = 16
    TITLE = 17
    LOCAL_PRODUCT = 18
    MEDIA_FORMAT = 19
    SUPPLY_STAGE = 20
    INVOICE = 21
    ALTERNATIVE_ID = 22
    ALTERNATIVE_OWNER = 23
    SUBSIDIARY = 24
    ALTERNATIVE_ILL_BORROWER = 25
    LOCAL_C = 26

    @property
    def label(self) -> str:
        """``shelf-location``."""
        return self.name.lower().replace("_", "-")


class Usage(IntEnum):
    """Type of usage, ISO 28560-1 element 5, class nibble."""

    ACQUISITION = 0
    CIRCULATING = 1
    REFERENCE = 2
    LOCAL_3 = 3
    LOCAL_4 = 4
    FUTURE_5 = 5
    UNSAID = 6
    DISCARDED = 7
    PATRON_CARD = 8
    EQUIPMENT = 9
    FUTURE_10 = 10
    FUTURE_11 = 11
    FUTURE_12 = 12
    FUTURE_13 = 13
    FUTURE_14 = 14
    FUTURE_15 = 15


class Warn(StrEnum):
    """What is odd about a tag that was understood all the same."""

    BLOCKS_REVERSED = "blocks-reversed"  # bytes backwards inside each 4-byte block
    VERSION = "version"  # content parameter is neither 1 nor 2
    PARTS_SWAPPED = "parts-swapped"  # part was stored before parts
    PARTS_UNKNOWN = "parts-unknown"  # 0 parts
    COUNTRY = "country"  # no two capital letters
    OWNER_REPEATS_COUNTRY = "owner-repeats-country"  # the whole ISIL in the owner field
    ID_NOT_UTF8 = "id-not-utf8"  # read as ISO 8859-1
    CRC_32 = "crc-32"  # written for 32 bytes on a larger tag; what lies behind is not of it
    NIBBLES_SWAPPED = "nibbles-swapped"  # usage before version in byte 0; only by site profile
    LONG_ID = "long-id"  # the id stands in an extension block, which one XOR byte guards
    EXTENSION = "extension"  # an extension block with a wrong check byte was left out
    EXTENSION_EARLY = "extension-early"  # extension blocks before byte 34
    MORE_BEHIND = "more-behind"  # other bytes stand behind a plain number
    GAOXIAO = "gaoxiao"  # UHF: the format of the Chinese university libraries
    BCD = "bcd"  # UHF: read as digits, two a byte; where the number begins is a guess
    AFI = "afi"  # UHF: the family is no library item's, though the text is one's
    BANKS_DIFFER = "banks-differ"  # UHF: user memory names another item or owner than the UII
    # UHF: user memory is in use, but not by ISO 28560.
    UNREADABLE_USER_BANK = "unreadable-user-bank"
    INDEX = "index"  # ISO 28560-2: the list of elements names others than are there
    ORDER = "order"  # ISO 28560-2: the id is not first, or the list of elements not behind it
    REPEATED = "repeated"  # ISO 28560-2: an element stands there twice; the first counts
    LONG_ELEMENT = "long-element"  # ISO 28560-2: an element of 128 bytes or more was not read, nor what follows
    UNREADABLE = "unreadable"  # ISO 28560-2: an element in a form nobody knows, shown as its bytes
    PADDING = "padding"  # ISO 28560-2: pads other than the standard has them
    NO_CHECK = "no-check"  # the model has no check value: a misread id cannot be noticed


class Damage(StrEnum):
    """Why a tag that looks like ours could not be trusted."""

    CHECKSUM = "checksum"
    MISSING = "missing"  # too few bytes were read; nothing says that they are wrong


class Look(StrEnum):
    """What a foreign tag resembles."""

    RFID501 = "rfid501"  # the 3M model
    NDEF = "ndef"
    TEXT = "text"
    NO_ID = "no-id"  # a right basic block without a usable id
    USER_BANK = "user-bank"  # the user memory of a UHF tag, whose id stands in bank 01
    UNKNOWN = "unknown"


Fields = tuple[tuple[str, str], ...]
"""Other data elements in the order of the tag: ``Element.label`` (or ``block-107`` …) and the value as text."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Owner library: ISO 3166 ``country`` ("" if none), then the ISIL's rest as the model keeps it."""

    country: str
    library: str

    @property
    def isil(self) -> str:
        """``VN-BG01``; only the library's part if there is no country."""
        return f"{self.country}-{self.library}" if self.country and self.library else self.library

    @classmethod
    def of(cls, isil: str) -> Owner:
        """The same taken apart; without two capitals before the first hyphen all of it is the library's."""
        country, _, library = isil.partition("-")
        two = len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()
        return cls(country, library) if two and library else cls("", isil)


NOBODY = Owner("", "")


@dataclass(frozen=True, slots=True)
class ItemTag:
    """A library item. ``parts`` 0: unknown. ``version``: the content parameter nibble of ISO 28560-3.

    ``sub``: sub-class of the usage (ISO 28560-1 element 5, low nibble); models without one say 0.
    """

    id: str
    usage: Usage
    parts: int
    part: int
    owner: Owner
    version: int = 1
    warnings: tuple[Warn, ...] = ()
    model: Model = Model.ISO28560_3
    sub: int = 0
    fields: Fields = ()


@dataclass(frozen=True, slots=True)
class CardTag:
    """A patron card (usage class 8). ``id`` is the card number and never shows in repr."""

    id: str = field(repr=False)
    owner: Owner
    version: int = 1
    warnings: tuple[Warn, ...] = ()
    model: Model = Model.ISO28560_3
    fields: Fields = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Blank:
    """Nothing was written: all 00, all FF, or the 55 of a factory."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A tag of another model, or none we know."""

    look: Look = Look.UNKNOWN


@dataclass(frozen=True, slots=True)
class Damaged:
    """Looks like ``model`` but cannot be trusted. ``missing``: bytes not read, at least."""

    why: Damage
    missing: int = 0
    model: Model = Model.ISO28560_3


Content = ItemTag | CardTag | Blank | Foreign | Damaged


@dataclass(frozen=True, slots=True)
class Label:
    """What a tag shall say; each model's ``encode`` writes what the model can hold and refuses what it cannot."""

    id: str
    owner: Owner = NOBODY
    usage: Usage = Usage.CIRCULATING
    sub: int = 0
    parts: int = 1
    part: int = 1
    fields: Fields = ()

    def __repr__(self) -> str:  # the id may be a card's
        return f"Label({self.usage.name.lower()})"
