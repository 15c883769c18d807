"""What the commands of ``mocban tag`` say while they work. msgid is stable English; the catalogs stand beside."""

from __future__ import annotations

YES = ("y", "yes", "c", "có", "co", "đúng", "dung")
NO = ("n", "no", "k", "không", "khong", "sai")
QUESTION = "[y/N]"

ITEM = "the item {item}"
CARD = "a patron card"
BLANK = "nothing yet"
OTHER = "something that we cannot read"

# read
CHIP = "Chip"
MEMORY = "Memory"
MARKS = "AFI and DSFID"
ALARM = "EAS"
ARMED = "on: a gate cries"
DISARMED = "off"
BLOCKS = "{blocks} blocks of {size} bytes"
HALF = "Half written since {at}: mocban tag convert --resume finishes it, mocban tag undo {path} puts it back."

# program, reset
WRITE = "Tag {uid} holds {now}. Write {item} on it?"
WRITE_OVER = "Tag {uid} holds {now}. WRITE OVER IT with {item}?"
WRITTEN = "Tag {uid}: {item} is written and read back."
STANDS = "Tag {uid} holds {item} already; nothing was written."
SECURED = "It is marked as in stock: a gate cries."
WIPE = "Tag {uid} holds {now}. Wipe it?"
WIPED = "Tag {uid} is blank."
BLANK_ALREADY = "Tag {uid} is blank already."
UNDO_WITH = "To put it back: mocban tag undo {path}"

# convert, resume, undo
CONVERT = "{n} of {all} tags will be written as {model}. Go on?"
WILL = "Tag {uid}: {item}, {old}; what does not go along: {left}"
NOTHING_LEFT = "nothing"
CONVERTED = "Tag {uid}: {item} is converted and read back ({blocks} blocks written)."
RIGHT = "Tag {uid} is right already."
RESUMED = "Tag {uid} is whole again."
LEFT = "Tag {uid} stays as somebody else has written it since."
RESTORED = "Tag {uid} is as it was before."
AFI_LEFT = "Its AFI {afi} was changed by somebody else since, and stays."
RESTORE = "{n} tags will be put back as they were. Go on?"
FINISH = "{n} half-written tags will be finished. Go on?"
DAMAGED_LINES = "Line {n} of the undo file is damaged and was left out."
COPY = "take the file from a copy, if there is one"

STOPPED = "Stopped. To put back what was written: mocban tag undo {path}"

# inventory
COUNTING = "Move the reader along the shelf. Ctrl-C ends it."
FOUND = "{item} found ({n} of {all})"
SEEN = "{item} seen ({n})"
UNEXPECTED = "{item} is not on the list"
OPEN = "{item} is not secured: it would pass the gate"
UNREADABLE = "Tag {uid} cannot be read as an item"
HALF_SEEN = "Tag {uid} is half written since {at}. mocban tag convert --resume or mocban tag undo {path} cures it."
TWICE = "{item} stands on two tags: {uid} and {other}"
SUM = "{found} found, {missing} missing, {unexpected} not on the list, {open} not secured, {unreadable} unreadable."
MISSING = "Missing: {item}"
OUT = "The result is in {path}."

# calibrate
CALIBRATE = (
    "A test tag will get one security value after the other, and then what it has now. Carry it through the gate each"
    " time. Go on?"
)
WALK = "{n} of {all}: the tag has {value} now. Carry it through the gate. Did it cry?"
LAY_BACK = "Lay the tag back on the reader."
RANG = "{value}: the gate cries"
QUIET = "{value}: the gate keeps quiet"
SETTINGS = "Put this into the configuration of kiosks and gates:"
CONTRADICTS = "The gate cries for EAS and for AFI: both were put into the lines below."
RESTORED_TEST = "The test tag is as it was before."

# station
STATION = "Scan a barcode, lay the item on the reader; then scan the next. - takes the last one back, . ends."
SCAN = "Barcode:"
LAY = "Lay the item {item} on the reader."
DONE = "[OK] {item} ({n})"
BAD = "[!!] {say}: {do}."
AGAIN = "{item} was written before, on tag {uid}. Write it on another tag as well?"
OVER = "The tag {uid} holds {now}. Write {item} over it?"
TAKEN_BACK = "[OK] {item} is taken back; its tag is as it was before."
NOTHING_BACK = "[!!] There is nothing to take back."
TOTAL = "{written} written, {same} right already, {undone} taken back, {refused} refused."

# lock
LOCK = "Lock {what} of tag {uid} FOR EVER. Nothing undoes it. Go on?"
LOCKED = "Tag {uid}: {what} is locked for ever."
WHATS = {
    "id": "the number",
    "afi": "the AFI",
    "dsfid": "the DSFID",
    "eas": "the EAS bit",
}
