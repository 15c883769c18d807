"""What the console says, in Vietnamese and English. Incidents and playbooks bring words of their own. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from mocban.i18n import LANGS

Say = Callable[..., str]
"""``say(key, **values)``: the sentence of that key."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
"""A person's name, as the service takes it."""

WORDS: Mapping[str, tuple[str, str]] = {
    # pages and their headings
    "overview": ("Tổng quan", "Overview"),
    "devices": ("Thiết bị", "Devices"),
    "incidents": ("Sự cố", "Incidents"),
    "runbooks": ("Kịch bản", "Playbooks"),
    "help": ("Trợ giúp: phím và lệnh tương đương", "Help: keys and the same by command"),
    "palette": ("Gõ tên việc cần làm (không cần dấu)", "Type what you want to do"),
    "pick-step": ("Bước nào?", "Which step?"),
    "pick-playbook": ("Kịch bản nào?", "Which playbook?"),
    "pick-hint": ("gõ vài chữ để tìm", "type some letters to find"),
    "nothing-found": ("Không có gì khớp", "Nothing fits"),
    "close": ("esc đóng", "esc close"),
    # the age of what is shown
    "age-none": ("chưa có dữ liệu", "no data yet"),
    "age-fresh": ("dữ liệu mới", "data is fresh"),
    "age-seconds": ("dữ liệu {n} giây trước", "data {n} s old"),
    "age-minutes": ("dữ liệu {n} phút trước", "data {n} min old"),
    "age-hours": ("dữ liệu {n} giờ trước", "data {n} h old"),
    "ago-now": ("vừa xong", "just now"),
    "ago-minutes": ("{n} phút", "{n} min"),
    "ago-hours": ("{n} giờ", "{n} h"),
    "ago-days": ("{n} ngày", "{n} d"),
    # when a service is away
    "away-ops": (
        "Dịch vụ vận hành không trả lời. Đây là số liệu cuối cùng; đang thử lại.",
        "Operations do not answer. This is the last known state; trying again.",
    ),
    "away-gateway": (
        "Cổng trung tâm không trả lời. Thiết bị là số liệu cuối; đang thử lại.",
        "The gateway does not answer. Devices as last known; trying again.",
    ),
    "away-token": (
        "Không có quyền đọc: hãy chạy bằng người dùng của dịch vụ (tệp operator.token).",
        "Not allowed to read: run this as the service's user (file operator.token).",
    ),
    "away-odd": (
        "{who} trả lời điều không hiểu được ({code}); đang thử lại.",
        "{who} answers what is not understood ({code}); trying again.",
    ),
    "fault": (
        "Lỗi của mocban ({what}): có phần không hiện hoặc không làm được; hãy dùng lệnh.",
        "A fault of mocban ({what}): something is not shown or done; use the command.",
    ),
    "ops": ("Dịch vụ vận hành", "Operations"),
    "gateway": ("Cổng trung tâm", "The gateway"),
    # overview
    "open-incidents": ("Sự cố mở", "Open incidents"),
    "waits": ("Chờ người", "Waits for people"),
    "to-approve": ("duyệt {n}", "to approve {n}"),
    "by-hand": ("làm tay {n}", "by hand {n}"),
    "under-way": ("đang chạy {n}", "under way {n}"),
    "devices-online": ("trực tuyến {n}", "online {n}"),
    "devices-gone": ("mất kết nối {n}", "gone {n}"),
    "devices-unknown": ("chưa rõ {n}", "unknown {n}"),
    "heard": ("lâu nhất {ago}", "longest silent {ago}"),
    "waiting-facts": ("{n} tin trên {devices} thiết bị", "{n} facts on {devices} devices"),
    "waiting-oldest": ("cũ nhất {ago} ({device})", "oldest {ago} ({device})"),
    "waiting-none": ("không có tin nào", "nothing"),
    "oldest": ("cũ nhất {ago}", "oldest {ago}"),
    "today": ("Hôm nay", "Today"),
    "loans": ("Mượn", "Loans"),
    "returns": ("Trả", "Returns"),
    "refused": ("Từ chối", "Refused"),
    "alarms": ("Chuông", "Alarms"),
    "people_in": ("Người vào", "People in"),
    "bars": ("{what} {n} ngày {bars} nhiều nhất {most}", "{what} {n} days {bars} most {most}"),
    "todo": ("Việc cần làm", "To do"),
    "todo-none": ("Không có việc gì cần làm.", "Nothing to do."),
    "approve-you": ("chờ bạn duyệt", "you approve"),
    "approve-other": ("người khác duyệt", "others approve"),
    "approve-any": ("chờ duyệt", "to be approved"),
    "do-by-hand": ("chờ làm tay", "by hand"),
    "tell-outcome": ("chờ báo kết quả", "say the outcome"),
    "gone": ("mất kết nối", "gone"),
    "online": ("trực tuyến", "online"),
    "unknown": ("chưa rõ", "unknown"),
    # columns
    "col-mark": ("Mức", "Level"),
    "col-what": ("Việc gì", "What"),
    "col-since": ("Từ", "Since"),
    "col-state": ("Trạng thái", "State"),
    "col-no": ("Số", "No."),
    "col-device": ("Thiết bị", "Device"),
    "col-app": ("Phần", "App"),
    "col-seen": ("Nghe thấy", "Heard"),
    "col-waiting": ("Chờ gửi", "Unsent"),
    "col-mode": ("Chế độ", "Mode"),
    "col-version": ("Bản", "Version"),
    "col-facts": ("Tin", "Facts"),
    "col-last": ("Tin cuối", "Last fact"),
    "col-playbook": ("Kịch bản", "Playbook"),
    "col-by": ("Bắt đầu bởi", "Begun by"),
    "col-incident": ("Sự cố", "Inc."),
    # devices
    "filter": ("Lọc: gõ vài chữ, enter giữ, esc bỏ", "Filter: some letters; enter keeps, esc clears"),
    "filtered": ("Lọc “{text}”: {n} trong {all}", "Filter “{text}”: {n} of {all}"),
    "devices-none": ("Chưa thiết bị nào báo về.", "No device has spoken yet."),
    # incidents
    "incidents-none": ("Không có sự cố nào đang mở.", "No open incidents."),
    "incident-run": ("Kịch bản: {playbook}, {state} (phím p)", "Playbook: {playbook}, {state} (key p)"),
    "incidents-all": ("Đang mở và đã xong", "Open and resolved"),
    "incidents-open": ("Đang mở", "Open"),
    "note-ask": ("Ghi chú cho sự cố {no} (không ghi tên bạn đọc)", "Note on incident {no} (no readers' names)"),
    "resolve-ask": (
        "Sự cố {no} đã xong: nguyên nhân là gì? (có thể để trống)",
        "Incident {no} is dealt with: what was it? (may stay empty)",
    ),
    "acked": ("Bạn nhận xử lý sự cố {no}.", "You see to incident {no}."),
    "noted": ("Đã ghi vào sự cố {no}.", "Noted on incident {no}."),
    "resolved": ("Sự cố {no} đã xong.", "Incident {no} is resolved."),
    # playbooks
    "runbooks-none": (
        "Chưa có kịch bản nào chạy. Bắt đầu: phím b ở trang Sự cố; chạy thử: phím d.",
        "No playbook has run. Begin one: b on Incidents; dry run: d.",
    ),
    "ask-head": ("CHỜ DUYỆT", "WAITS FOR APPROVAL"),
    "ask-have": ("Đã duyệt: {names}. Cần {persons} người.", "Approved by: {names}. Needed: {persons}."),
    "ask-have-none": ("Chưa ai duyệt. Cần {persons} người.", "Nobody yet. Needed: {persons}."),
    "ask-yours": ("Bấm y để duyệt, x để từ chối.", "y approves, x denies."),
    "ask-own": (
        "Bạn đã bắt đầu kịch bản này: người khác phải duyệt.",
        "You began this playbook: another person must approve.",
    ),
    "ask-mine-done": ("Bạn đã duyệt; còn chờ người khác.", "You approved; others are awaited."),
    "order": ("Lệnh", "Order"),
    "hand": ("Làm tay", "By hand"),
    "call": ("Gọi", "Call"),
    "undo": ("Hoàn tác", "Undo"),
    "until": ("Hạn duyệt", "Until"),
    "begun-by": ("Bắt đầu bởi", "Begun by"),
    "step": ("Bước", "Step"),
    "manual-head": ("CHỜ NGƯỜI LÀM", "A PERSON IS TO DO THIS"),
    "manual-keys": ("Làm xong hoặc không làm được: bấm m.", "Done, or not possible: press m."),
    "do-before": ("Làm trước: {at}", "To be done before: {at}"),
    "word-head": ("CHƯA RÕ KẾT QUẢ", "OUTCOME NOT KNOWN"),
    "word-keys": ("Xem tận nơi rồi bấm m để báo.", "Look there, then press m to say."),
    "steps": ("Các bước", "Steps"),
    "log": ("Nhật ký", "Log"),
    "incident-of": ("sự cố {no}", "incident {no}"),
    "undone": ("đã hoàn tác", "undone"),
    "approve-title": ("Duyệt: bạn sẽ ký đúng những điều sau", "Approve: you will sign exactly this"),
    "approve-keys": ("enter ký và duyệt · esc thôi", "enter sign and approve · esc back"),
    "sign-texts": ("Bạn ký {n} văn bản bằng khóa {key}, tên {me}:", "You sign {n} texts with {key} as {me}:"),
    "sign-text": ("Văn bản {n}, loại {namespace}:", "Text {n}, namespace {namespace}:"),
    "signing": (
        "Đang ký {n} văn bản bằng {key}… Khóa có mật khẩu thì hỏi {n} lần (ssh-agent: không hỏi).",
        "Signing {n} texts with {key}… A passphrase is asked {n} times (with ssh-agent: never).",
    ),
    "no-sign": ("khóa {key} không ký được: {say}", "key {key} does not sign: {say}"),
    "not-signed": ("Chưa ký: {why}", "Not signed: {why}"),
    "interrupted": ("bạn đã dừng lại", "you stopped it"),
    "approved": ("Đã duyệt: {step}.", "Approved: {step}."),
    "deny-ask": ("Từ chối “{step}”: vì sao?", "Deny “{step}”: why?"),
    "denied": ("Đã từ chối: {step}.", "Denied: {step}."),
    "manual-done": ("Đã làm xong", "It was done"),
    "manual-failed": ("Không làm được", "It was not done"),
    "manual-retry": ("Thử lại lần nữa", "Try again"),
    "manual-why": ("Nói thêm (có thể để trống)", "Anything to add? (may stay empty)"),
    "manual-said": ("Đã báo: {step}, {outcome}.", "Said: {step}, {outcome}."),
    "stop-ask": ("Dừng kịch bản này: vì sao?", "Stop this playbook: why?"),
    "stopped": ("Đang dừng; việc đã làm sẽ được hoàn tác.", "Stopping; what was done is undone."),
    "begin-title": ("Bắt đầu {playbook}", "Begin {playbook}"),
    "dry-title": ("Chạy thử {playbook}: không gửi lệnh nào", "Dry run of {playbook}: nothing is sent"),
    "begin-again": (
        "Chú ý: sự cố này đang có một kịch bản chạy (phím p).",
        "Mind: a playbook runs for this incident already (key p).",
    ),
    "begin-keys": ("enter bắt đầu · tab ô sau · esc thôi", "enter begin · tab next field · esc back"),
    "dry-keys": ("enter chạy thử · tab ô sau · esc thôi", "enter dry run · tab next field · esc back"),
    "begun": ("Đã bắt đầu {playbook}.", "{playbook} has begun."),
    "unsigned": ("chưa ký, chỉ chạy thử", "not signed, dry run only"),
    "signed": ("đã ký: {by}", "signed: {by}"),
    "needs-persons": ("cần {n} người duyệt", "{n} must approve"),
    "condition": ("điều kiện: {text}", "condition: {text}"),
    "dry-none": ("Kịch bản này không có bước nào.", "This playbook has no steps."),
    # who you are
    "who-ask": (
        "Tên của bạn trong danh sách nhân viên (chữ thường, không dấu)",
        "Your name among the staff (small letters)",
    ),
    "who-bad": ("Tên chỉ có chữ thường a-z, số và . _ -", "A name has a-z, digits and . _ - only"),
    "key-ask": ("Tệp khóa SSH của bạn (hoặc .pub nếu có ssh-agent)", "Your SSH key file (or its .pub with ssh-agent)"),
    "key-none": ("Không có tệp {key}.", "There is no file {key}."),
    "read-only": (
        "Chỉ xem: chưa biết bạn là ai. Chạy lại với --as TÊN, hoặc bấm lại và gõ tên.",
        "Read only: who are you? Run with --as NAME, or press again and type it.",
    ),
    "you-are": ("Bạn là {me}.", "You are {me}."),
    "anonymous": ("chỉ xem", "read only"),
    # answers
    "no-incident": ("Hãy chọn một sự cố trước (trang 3).", "Choose an incident first (page 3)."),
    "no-execution": ("Hãy chọn một lần chạy trước (trang 4).", "Choose an execution first (page 4)."),
    "no-ask": ("Ở đây không có gì chờ duyệt.", "Nothing here waits for approval."),
    "bad-ask": (
        "Dịch vụ đòi ký điều khác với bước này: đừng ký, hãy kiểm tra dịch vụ.",
        "The service asks to sign something else: sign nothing, look at the service.",
    ),
    "no-manual": ("Ở đây không có bước nào chờ người làm.", "No step here waits for a person."),
    "no-playbooks": ("Không có kịch bản nào.", "There are no playbooks."),
    "send-keys": ("enter gửi · esc thôi", "enter send · esc back"),
    "pick-keys": ("↑↓ chọn · enter lấy · esc thôi", "↑↓ choose · enter take · esc back"),
    "empty": ("Hãy viết vài chữ.", "Write a few words."),
    "dropped": ("Thôi, chưa làm gì.", "Left; nothing was done."),
    "sending": ("Đang gửi…", "Sending…"),
    "failed": ("Không được: {say}", "It did not work: {say}"),
    "no-answer": (
        "không ai trả lời; chưa chắc đã làm hay chưa, hãy xem lại rồi thử lại",
        "nobody answers; it may or may not have been done: look, then try again",
    ),
    "slipped": (
        "Danh sách vừa đổi dưới con trỏ: hãy xem lại dòng đang chọn rồi bấm lại.",
        "The list has just changed under the cursor: look at the chosen line, then press again.",
    ),
    "left-list": (
        "Mục đang xem không còn trong danh sách.", "What stood here is not in the list any more.",
    ),
    "command": ("Lệnh tương đương", "The same by command"),
    "small": ("Cần ít nhất 80 cột và 24 dòng.", "This needs 80 columns and 24 lines."),
    # marks of state, for words beside them
    "todo-state": ("chưa tới", "to do"),
    "running": ("đang chạy", "under way"),
    "waiting": ("chờ", "waits"),
    "waiting-approval": ("chờ duyệt", "waits for approval"),
    "waiting-person": ("chờ người làm", "a person is to do it"),
    "waiting-word": ("chưa rõ kết quả", "outcome not known"),
    "waiting-time": ("chờ tới giờ", "waits for its time"),
    "done": ("xong", "done"),
    "failed-state": ("không thành", "failed"),
    "skipped": ("bỏ qua", "left out"),
    "unknown-state": ("chưa rõ kết quả", "outcome not known"),
    "stopped-state": ("đã dừng", "stopped"),
}  # fmt: skip
"""Vietnamese, English."""

