"""What ``mocban tag`` says to people of a tag: rows of a table, and one sentence for everything that is odd.

Each sentence says what to do. msgid is stable English; the Vietnamese stands in the catalog beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from kiosk.tagging.told import Told
from kiosk.wire.content import Element, Model, Usage, Warn

NO_TAG = "These bytes are no tag at all: read the tag from block 0, 4 bytes at least."
CHECKSUM, MISSING, OTHER_BANK = "checksum", "bytes-missing", "id-in-bank-01"

MODELS = {
    Model.ISO28560_2: "ISO 28560-2 (data sets)",
    Model.ISO28560_3: "ISO 28560-3 (fixed blocks)",
    Model.ISO28560_4: "ISO/TS 28560-4 (UHF)",
    Model.RFID501: "3M (RFID 501)",
    Model.ASCII: "Plain number",
    Model.NDEF: "NDEF (as phones write it)",
    Model.BLANK: "Blank",
    Model.FOREIGN: "Unknown",
}
KINDS = {
    "item": "Library item",
    "patron": "Patron card",
    "blank": "Nothing written yet",
    "foreign": "No library tag that we know, or one that cannot be trusted",
}
ROWS = (
    "Layout",
    "Kind",
    "Item number",
    "Card number",
    "Owner",
    "Part",
    "Use",
    "Security",
    "Look out",
)
PART = "{part} of {parts}"
PART_UNKNOWN = "{part} of an unknown number"
IN_STOCK = "in stock: a gate cries"
ON_LOAN = "on loan: a gate keeps quiet"
NEITHER = "AFI {afi} is neither in stock nor on loan at this site"

USAGES = {
    Usage.ACQUISITION: "acquisition", Usage.CIRCULATING: "for lending", Usage.REFERENCE: "not for lending",
    Usage.LOCAL_3: "local use", Usage.LOCAL_4: "local use", Usage.UNSAID: "not said", Usage.DISCARDED: "discarded",
    Usage.PATRON_CARD: "patron card", Usage.EQUIPMENT: "library equipment",
}  # fmt: skip
RESERVED = "reserved use {usage}"

ELEMENTS = {
    Element.SHELF_LOCATION: "Shelf", Element.ONIX_MEDIA: "Medium (ONIX)", Element.MARC_MEDIA: "Medium (MARC)",
    Element.SUPPLIER: "Supplier", Element.ORDER_NUMBER: "Order number", Element.ILL_BORROWER: "Borrowing library",
    Element.ILL_TRANSACTION: "Interlibrary loan number", Element.GS1_PRODUCT: "Trade number (GS1)",
    Element.ALTERNATIVE_UNIQUE_ID: "Second unique number", Element.LOCAL_A: "Local data A",
    Element.LOCAL_B: "Local data B", Element.LOCAL_C: "Local data C", Element.TITLE: "Title",
    Element.LOCAL_PRODUCT: "Local product number", Element.MEDIA_FORMAT: "Medium",
    Element.SUPPLY_STAGE: "Stage of supply", Element.INVOICE: "Invoice number",
    Element.ALTERNATIVE_ID: "Second number", Element.ALTERNATIVE_OWNER: "Owner by another code",
    Element.SUBSIDIARY: "Branch", Element.ALTERNATIVE_ILL_BORROWER: "Borrowing library by another code",
}  # fmt: skip

EXTRAS = {
    "type": "Kind of item (3M)", "branch": "Branch number", "library": "Library number",
    "custom": "The site's own value", "uri": "Address", "uii": "Written as",
    "sorting": "Sorting", "user-elements": "Elements in user memory", "owner": "Owner",
    "sub-usage": "Kind of use",
}  # fmt: skip
"""Fields that only one layout has."""

SENTENCES: dict[str, str] = {
    Warn.BLOCKS_REVERSED: "The bytes stand backwards in each block, as some older stations write them. Nothing to do.",
    Warn.VERSION: "The tag names a version of the layout that does not exist. Program it anew when it is at the desk.",
    Warn.PARTS_SWAPPED: "Part and number of parts stand the wrong way round. Check the item, then program it anew.",
    Warn.PARTS_UNKNOWN: "The tag does not say how many parts the item has. Count them by hand.",
    Warn.COUNTRY: "The country of the owner is missing or wrong. Enter the owner when you program the tag anew.",
    Warn.OWNER_REPEATS_COUNTRY: "The owner names its country twice. It is understood all the same; nothing to do.",
    Warn.ID_NOT_UTF8: "The number has letters in an old character set. Compare it with the barcode.",
    Warn.CRC_32: "The check value covers 32 bytes only. It is right; nothing to do.",
    Warn.NIBBLES_SWAPPED: "Byte 0 was read the other way round, as you asked. Make sure that your tags are like that.",
    Warn.LONG_ID: "The long number is guarded by one check byte only. Compare it with the barcode.",
    Warn.EXTENSION: "A further block of the tag is damaged and was left out. The number is right;"
    " program the tag anew to repair the rest.",
    Warn.EXTENSION_EARLY: "Further blocks begin earlier than they should. They were understood; nothing to do.",
    Warn.MORE_BEHIND: "Something else stands behind the number. Compare the number with the barcode.",
    Warn.GAOXIAO: "The tag has the format of the Chinese university libraries. Convert it if your gates ask for AFI.",
    Warn.BCD: "Where the number begins is a guess. Compare it with the barcode, zeros in front above all.",
    Warn.AFI: "The tag's AFI is not one of the standard's for library items. Compare it with your site's settings.",
    Warn.BANKS_DIFFER: "The two memories of the tag contradict each other; the UII was believed."
    " Compare it with the barcode, then program the tag anew.",
    Warn.UNREADABLE_USER_BANK: "The user memory holds something that we cannot read. The number is not touched by it.",
    Warn.INDEX: "The tag's own list of elements names others than are there. Read it again; if it stays so,"
    " program it anew.",
    Warn.ORDER: "The number does not stand first, as it should. It was understood all the same; nothing to do.",
    Warn.REPEATED: "One element stands on the tag twice; the first was taken. Program the tag anew.",
    Warn.LONG_ELEMENT: "An element is too long to be read, and nothing behind it was. Program the tag anew if you"
    " need it.",
    Warn.UNREADABLE: "An element has a form that we do not know; its bytes are shown. The number is not touched by it.",
    Warn.PADDING: "The tag is filled up in another way than the standard has it. It was understood; nothing to do.",
    Warn.NO_CHECK: "This layout has no check value, so a misread number goes unnoticed."
    " Compare it with the barcode if it looks odd.",
    CHECKSUM: "The check value is wrong, so no number is shown: any byte may be the wrong one."
    " Read the tag again; if it stays so, program it anew from the barcode.",
    MISSING: "At least {n} bytes more must be read before this can be trusted. Read more blocks.",
    OTHER_BANK: "This is the user memory of a UHF tag; its number stands in bank 01. Give PC and UII with --epc.",
}  # fmt: skip
ODD = "Something is odd ({code}). Compare the number with the barcode."


class Texts(Protocol):
    """A message catalog; ``gettext.NullTranslations`` is one."""

    def gettext(self, message: str, /) -> str:
        """The message in the reader's language."""
        ...


