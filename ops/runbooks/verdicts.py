"""What is said about a playbook's problems: by code, in Vietnamese and English. ``{what}`` is what it is about.

A literal table, not a catalog: the rules, their words and the test that none is missing stay side by side.
"""

from __future__ import annotations

from collections.abc import Mapping

Told = tuple[str, str]
"""What is wrong; what to do next."""

FILE: Mapping[str, Mapping[str, Told]] = {
    "unreadable": {
        "vi": ("Không đọc được tệp: {what}", "kiểm tra quyền đọc của tệp và thư mục"),
        "en": ("the file cannot be read: {what}", "check who may read the file and its folder"),
    },
    "too-many": {
        "vi": ("Thư mục có {what} tệp, chỉ xem được một phần", "dời bớt tệp đi nơi khác"),
        "en": ("the folder has {what} files, and not all are looked at", "move some of them away"),
    },
    "too-long": {
        "vi": ("Kịch bản quá lớn: {what}", "chia thành nhiều kịch bản nhỏ"),
        "en": ("the playbook is too large: {what}", "split it into smaller ones"),
    },
    "bad-json": {
        "vi": ("Tệp hỏng: {what}", "xem lại chương trình đã ghi tệp này"),
        "en": ("the file is damaged: {what}", "see what wrote it"),
    },
    "form": {
        "vi": ("Sai mẫu CACAO 2.0 ở {what}", "sửa chỗ đó theo chuẩn"),
        "en": ("not in the form of CACAO 2.0, {what}", "correct that place"),
    },
    "bad-signature": {
        "vi": ("Chữ ký sai: tệp đã bị sửa sau khi ký", "xem ai đã sửa, rồi ký lại bằng mocban runbook sign --replace"),
        "en": ("its signature is wrong: it was changed after it was signed",
               "see who changed it, then sign it anew with mocban runbook sign --replace"),
    },
}  # fmt: skip

FLOW: Mapping[str, Mapping[str, Told]] = {
    "no-start": {
        "vi": ("Không có bước bắt đầu: {what}", "đặt workflow_start là mã của bước loại start"),
        "en": ("there is no start step: {what}", "let workflow_start name a step of type start"),
    },
    "two-starts": {
        "vi": ("Có hơn một bước bắt đầu: {what}", "chỉ giữ lại một bước"),
        "en": ("there is more than one start step: {what}", "keep one of them"),
    },
    "no-action": {
        "vi": ("Kịch bản không làm gì cả", "thêm ít nhất một bước loại action"),
        "en": ("the playbook does nothing", "add at least one action step"),
    },
    "missing-step": {
        "vi": ("Dẫn đến một bước không có ({what})", "sửa mã của bước, hoặc thêm bước đó"),
        "en": ("it leads to a step that is not there ({what})", "correct the id, or add the step"),
    },
    "unreachable": {
        "vi": ("Không đường nào đến bước “{what}”", "nối bước này vào, hoặc bỏ đi"),
        "en": ("no way leads to the step “{what}”", "connect it, or take it out"),
    },
    "loop": {
        "vi": ("Bước “{what}” quay lại chính nó", "bỏ đường quay lại: vòng lặp không được chạy"),
        "en": ("the step “{what}” comes back to itself", "take out the way back: loops are not executed"),
    },
    "no-end": {
        "vi": ("Từ bước “{what}” không đến được bước kết thúc", "nối nhánh này đến một bước loại end"),
        "en": ("the step “{what}” never comes to an end", "lead its branch to a step of type end"),
    },
    "mixed-next": {
        "vi": ("Bước “{what}” đi tiếp theo hai cách", "chỉ dùng on_completion, hoặc on_success cùng on_failure"),
        "en": ("the step “{what}” goes on in two ways", "use on_completion alone, or on_success with on_failure"),
    },
    "shared-step": {
        "vi": ("Bước “{what}” nằm trong hơn một nhánh nên sẽ chạy hai lần",
               "cho mỗi nhánh những bước và bước kết thúc riêng"),
        "en": ("the step “{what}” lies in more than one branch and would be done twice",
               "give each branch steps and an end of its own"),
    },
    "unsupported-step": {
        "vi": ("Loại bước {what} chưa chạy được ở đây", "đổi thành start, end, action, if-condition hoặc parallel"),
        "en": ("steps of type {what} cannot be executed here", "use start, end, action, if-condition or parallel"),
    },
    "undoes-nothing": {
        "vi": ("Bước này hoàn tác một bước không có lệnh hoàn tác: {what}", "đặt undoes là mã của bước action có undo"),
        "en": ("it undoes a step that has no undo: {what}", "let undoes name an action step with undo"),
    },
    "undoes-too-soon": {
        "vi": ("Có đường đến bước này mà chưa qua “{what}” là bước cần hoàn tác", "chỉ đi đến bước này sau bước đó"),
        "en": ("a way leads here without “{what}”, which this undoes", "lead here only after that step"),
    },
    "undoes-differs": {
        "vi": ("Lệnh ở đây khác lệnh hoàn tác đã duyệt cùng bước “{what}”",
               "viết đúng các lệnh undo, agent và targets của bước đó"),
        "en": ("its commands are not those approved as the undo of “{what}”",
               "write the undo, agent and targets of that step"),
    },
    "undoes-asks": {
        "vi": ("Bước hoàn tác “{what}” đòi duyệt lại hoặc có hoàn tác riêng",
               "bỏ approval và undo: bước này được duyệt cùng bước nó hoàn tác"),
        "en": ("the undoing step “{what}” asks for approval or has an undo itself",
               "take out approval and undo: it is approved with what it undoes"),
    },
}  # fmt: skip

