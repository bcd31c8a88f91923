"""The field types of a brief: limited text, money, dates and URLs, with messages that say what to write."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from babel import Locale
from babel.core import get_global
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from slugify import slugify

MONEY_MAX = Decimal("999999999999.99")
# Direction overrides can make a name look like another one; the last two are not characters.
_REFUSED = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff")
_PLAIN_NUMBER = re.compile(r"\d{1,15}(\.\d{1,20})?")
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def slug_of(text: str, max_length: int = 60) -> str:
    """Return a lower-case ASCII slug, never empty; a short hash distinguishes what it cannot spell."""
    slug = str(slugify(text))
    plain = [char for char in unicodedata.normalize("NFKD", text) if unicodedata.category(char) != "Mn"]
    if slug and len(slug) <= max_length and all(char.isascii() or not char.isalnum() for char in plain):
        return slug
    digest = hashlib.sha256(text.casefold().encode()).hexdigest()[:6]
    return f"{slug[: max_length - 7].rstrip('-')}-{digest}".lstrip("-")


def _refuse_controls(text: str, allowed: str) -> None:
    for char in text:
        if char in allowed:
            continue
        if char in _REFUSED or unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}:
            raise ValueError(
                "must not contain control characters or line breaks" + ("" if allowed else " here")
            )


def _one_line(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip()
    _refuse_controls(text, "")
    return text


def _paragraph(value: Any) -> Any:
    """Return text of several lines; a list of strings is one line each."""
    if isinstance(value, list | tuple) and len(value) <= 50 and all(isinstance(item, str) for item in value):
        value = "\n".join(value)
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\t", " ").strip()
    _refuse_controls(text, "\n")
    return text


def _number(value: Any) -> Decimal | None:
    """Return the exact value of a number, or of a number in text, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if _THOUSANDS.fullmatch(text):
            text = text.replace(",", "")
        return Decimal(text) if _PLAIN_NUMBER.fullmatch(text) and text.isascii() else None
    if isinstance(value, int):
        return Decimal(value) if abs(value) < 10**15 else None
    if isinstance(value, float | Decimal):
        number = Decimal(str(value))
        return number if number.is_finite() and abs(number) < 10**15 else None
    return None


def _money(value: Any) -> Decimal:
    number = _number(value)
    if number is None or number <= 0:
        raise ValueError("must be a number above 0")
    if number > MONEY_MAX:
        raise ValueError(f"must be at most {MONEY_MAX:,}")
    exact = number.quantize(Decimal("0.01"))
    if exact != number:
        raise ValueError("must have at most 2 decimals")
    return exact if exact % 1 else exact.quantize(Decimal(1))


def _price(value: Any) -> Any:
    """Return an amount in the brief's currency as digits, or words such as "from 12 a month"."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(_money(value))
    text = _one_line(value)
    number = _number(text) if isinstance(text, str) else None
    return text if number is None else str(_money(number))


def _figure(value: Any) -> Any:
    """Return the target of a KPI: text, or a number as it was written."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = _number(value)
        if number is None:
            raise ValueError("must be text or a plain number")
        return format(number, "f")
    return _one_line(value)


def _whole(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) > 10**9):
        raise ValueError("must be a whole number")
    return value


def _day(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        day = value
    elif isinstance(value, str) and _ISO_DATE.fullmatch(value.strip()):
        try:
            day = date.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("must be a valid date") from None
    else:
        raise ValueError("must be a date written YYYY-MM-DD")
    if not 2000 <= day.year <= 2100:
        raise ValueError("must be a date between 2000 and 2100")
    return day


@cache
def _currencies() -> frozenset[str]:
    """Return the ISO 4217 codes that are legal tender somewhere today."""
    places: Mapping[str, Any] = get_global("territory_currencies")
    in_use = {code for rows in places.values() for code, _, end, tender in rows if tender and end is None}
    return frozenset(in_use & set(Locale("en").currencies))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _currency(value: str) -> str:
    code = value.upper()
    if code not in _currencies():
        raise ValueError("must be a currency code of ISO 4217, such as USD or EUR")
    return code


def _zone(value: str) -> str:
    if value not in _zones():
        raise ValueError("must be a time zone name, such as Europe/Berlin")
    return value


def _https(value: str) -> str:
    wrong = ValueError("must be an https address with a host name, such as https://www.example.com/page")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme != "https" or not re.fullmatch(r"[^\W_]([\w-]*\.)+[^\W_][\w-]*", host):
        raise wrong
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or a password")
    if re.search(r"[\s<>\"'`\\{}|^]", value):
        raise ValueError("must not contain spaces, quotes or brackets")
    return value


def _line(maximum: int, minimum: int = 0) -> Any:
    return StringConstraints(strict=True, min_length=minimum, max_length=maximum)


# Pydantic runs the cleaning before the limits although they are listed first, so they limit the result.
Name = Annotated[str, _line(120, 1), BeforeValidator(_one_line)]
Short = Annotated[str, _line(200), BeforeValidator(_one_line)]
ShortItem = Annotated[str, _line(200, 1), BeforeValidator(_one_line)]
Paragraph = Annotated[str, _line(4000), BeforeValidator(_paragraph)]
ParagraphItem = Annotated[str, _line(4000, 1), BeforeValidator(_paragraph)]
Price = Annotated[str, _line(200), BeforeValidator(_price)]
Figure = Annotated[str, _line(120, 1), BeforeValidator(_figure)]
Money = Annotated[Decimal, BeforeValidator(_money)]
Day = Annotated[date, BeforeValidator(_day)]
Currency = Annotated[str, _line(3, 3), BeforeValidator(_one_line), AfterValidator(_currency)]
Zone = Annotated[str, _line(80, 1), BeforeValidator(_one_line), AfterValidator(_zone)]
Address = Annotated[str, _line(1000, 1), BeforeValidator(_one_line), AfterValidator(_https)]
Year = Annotated[int, Field(ge=2000, le=2100), BeforeValidator(_whole)]
Pixels = Annotated[int, Field(ge=40, le=8000), BeforeValidator(_whole)]
Days = Annotated[int, Field(ge=-730, le=1095), BeforeValidator(_whole)]
