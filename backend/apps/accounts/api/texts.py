"""What people read when something is refused: one sentence per code, in every language of the API.

It must not know statuses or headers; `code` never changes with the language.
"""

from collections.abc import Mapping
from typing import Final

Words = Mapping[str, str]  # language to sentence

DETAILS: Final[Mapping[str, Words]] = {
    "invalid_request": {
        "en": "The request could not be understood.",
        "ar": "تعذّر فهم الطلب.",
    },
    "invalid_phone_number": {
        "en": "Enter a valid mobile number in international format, such as +9665XXXXXXXX.",
        "ar": "أدخل رقم جوال صحيحًا بالصيغة الدولية، مثل ‎+9665XXXXXXXX.",
    },
    "invalid_otp": {
        "en": "Invalid or expired OTP",
        "ar": "رمز التحقق غير صحيح أو منتهي الصلاحية",
    },
    "not_authenticated": {
        "en": "Please log in first.",
        "ar": "يرجى تسجيل الدخول أولًا.",
    },
    "token_invalid": {
        "en": "The token is not valid.",
        "ar": "رمز الدخول غير صالح.",
    },
    "token_expired": {
        "en": "The token has expired.",
        "ar": "انتهت صلاحية رمز الدخول.",
    },
    "session_revoked": {
        "en": "This session has ended. Please log in again.",
        "ar": "انتهت هذه الجلسة. يرجى تسجيل الدخول من جديد.",
    },
    "refresh_reused": {
        "en": "This session was ended for your safety. Please log in again.",
        "ar": "أُنهيت هذه الجلسة حفاظًا على أمانك. يرجى تسجيل الدخول من جديد.",
    },
    "blocked": {
        "en": "This request cannot be served. Please contact support.",
        "ar": "لا يمكن تنفيذ هذا الطلب. يرجى التواصل مع الدعم.",
    },
    "country_not_allowed": {
        "en": "Codes cannot be sent to this country at the moment.",
        "ar": "لا يمكن إرسال الرموز إلى هذا البلد حاليًا.",
    },
    "account_disabled": {
        "en": "This account is disabled. Please contact support.",
        "ar": "هذا الحساب معطّل. يرجى التواصل مع الدعم.",
    },
    "step_up_required": {
        "en": "Please confirm with a new code first.",
        "ar": "يرجى التأكيد برمز جديد أولًا.",
    },
    "proof_required": {
        "en": "Please confirm that you are not a robot.",
        "ar": "يرجى تأكيد أنك لست روبوتًا.",
    },
    "forbidden": {
        "en": "You may not open this page.",
        "ar": "لا يُسمح لك بفتح هذه الصفحة.",
    },
    "user_not_found": {
        "en": "There is no account with this number.",
        "ar": "لا يوجد حساب بهذا الرقم.",
    },
    "not_found": {
        "en": "Nothing was found here.",
        "ar": "لم يُعثر على شيء هنا.",
    },
    "method_not_allowed": {
        "en": "This method is not available here.",
        "ar": "هذه الطريقة غير متاحة هنا.",
    },
    "phone_in_use": {
        "en": "This number belongs to another account.",
        "ar": "هذا الرقم مرتبط بحساب آخر.",
    },
    "request_in_progress": {
        "en": "The same request is still being worked on.",
        "ar": "ما زال الطلب نفسه قيد التنفيذ.",
    },
    "force_required": {
        "en": "This would affect everybody or yourself. Repeat it with force to confirm.",
        "ar": "سيؤثر هذا في الجميع أو فيك أنت. أعد الطلب مع force للتأكيد.",
    },
    "body_too_large": {
        "en": "The request is too large.",
        "ar": "حجم الطلب كبير جدًا.",
    },
    "unsupported_media_type": {
        "en": "Send JSON with the content type application/json.",
        "ar": "أرسل JSON بنوع المحتوى application/json.",
    },
    "phone_unreachable": {
        "en": "This number cannot receive our messages.",
        "ar": "لا يمكن لهذا الرقم استقبال رسائلنا.",
    },
    "channel_unavailable": {
        "en": "Messages cannot be sent this way. Please choose another.",
        "ar": "لا يمكن الإرسال بهذه الوسيلة. يرجى اختيار وسيلة أخرى.",
    },
    "idempotency_key_reused": {
        "en": "This idempotency key was used for another request.",
        "ar": "استُخدم مفتاح التكرار هذا لطلب آخر.",
    },
    "resend_cooldown": {
        "en": "A code was sent a moment ago. Please wait before you ask for another.",
        "ar": "أُرسل رمز قبل قليل. يرجى الانتظار قبل طلب رمز آخر.",
    },
    "rate_limited": {
        "en": "Too many requests. Please try again later.",
        "ar": "طلبات كثيرة جدًا. يرجى المحاولة لاحقًا.",
    },
    "too_many_attempts": {
        "en": "Too many wrong codes. Please try again later.",
        "ar": "محاولات خاطئة كثيرة. يرجى المحاولة لاحقًا.",
    },
    "internal_error": {
        "en": "Something went wrong on our side.",
        "ar": "حدث خطأ من جانبنا.",
    },
    "delivery_failed": {
        "en": "The code could not be sent. Please try again shortly.",
        "ar": "تعذّر إرسال الرمز. يرجى المحاولة بعد قليل.",
    },
    "service_unavailable": {
        "en": "The service is not available at the moment. Please try again shortly.",
        "ar": "الخدمة غير متاحة حاليًا. يرجى المحاولة بعد قليل.",
    },
}