DATA: Mapping[str, Mapping[str, Told]] = {
    "undeclared": {
        "vi": ("Biến {what} chưa được khai báo", "khai báo trong playbook_variables hoặc step_variables"),
        "en": ("the variable {what} is not declared", "declare it in playbook_variables or step_variables"),
    },
    "unknown-type": {
        "vi": ("Kiểu biến không có trong chuẩn ({what})", "dùng một kiểu của CACAO 2.0, ví dụ string"),
        "en": ("the standard has no such type of variable ({what})", "use one of CACAO 2.0, as string"),
    },
    "undescribed": {
        "vi": ("Người khởi động phải cho biến {what} mà không biết là gì", "thêm description cho biến"),
        "en": ("whoever starts it must give {what} and is not told what it is", "add a description to the variable"),
    },
    "constant-external": {
        "vi": ("Biến {what} vừa là hằng vừa do người khởi động cho", "bỏ constant hoặc external"),
        "en": ("the variable {what} is constant, and is to be given at the start", "take out constant or external"),
    },
    "bad-value": {
        "vi": ("Giá trị không đúng kiểu: {what}", "sửa giá trị hoặc kiểu của biến"),
        "en": ("a value has not its type: {what}", "correct the value or the type"),
    },
    "constant-changed": {
        "vi": ("Bước này ghi vào hằng {what}", "bỏ khỏi out_args, hoặc bỏ constant"),
        "en": ("it sets the constant {what}", "take it out of out_args, or constant out of the variable"),
    },
    "bad-condition": {
        "vi": ("Điều kiện viết sai: {what}", "viết như: __ten__:value = 'chữ'"),
        "en": ("its condition is wrong: {what}", "write it as: __name__:value = 'text'"),
    },
    "undefined-agent": {
        "vi": ("Không có agent {what}", "thêm vào agent_definitions"),
        "en": ("there is no agent {what}", "add it to agent_definitions"),
    },
    "undefined-target": {
        "vi": ("Không có target {what}", "thêm vào target_definitions"),
        "en": ("there is no target {what}", "add it to target_definitions"),
    },
    "undefined-auth": {
        "vi": ("Không có thông tin đăng nhập {what}", "thêm vào authentication_info_definitions"),
        "en": ("there is no authentication information {what}", "add it to authentication_info_definitions"),
    },
    "undefined-extension": {
        "vi": ("Phần mở rộng {what} không được định nghĩa", "thêm vào extension_definitions"),
        "en": ("the extension {what} is not defined", "add it to extension_definitions"),
    },
    "foreign-extension": {
        "vi": ("Phần mở rộng “{what}” không được hiểu ở đây", "bước sẽ chạy như không có phần đó"),
        "en": ("the extension “{what}” is not understood here", "it runs as if it were not there"),
    },
}  # fmt: skip