REFUSALS: Mapping[str, tuple[str, str]] = {
    "no-token": (
        "không có quyền: chạy bằng người dùng của dịch vụ", "not allowed: run this as the service's user",
    ),
    "execution-unknown": ("không còn lần chạy này", "there is no such execution"),
    "no-playbook": ("không có kịch bản này", "there is no such playbook"),
    "bad-playbook": ("kịch bản có lỗi: xem mocban runbook lint", "the playbook has errors: see mocban runbook lint"),
    "not-valid": ("kịch bản đã hết hạn hoặc bị thu hồi", "the playbook is out of date or revoked"),
    "too-many": ("đang chạy quá nhiều kịch bản", "too many playbooks run already"),
    "signatures": ("thiếu chữ ký: mở lại rồi ký lại", "signatures are missing: open it again and sign"),
    "not-asked": ("bước này không cần ai duyệt", "this step needs nobody's approval"),
    "step-unknown": ("không có bước này", "there is no such step"),
    "no-value": ("còn thiếu giá trị: {say}", "a value is missing: {say}"),
    "storage": ("đĩa của dịch vụ không ghi được", "the service's disk does not take it"),
    "missing-package": (
        "thiếu ssh-keygen: cài gói openssh-client", "ssh-keygen is missing: install openssh-client",
    ),
}  # fmt: skip
"""What a service refuses, by code. Those of incidents and of approvals stand where those are spoken of."""


