"""Names of mailboxes: what people call them in their language, and paths, names apart by slashes."""

from __future__ import annotations

from collections.abc import Mapping

from problems import MailboxProtected

SPECIAL_USES = ("\\Sent", "\\Trash", "\\Drafts", "\\Junk")
_ENGLISH = ("Sent Mail", "Trash", "Drafts", "Junk")
_NAMES: Mapping[str, tuple[str, str, str, str]] = {
    "ar": ("البريد المرسل", "سلة المهملات", "المسودات", "البريد غير المرغوب فيه"),
    "bg": ("Изпратени", "Кошче", "Чернови", "Спам"),
    "ca": ("Enviats", "Paperera", "Esborranys", "Correu brossa"),
    "cs": ("Odeslaná pošta", "Koš", "Koncepty", "Spam"),
    "da": ("Sendt post", "Papirkurv", "Kladder", "Uønsket post"),
    "de": ("Gesendet", "Papierkorb", "Entwürfe", "Spam"),
    "el": ("Απεσταλμένα", "Κάδος απορριμμάτων", "Πρόχειρα", "Ανεπιθύμητα"),
    "es": ("Enviados", "Papelera", "Borradores", "Correo no deseado"),
    "et": ("Saadetud kirjad", "Prügikast", "Mustandid", "Rämpspost"),
    "fi": ("Lähetetyt", "Roskakori", "Luonnokset", "Roskaposti"),
    "fr": ("Messages envoyés", "Corbeille", "Brouillons", "Courrier indésirable"),
    "he": ("דואר שנשלח", "אשפה", "טיוטות", "דואר זבל"),
    "hi": ("भेजे गए संदेश", "ट्रैश", "ड्राफ़्ट", "स्पैम"),
    "hr": ("Poslano", "Otpad", "Skice", "Neželjena pošta"),
    "hu": ("Elküldött", "Kuka", "Piszkozatok", "Levélszemét"),
    "id": ("Terkirim", "Sampah", "Draf", "Spam"),
    "it": ("Posta inviata", "Cestino", "Bozze", "Posta indesiderata"),
    "ja": ("送信済み", "ゴミ箱", "下書き", "迷惑メール"),
    "ko": ("보낸 편지함", "휴지통", "임시 보관함", "스팸함"),
    "lt": ("Išsiųsti", "Šiukšlinė", "Juodraščiai", "Brukalas"),
    "lv": ("Nosūtītie", "Atkritne", "Melnraksti", "Mēstules"),
    "nb": ("Sendt", "Papirkurv", "Utkast", "Søppelpost"),
    "nl": ("Verzonden", "Prullenbak", "Concepten", "Ongewenste e-mail"),
    "no": ("Sendt", "Papirkurv", "Utkast", "Søppelpost"),
    "pl": ("Wysłane", "Kosz", "Wersje robocze", "Niechciane"),
    "pt": ("Enviados", "Lixeira", "Rascunhos", "Lixo eletrônico"),
    "ro": ("Trimise", "Coș de gunoi", "Schițe", "Mesaje nedorite"),
    "ru": ("Отправленные", "Корзина", "Черновики", "Спам"),
    "sk": ("Odoslaná pošta", "Kôš", "Koncepty", "Spam"),
    "sl": ("Poslano", "Smeti", "Osnutki", "Neželena pošta"),
    "sr": ("Послато", "Смеће", "Нацрти", "Непожељно"),
    "sv": ("Skickat", "Papperskorg", "Utkast", "Skräppost"),
    "th": ("ส่งแล้ว", "ถังขยะ", "ฉบับร่าง", "จดหมายขยะ"),
    "tr": ("Gönderilmiş", "Çöp", "Taslaklar", "Önemsiz"),
    "uk": ("Надіслані", "Кошик", "Чернетки", "Спам"),
    "vi": ("Thư đã gửi", "Thùng rác", "Thư nháp", "Thư rác"),
    "zh": ("已发送邮件", "已删除邮件", "草稿箱", "垃圾邮件"),
}


def mailbox_names(language: str | None, given: Mapping[str, str]) -> dict[str, str]:
    """The path of each special-use mailbox: the given one (`sent`, `trash`, `drafts`, `junk`), else translated.

    The language is what stands before an underscore; an unknown one means English.
    """
    code = (language or "").lower().partition("_")[0]
    names = dict(zip(SPECIAL_USES, _NAMES.get(code, _ENGLISH), strict=True))
    return {use: given.get(use[1:].lower()) or name for use, name in names.items()}


_MOST_SEGMENTS, _LONGEST_SEGMENT = 128, 512


def normalize_path(path: str) -> str:
    """Without a slash at either end; a first segment `inbox` in any case is INBOX."""
    path = path.removeprefix("/").removesuffix("/")
    first, slash, rest = path.partition("/")
    return ("INBOX" if first.lower() == "inbox" else first) + slash + rest


LIMITS = f"{_MOST_SEGMENTS} levels at most, each of {_LONGEST_SEGMENT} characters at most"


def checked_path(path: str) -> str:
    """The normalized path. Raises MailboxProtected when it is too deep or a name too long."""
    path = normalize_path(path)
    if not is_within_limits(path):
        raise MailboxProtected(f"A path has {LIMITS}")
    return path


def is_within_limits(path: str) -> bool:
    """Return whether a path is not too deep and no name in it too long."""
    segments = normalize_path(path).split("/")
    return len(segments) <= _MOST_SEGMENTS and all(_units(name) <= _LONGEST_SEGMENT for name in segments)


def _units(text: str) -> int:
    """Length in UTF-16, as WildDuck counts."""
    return len(text.encode("utf-16-le")) // 2