def security(afi: int, in_stock: int, on_loan: int, texts: Texts) -> str:
    """What the AFI means by the values of a site."""
    said = {in_stock: IN_STOCK, on_loan: ON_LOAN}.get(afi, NEITHER)
    return texts.gettext(said).format(afi=f"{afi:02X}")


def table(
    told: Told, texts: Texts, mark: str = "", above: Iterable[tuple[str, str]] = ()
) -> Iterator[str]:
    """Lines for a terminal: rows ``above``, what the tag says, its warnings. ``mark``: what its AFI means, if known."""
    say = texts.gettext
    number = "Card number" if told.kind == "patron" else "Item number"
    rows = [
        *above, (say("Layout"), say(MODELS[told.model])), (say("Kind"), say(KINDS[told.kind])),
        (say(number), told.item or ""), (say("Owner"), told.owner or ""), (say("Part"), _part(told, texts)),
        (say("Use"), _usage(told.usage, texts)), *((label(key, texts), value) for key, value in told.fields.items()),
        (say("Security"), mark),
    ]  # fmt: skip
    rows = [(name, _plain(value)) for name, value in rows if value]
    wide = max(len(name) for name, _ in rows)
    yield from (f"{name:{wide}}  {value}" for name, value in rows)
    for code in told.warnings:
        yield f"{say('Look out')}: {sentence(code, texts, told.missing)}"


def sentence(code: str, texts: Texts, missing: int = 0) -> str:
    """What is odd and what to do, for one warning code."""
    return texts.gettext(SENTENCES.get(code, ODD)).format(n=missing, code=code)


def _part(told: Told, texts: Texts) -> str:
    if told.part is None:
        return ""
    return texts.gettext(PART if told.parts else PART_UNKNOWN).format(
        part=told.part, parts=told.parts
    )


def _usage(usage: int | None, texts: Texts) -> str:
    if usage is None:
        return ""
    return texts.gettext(USAGES.get(Usage(usage), RESERVED)).format(usage=usage)


def label(key: str, texts: Texts) -> str:
    """The name of a field of ``Told.fields``, for people; its code if it has none."""
    names = {element.label: name for element, name in ELEMENTS.items()} | EXTRAS
    return texts.gettext(names[key]) if key in names else key


def _plain(text: str) -> str:
    """Without what would write over a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