# What `AccountsError.detail_key` may name: a more exact sentence for the same code.
EXACT: Final[Mapping[str, Words]] = {
    "malformed_json": {"en": "The body is not well-formed JSON.", "ar": "نص الطلب ليس JSON سليمًا."},
    "not_an_object": {"en": "The body must be a JSON object.", "ar": "يجب أن يكون نص الطلب كائن JSON."},
    "truncated_body": {"en": "The body ended too early.", "ar": "انتهى نص الطلب قبل اكتماله."},
    "not_text": {"en": "The body holds characters that no text has.", "ar": "يحتوي نص الطلب على محارف غير مسموحة."},
    "bad_host": {"en": "This host name is not served here.", "ar": "اسم المضيف هذا غير معروف هنا."},
    "idempotency_key": {
        "en": "Idempotency-Key must be 16 to 128 visible ASCII characters.",
        "ar": "يجب أن يتكوّن Idempotency-Key من 16 إلى 128 محرفًا مرئيًا من ASCII.",
    },
    "not_for_this_account": {
        "en": "This is not permitted for this account.",
        "ar": "هذا غير مسموح لهذا الحساب.",
    },
    "read_outs": {
        "en": "This operator made too many read-out codes within the hour. Please try again later.",
        "ar": "أنشأ هذا المشغّل رموزًا كثيرة خلال الساعة. يرجى المحاولة لاحقًا.",
    },
    "destination": {
        "en": "No more codes can be sent there for now. Please try again later.",
        "ar": "لا يمكن إرسال مزيد من الرموز إلى هذه الوجهة الآن. يرجى المحاولة لاحقًا.",
    },
    "early": {
        "en": "Too many wrong codes. Please wait a moment before the next try.",
        "ar": "محاولات خاطئة كثيرة. يرجى الانتظار قليلًا قبل المحاولة التالية.",
    },
    "day": {
        "en": "Too many wrong codes today. Please try again tomorrow.",
        "ar": "محاولات خاطئة كثيرة اليوم. يرجى المحاولة غدًا.",
    },
    "shut": {
        "en": "Too many wrong codes. Please log in another way or contact support.",
        "ar": "محاولات خاطئة كثيرة. يرجى الدخول بطريقة أخرى أو التواصل مع الدعم.",
    },
}

SCOPES: Final[Mapping[str, Words]] = {
    "phone": {
        "en": "Too many codes were requested for this number. Please try again later.",
        "ar": "طُلبت رموز كثيرة لهذا الرقم. يرجى المحاولة لاحقًا.",
    },
    "ip": {
        "en": "Too many requests from your network. Please try again later.",
        "ar": "طلبات كثيرة من شبكتك. يرجى المحاولة لاحقًا.",
    },
    "device": {
        "en": "Too many requests from this device. Please try again later.",
        "ar": "طلبات كثيرة من هذا الجهاز. يرجى المحاولة لاحقًا.",
    },
    "global": {
        "en": "The service is very busy. Please try again in a minute.",
        "ar": "الخدمة مزدحمة جدًا. يرجى المحاولة بعد دقيقة.",
    },
}