COMMAND: Mapping[str, Mapping[str, Told]] = {
    "unsupported-command": {
        "vi": ("Lệnh loại {what} chưa chạy được ở đây", "dùng manual, http-api hoặc mocban-order"),
        "en": ("commands of type {what} cannot be executed here", "use manual, http-api or mocban-order"),
    },
    "empty-command": {
        "vi": ("Lệnh {what} không có nội dung", "viết vào command"),
        "en": ("a command of type {what} says nothing", "write it in command"),
    },
    "no-timeout": {
        "vi": ("Bước “{what}” không có thời hạn", "thêm timeout tính bằng mili giây"),
        "en": ("the step “{what}” has no timeout", "add timeout, in milliseconds"),
    },
    "bad-order": {
        "vi": ("Lệnh thiết bị viết sai: {what}", "viết như: gate set-mode mode=silent seconds=900"),
        "en": ("an order is written wrong: {what}", "write it as: gate set-mode mode=silent seconds=900"),
    },
    "unknown-command": {
        "vi": ("Thiết bị không có lệnh này: {what}", "xem các lệnh trong docs/contract.md"),
        "en": ("no device knows this order: {what}", "see the orders in docs/contract.md"),
    },
    "wrong-app": {
        "vi": ("Loại thiết bị này không nghe lệnh đó: {what}", "đổi thiết bị hoặc đổi lệnh"),
        "en": ("this kind of device does not obey it: {what}", "name another kind, or another order"),
    },
    "bad-args": {
        "vi": ("Tham số của lệnh sai: {what}", "xem tham số trong docs/contract.md"),
        "en": ("an argument of the order is wrong: {what}", "see its arguments in docs/contract.md"),
    },
    "bad-request": {
        "vi": ("Yêu cầu HTTP viết sai: {what}", "viết như: POST https://gateway.example/api/v1/notes"),
        "en": ("an HTTP request is written wrong: {what}", "write it as: POST https://gateway.example/api/v1/notes"),
    },
    "order-agent": {
        "vi": ("Lệnh thiết bị chỉ đi qua agent tên gateway, không phải “{what}”",
               "dùng agent loại organization hoặc http-api tên gateway"),
        "en": ("orders go through an agent named gateway, not “{what}”",
               "use an agent of type organization or http-api named gateway"),
    },
    "no-device": {
        "vi": ("Lệnh thiết bị không gửi đến thiết bị nào (“{what}”)", "thêm target loại mocban-device"),
        "en": ("an order is for no device (“{what}”)", "add a target of type mocban-device"),
    },
    "bad-device": {
        "vi": ("“{what}” không phải mã thiết bị", "dùng 3 đến 32 ký tự a-z, 0-9 và -"),
        "en": ("“{what}” is no device id", "use 3 to 32 characters of a-z, 0-9 and -"),
    },
}  # fmt: skip

