"""What a pattern and a check digit find: e-mail addresses, telephone, card and account numbers, IP addresses.

Nothing is judged by its digits alone where ordinary numbers look alike:

- ``email``: a local part, ``@`` and a domain with a dot (RFC 5321's lengths).
- ``iban``: the length of its country and the remainder 1 modulo 97 (ISO 13616).
- ``card``: 13 to 19 digits in the groups that cards are written in, with an issuer's first digits and length, and
  Luhn's check digit (ISO/IEC 7812).
- ``ip``: four numbers up to 255 that no ``v`` precedes, or eight groups of an IPv6 address, ``::`` allowed.
- ``phone``: with ``+`` and a country (ITU-T E.164), in the form of North America, with a leading 0 and groups, or any
  digits right after a word such as ``tel`` or ``phone``.

Every pattern's repeats are bounded, so time is linear in the text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from nlp.spans import Span, without_overlaps
from shared.errors import UnknownNameError

_LOCAL = re.compile(r"[\w.+'-]{1,64}\Z")
_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,63}(?![\w-])")
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}[0-9]{2}(?= ?\w)", re.ASCII)
_CARD = re.compile(r"(?<![\d.])[2-6](?:[ -]?\d){12,18}(?!\d|[.-]\d)", re.ASCII)
_IP4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)", re.ASCII)
_VERSION = re.compile(r"(?:version|release|v)[ :.]{0,2}\Z", re.IGNORECASE)
_IP6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?::\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])", re.I | re.A)
_GAP = r"[ .\-/\u00a0\u2011]"
_WITH_COUNTRY = re.compile(
    rf"(?<![\w+])\+[1-9]\d{{0,2}}(?:{_GAP}?\(\d{{1,4}}\)|{_GAP}?\d{{1,12}}){{1,6}}(?!\d)", re.ASCII
)
_AMERICAN = re.compile(
    r"(?<![\w.+-])(?:1[-. ])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-. ])[2-9]\d{2}[-. ]\d{4}(?!\w|[-.]\d)", re.ASCII
)
_WITH_TRUNK = re.compile(
    r"(?<![\w.,/+-])(?:\(0[1-9]\d{0,4}\)|0[1-9]\d{0,4})(?:[ /-]\d{2,8}){1,5}(?!\w|[./,-]\d)", re.ASCII
)
_DATE = re.compile(r"\d{1,2}[ /-]\d{1,2}[ /-](?:19|20)\d{2}", re.ASCII)
_TOLD = re.compile(
    r"\b(?:tel|telephone|phone|mobile|cell|fax|whatsapp|telefon|telefax|mobil|handy|t[ée]l|t[ée]l[ée]phone|portable)\b\.?"
    r"(?:\s{1,3}(?:no|nr|number|num[ée]ro|nummer|is))?[.:\s#]{0,4}(\+?\(?\d(?:[ ().\-/]{0,3}\d){5,14})(?!\d)",
    re.IGNORECASE,
)
_IBAN_LENGTHS = MappingProxyType(
    {
        code: int(length)
        for length, codes in {
            "15": "NO", "16": "BE", "18": "DK FI FO GL NL", "19": "MK SI", "20": "AT BA EE KZ LT LU XK",
            "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM TL",
            "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR",
            "27": "BI DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO EG GT HU LB NI PL SV", "29": "BR PS QA UA",
            "30": "JO KW MU YE", "31": "MT SC", "32": "LC", "33": "RU",
        }.items()
        for code in codes.split()
    }
)  # fmt: skip
_ISSUERS = (
    (re.compile(r"4"), {13, 16, 19}),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), {16}),
    (re.compile(r"3[47]"), {15}),
    (re.compile(r"3(?:0[0-5]|[689])"), {14, 16, 19}),
    (re.compile(r"35"), {16, 17, 18, 19}),
    (re.compile(r"6(?:011|4[4-9]|5|2|0|3|7|8)"), {16, 17, 18, 19}),
    (re.compile(r"5[06-8]"), {16, 18, 19}),
)


def find_identifiers(text: str, kinds: Iterable[str]) -> list[Span]:
    """Where identifiers stand, as characters, in order and without overlaps.

    Args:
        text: any text.
        kinds: names of :data:`IDENTIFIERS`; of two that overlap the one whose kind stands first there is kept.

    Raises:
        UnknownNameError: a kind is none of them.

    Example:
        >>> find_identifiers("mail ada@example.org or call +44 20 7946 0958", ["email", "phone"])
        [(5, 20, 'email'), (29, 45, 'phone')]
    """
    asked = set(kinds)
    for kind in asked:
        if kind not in IDENTIFIERS:
            raise UnknownNameError("kind of identifier", kind, IDENTIFIERS)
    chosen = [(kind, find) for kind, find in IDENTIFIERS.items() if kind in asked]
    return without_overlaps((start, stop, kind) for kind, find in chosen for start, stop in find(text))


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812, annex B).

    Example:
        >>> luhn("4539578763621486"), luhn("4539578763621487")
        (True, False)
    """
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(value // 10 + value % 10 for value in doubled)) % 10 == 0


def _emails(text: str) -> Iterator[tuple[int, int]]:
    at = text.find("@")
    while at >= 0:
        local, domain = _LOCAL.search(text[max(0, at - 64) : at]), _DOMAIN.match(text, at + 1)
        name = local.group().lstrip(".'-") if local else ""
        if name and domain:
            yield at - len(name), domain.end()
        at = text.find("@", at + 1)


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(match.group()[:2].upper(), 0)
        code, at = "", match.start()
        while at < len(text) and len(code) < length:
            letter = text[at]
            if letter.isascii() and letter.isalnum():
                code += letter.upper()
            elif letter != " " or text[at - 1] == " ":
                break
            at += 1
        follows = text[at : at + 1]
        if length and len(code) == length and not follows.isalnum() and _modulo_97(code) == 1:
            yield match.start(), at


def _modulo_97(code: str) -> int:
    return int("".join(str(int(letter, 36)) for letter in code[4:] + code[:4])) % 97


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        groups = re.split("[ -]", match.group())
        digits = "".join(groups)
        if _is_grouped([len(group) for group in groups]) and _has_issuer(digits) and luhn(digits):
            yield match.span()


def _is_grouped(lengths: list[int]) -> bool:
    fours = set(lengths[:-1]) == {4} and 1 <= lengths[-1] <= 4
    return len(lengths) == 1 or fours or lengths in ([4, 6, 5], [4, 6, 4])


def _has_issuer(digits: str) -> bool:
    return any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _ISSUERS)


def _ips(text: str) -> Iterator[tuple[int, int]]:
    for match in _IP4.finditer(text):
        if _is_ip(match.group()) and not _VERSION.search(text[max(0, match.start() - 12) : match.start()]):
            yield match.span()
    for match in _IP6.finditer(text):
        if any(map(str.isdigit, match.group())) and _is_ip(match.group()):
            yield match.span()


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for pattern, least, most in ((_WITH_COUNTRY, 8, 15), (_AMERICAN, 10, 11), (_WITH_TRUNK, 9, 12)):
        for match in pattern.finditer(text):
            if least <= sum(map(str.isdigit, match.group())) <= most and not _DATE.match(match.group()):
                yield match.span()
    for match in _TOLD.finditer(text):
        if not _DATE.match(match.group(1)):
            yield match.span(1)


IDENTIFIERS: Mapping[str, Callable[[str], Iterator[tuple[int, int]]]] = MappingProxyType(
    {"email": _emails, "iban": _ibans, "card": _cards, "ip": _ips, "phone": _phones}
)
"""What finds each kind."""
