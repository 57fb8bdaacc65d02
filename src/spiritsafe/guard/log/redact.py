"""Redaction: personal data and keys taken out of what is kept. Pure; the time it takes grows as the text does.

    redact("mail jo@example.org or +49 151 1234567")     # "mail [email] or [phone]"

Found by their form: e-mail addresses; phone numbers with a plus, with separators or in brackets; card numbers whose
check digit is right; IBANs whose check number is right; IP addresses; API keys, bearer and web tokens, private keys,
and whatever is called a password, secret or token; any number of nine digits or more.

In bodies, JSON inside a string (the arguments of a tool call) is redacted as JSON. What no pattern can look into is
taken out whole: images and other data in base64, token ids, embeddings, and log-probabilities, whose tokens would spell
the text again.

Limits: names, addresses, dates of birth, and numbers written in words or with less than nine digits stay; so does what
is spread over several turns, is encoded, or is disguised. Numbers that happen to look like these are taken out too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

import orjson

from spiritsafe.guard.log.records import Record, dumped

OPAQUE_CHARS = 256
"""A string of so many characters that are all base64 is data, not text."""

LONG_NUMBER = 10**11
"""A JSON number from here on is taken out; times in seconds are smaller."""

# A pattern that begins with what it looks for, and looks behind it afterwards, is searched for several times faster.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*(?:-(?!----END)[^-]*)*(?:-----END [A-Z ]{0,40}-----)?"
)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk|ss|gsk|xai|hf|pplx|npm|pypi|dckr_pat|glpat|xox[a-z]|gh[a-z]|github_pat)[-_][A-Za-z0-9_-]{16,}"
    r"|A[KS]IA[0-9A-Z]{16}"
    r"|AIza[0-9A-Za-z_-]{30,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"
    r")"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s{1,4})[A-Za-z0-9._~+/=-]{12,}")
_NAMED = re.compile(
    r"(?i)((?:api[_-]?key|passw(?:or)?d|passphrase|secret|token)[\"']?\s{0,4}[:=]\s{0,4}[\"']?)"
    r"(?!\[)([^\s\"',;&<>]{6,})"
)
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_IBAN = re.compile(r"[A-Z](?<![A-Za-z0-9].)[A-Z]\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARD = re.compile(r"\d(?<!\d.)(?:[ -]?\d){12,18}(?!\d)")
_IP4 = re.compile(r"\d(?<![\d.].)\d{0,2}(?:\.\d{1,3}){3}(?!\d|\.\d)")
_IP6 = re.compile(
    r"[0-9A-Fa-f:](?<![\w:.].)[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){1,7}"
    r"(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?![\w:]|\.\d)"
)
_PHONE = re.compile(
    r"\+(?<![^\W\d].)\d(?:[ ()./-]{0,2}\d){6,14}(?!\d)"
    r"|[1-9(](?<![\d.,/-].)(?:(?<=1)[ .-])?\(?\d{2,3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)"
    r"|[0(](?<![\d.,/-].)\d{1,6}\)?[ ./-]{1,2}\d{2,8}(?:[ ./-]\d{2,6}){0,3}(?!\d)"
)
_DATE = re.compile(r"\d{1,2}[ ./-]\d{1,2}[ ./-]\d{2,4}")
_NUMBER = re.compile(r"\d(?<!\d.)(?<!\d\..)(?:\d{2}-\d{2}-\d{4}|\d{8,})(?!\d)")
_OPAQUE = re.compile(r"[A-Za-z0-9+/_=-]+")
_DATA_URL = re.compile(r"data:[\w.+/-]{0,100}(?:;[\w=.-]{0,100}){0,4},")

_TOKEN_MARKS = ("sk", "pk", "rk", "ss", "gsk", "xai", "hf", "pplx", "npm", "pypi", "_pat", "glpat", "xox", "gh")
_NAMES = ("key", "pass", "secret", "token")
_ANY_DIGIT = re.compile(r"\d")


def redact(text: str) -> str:
    """`text` with what was found replaced by its kind in brackets."""
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub("[key]", text)
    text = _without_keys(text)
    if "@" in text:
        text = _EMAIL.sub("[email]", text)
    if ":" in text:
        text = _IP6.sub(_checked("[ip]", _is_ip6), text)
    return _without_numbers(text) if _ANY_DIGIT.search(text) else text


def _without_keys(text: str) -> str:
    if "AIza" in text or "KIA" in text or "SIA" in text or "eyJ" in text or any(mark in text for mark in _TOKEN_MARKS):
        text = _TOKEN.sub("[key]", text)
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered:
        text = _BEARER.sub(r"\1\2[key]", text)
    if any(name in lowered for name in _NAMES):
        text = _NAMED.sub(r"\1[key]", text)
    return text


def _without_numbers(text: str) -> str:
    text = _IBAN.sub(_checked("[iban]", _is_iban), text)
    text = _CARD.sub(_checked("[card]", _is_card), text)
    if "." in text:
        text = _IP4.sub(_checked("[ip]", _is_address), text)
    return _NUMBER.sub("[number]", _PHONE.sub(_checked("[phone]", _is_phone), text))


def _checked(replacement: str, is_one: Callable[[str], bool]) -> Callable[[re.Match[str]], str]:
    return lambda match: replacement if is_one(match[0]) else match[0]


def _is_card(text: str) -> bool:
    """The check digit is right (Luhn; ISO/IEC 7812-1, annex B)."""
    digits = [int(sign) for sign in text if sign.isdecimal()]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """The check number is right (ISO 13616: the number it stands for is 1 modulo 97)."""
    signs = text.replace(" ", "")
    moved = signs[4:] + signs[:4]
    return 15 <= len(signs) <= 34 and int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_ip6(text: str) -> bool:
    """An address with a digit in it: `a::b` is one too, and more often a name in a program."""
    return _ANY_DIGIT.search(text) is not None and _is_address(text)


def _is_phone(text: str) -> bool:
    return sum(map(str.isdecimal, text)) >= 7 and _DATE.fullmatch(text) is None


def redact_json(value: Any) -> Any:
    """A parsed JSON value with every text in it redacted; keys of objects stay."""
    if isinstance(value, str):
        return _redact_string(value)
    if isinstance(value, Mapping):
        return {key: _redact_member(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [redact_json(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= LONG_NUMBER:
        return "[number]"
    return value


def _redact_member(key: str, value: Any) -> Any:
    if key == "logprobs" and isinstance(value, Mapping | list):
        return None
    if key == "embedding" or (key in ("prompt", "input") and _are_numbers(value)):
        return "[numbers]"
    return redact_json(value)


def _are_numbers(value: Any) -> bool:
    """A list of numbers, or of lists of them: token ids."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(item, int | float) or _are_numbers(item) for item in value)


def _redact_string(text: str) -> str:
    if text.startswith("data:") and _DATA_URL.match(text):
        return "[data]"
    if len(text) >= OPAQUE_CHARS and _OPAQUE.fullmatch(text):
        return "[data]"
    if text[:1] in ("{", "["):
        try:
            return orjson.dumps(redact_json(orjson.loads(text))).decode()
        except (orjson.JSONDecodeError, TypeError):
            pass
    return redact(text)


def redact_record(record: Record) -> Record:
    """`record` with its bodies redacted; one that is no JSON is redacted as text, and kept as a JSON string."""
    fields = record.fields
    if isinstance(text := fields.get("response_text"), str):
        fields = {**fields, "response_text": redact(text)}
    return Record(record.kind, fields, _redact_body(record.request), _redact_body(record.response))


def _redact_body(body: bytes | None) -> bytes | None:
    if body is None:
        return None
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = body.decode("utf-8", "replace")
    try:
        return dumped(redact_json(value))
    except RecursionError:
        return b'"[nested too deeply]"'