DANGER: Mapping[str, Mapping[str, Told]] = {
    "unapproved": {
        "vi": ("Lệnh ảnh hưởng bạn đọc mà không hỏi ai, cũng không tự hết: {what}",
               "đặt approval.persons, hoặc thêm seconds"),
        "en": ("an order patrons feel asks nobody and does not end by itself: {what}",
               "set approval.persons, or add seconds"),
    },
    "no-undo": {
        "vi": ("Lệnh này không có cách hoàn tác: {what}", "thêm undo, ví dụ gate set-mode mode=open"),
        "en": ("there is no way back from {what}", "add undo, as gate set-mode mode=open"),
    },
    "irreversible": {
        "vi": ("Lệnh này không hoàn tác được: {what}", "chỉ giữ nếu thật sự cần"),
        "en": ("it cannot be undone: {what}", "keep it only if it must be"),
    },
    "blind-retry": {
        "vi": ("Lệnh phá huỷ được gửi lại mà không hỏi: {what}", "đặt on_unknown là ask"),
        "en": ("a destructive order is sent again without asking: {what}", "set on_unknown to ask"),
    },
    "unapproved-activity": {
        "vi": ("Việc loại {what} chạy mà không ai duyệt", "đặt approval.persons cho bước"),
        "en": ("work of the kind {what} is done with nobody's approval", "set approval.persons of the step"),
    },
    "inline-secret": {
        "vi": ("Bí mật nằm ngay trong tệp ({what})", "thay bằng biến external, và đổi bí mật đã lộ"),
        "en": ("a secret stands in the file ({what})", "put an external variable in its place, and change the secret"),
    },
    "login-secret": {
        "vi": ("Có vẻ có bí mật trong tệp ({what})", "bỏ ra khỏi tệp, và đổi bí mật đã lộ"),
        "en": ("what looks like a secret stands in the file ({what})", "take it out of the file, and change it"),
    },
}  # fmt: skip

WHOLE: Mapping[str, Mapping[str, Told]] = {
    "summary": {
        "vi": ("Tóm tắt không khớp nội dung ({what})", "sửa playbook_processing_summary"),
        "en": ("the summary does not match the content ({what})", "correct playbook_processing_summary"),
    },
    "no-activity": {
        "vi": ("Có playbook_types mà không có playbook_activities", "liệt kê các hoạt động"),
        "en": ("there are playbook_types without playbook_activities", "list the activities"),
    },
    "activity": {
        "vi": ("Không lệnh nào làm hoạt động {what}", "bỏ khỏi playbook_activities, hoặc ghi vào lệnh"),
        "en": ("no command does the activity {what}", "take it out of playbook_activities, or name it at a command"),
    },
    "revoked": {
        "vi": ("Kịch bản đã bị thu hồi", "dùng phiên bản mới"),
        "en": ("the playbook was revoked", "use a newer one"),
    },
    "times": {
        "vi": ("Thời điểm không hợp lý ({what})", "modified không được trước created"),
        "en": ("its times cannot be ({what})", "modified is not before created"),
    },
    "never-valid": {
        "vi": ("Kịch bản hết hạn trước khi có hiệu lực", "sửa valid_from và valid_until"),
        "en": ("it ends before it begins to be valid", "correct valid_from and valid_until"),
    },
    "no-words": {
        "vi": ("Chưa có lời cho nhân viên bằng cả hai ngôn ngữ", "thêm words.vi và words.en"),
        "en": ("it has not its words for the staff in both languages", "add words.vi and words.en"),
    },
    "drill-step": {
        "vi": ("Bài tập nói đến một bước không có: {what}", "sửa mã của bước"),
        "en": ("the drill names a step that is not there: {what}", "correct the id"),
    },
    "drill-path": {
        "vi": ("Bài tập đi khác với drill.path ({what})", "sửa answers hoặc path"),
        "en": ("the drill goes another way than drill.path ({what})", "correct its answers or its path"),
    },
    "drill-variable": {
        "vi": ("Bài tập không cho giá trị của {what}", "thêm vào drill.variables"),
        "en": ("the drill gives no value to {what}", "add it to drill.variables"),
    },
}  # fmt: skip

VERDICTS: Mapping[str, Mapping[str, Told]] = {**FILE, **FLOW, **DATA, **COMMAND, **DANGER, **WHOLE}