FIELD_FAULTS: Final[Mapping[str, Words]] = {
    "required": {"en": "This field is required.", "ar": "هذا الحقل مطلوب."},
    "null": {"en": "This field must not be null.", "ar": "لا يجوز أن يكون هذا الحقل فارغًا."},
    "type": {"en": "This field must be a string.", "ar": "يجب أن يكون هذا الحقل نصًا."},
    "type_whole": {"en": "This field must be a whole number.", "ar": "يجب أن يكون هذا الحقل عددًا صحيحًا."},
    "type_flag": {"en": "This field must be true or false.", "ar": "يجب أن تكون قيمة هذا الحقل true أو false."},
    "format": {
        "en": "Use the international format: + and 10 to 15 digits, such as +9665XXXXXXXX.",
        "ar": "استخدم الصيغة الدولية: علامة + ثم 10 إلى 15 رقمًا، مثل ‎+9665XXXXXXXX.",
    },
    "not_valid": {"en": "This is not valid.", "ar": "هذه القيمة غير صحيحة."},
    "not_canonical": {
        "en": "This number is spelled differently. Use the form given in canonical.",
        "ar": "يُكتب هذا الرقم بصيغة أخرى. استخدم الصيغة المذكورة في canonical.",
    },
    "cannot_receive_text": {
        "en": "This kind of number cannot receive text messages.",
        "ar": "لا يمكن لهذا النوع من الأرقام استقبال الرسائل النصية.",
    },
    "otp_format": {"en": "The code has 6 digits.", "ar": "يتكوّن الرمز من 6 أرقام."},
    "too_long": {"en": "This is too long.", "ar": "هذه القيمة أطول من المسموح."},
    "too_short": {"en": "This is too short.", "ar": "هذه القيمة أقصر من المطلوب."},
    "control_characters": {
        "en": "Control characters are not allowed.",
        "ar": "محارف التحكم غير مسموحة.",
    },
    "choice": {"en": "This is not one of the choices.", "ar": "هذه القيمة ليست من الخيارات المتاحة."},
    "range": {"en": "This is out of range.", "ar": "هذه القيمة خارج النطاق المسموح."},
    "device_id": {
        "en": "Use 1 to 128 of the characters A-Z, a-z, 0-9, dot, underscore and hyphen.",
        "ar": "استخدم من 1 إلى 128 من المحارف A-Z وa-z و0-9 والنقطة والشرطتين.",
    },
    "block_phone": {
        "en": "Use a whole number in the international format, such as +9665XXXXXXXX.",
        "ar": "استخدم رقمًا كاملًا بالصيغة الدولية، مثل ‎+9665XXXXXXXX.",
    },
    "block_prefix": {
        "en": "Use + and the first digits of the numbers, country code first, such as +96655.",
        "ar": "استخدم علامة + ثم الأرقام الأولى مع رمز الدولة، مثل ‎+96655.",
    },
    "block_ip": {
        "en": "Use an IPv4 or IPv6 address or network, such as 192.0.2.7 or 192.0.2.0/24.",
        "ar": "استخدم عنوان IPv4 أو IPv6 أو شبكة، مثل 192.0.2.7 أو 192.0.2.0/24.",
    },
    "lasting_seconds": {
        "en": "Use whole seconds from 1 to 31536000 (a year), or leave it empty.",
        "ar": "استخدم ثواني صحيحة من 1 إلى 31536000 (سنة)، أو اترك الحقل فارغًا.",
    },
    "note_length": {"en": "Say why in 3 to 255 characters.", "ar": "اذكر السبب في 3 إلى 255 محرفًا."},
    "one_required": {"en": "One of these fields is required.", "ar": "أحد هذه الحقول مطلوب."},
    "unknown": {"en": "Nothing is known by this name.", "ar": "لا يوجد شيء بهذا الاسم."},
}


def detail(code: str, *, detail_key: str | None = None, scope: str | None = None, language: str = "en") -> str:
    """Return the sentence for `code`, the more exact one where `detail_key` or `scope` names one."""
    words = EXACT.get(detail_key or "") or (SCOPES.get(scope or "") if code == "rate_limited" else None)
    return _in(words or DETAILS[code], language)


def field_fault(key: str, *, language: str = "en") -> str:
    """Return the sentence for a fault of one field; a key without one reads as "not valid"."""
    return _in(FIELD_FAULTS.get(key) or FIELD_FAULTS["not_valid"], language)


def _in(words: Words, language: str) -> str:
    return words.get(language) or words["en"]