def speech(lang: str) -> Say:
    """The words of ``lang``; an unknown one is Vietnamese."""
    column = LANGS.index(lang) if lang in LANGS else 0

    def say(key: str, /, **values: object) -> str:
        text = WORDS[key][column]
        return text.format_map(values) if values else text

    return say


def trouble(name: str, code: str, say: Say) -> str:
    """What is wrong with a service (``ops``, ``gateway``), in one sentence."""
    match code:
        case "peer-unreachable":
            return say(f"away-{name}")
        case "no-token":
            return say("away-token")
        case _:
            return say("away-odd", who=say(name), code=code)


def age(seconds: float | None, say: Say) -> str:
    """How old what is shown is, in steps that do not ask for a repaint each second."""
    if seconds is None:
        return say("age-none")
    if seconds < 6:
        return say("age-fresh")
    if seconds < 120:
        return say("age-seconds", n=int(seconds))
    if seconds < 2 * 3600:
        return say("age-minutes", n=int(seconds // 60))
    return say("age-hours", n=int(seconds // 3600))


def ago(seconds: float, say: Say) -> str:
    """How long something is ago, short, to the minute."""
    if seconds < 60:
        return say("ago-now")
    if seconds < 2 * 3600:
        return say("ago-minutes", n=int(seconds // 60))
    if seconds < 48 * 3600:
        return say("ago-hours", n=int(seconds // 3600))
    return say("ago-days", n=int(seconds // 86_400))
