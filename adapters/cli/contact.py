"""How an account is written to, as its options say: what nobody could use is refused before it is written down."""

from __future__ import annotations

import re

from domain.errors import Invalid

COUNTRY = re.compile(r"[A-Z]{2}\Z")


def check_contact(email: str | None, language: str | None, country: str = "") -> None:
    """What is empty or left out says nothing. Raises: Invalid, with the option."""
    # The words of mails are heavy to load, and most commands need none.
    if email:
        from adapters.mail.smtp import ADDRESS

        if not ADDRESS.fullmatch(email):
            raise Invalid(f"--email: {email!r} is not a mail address")
    if language:
        from adapters.mail.render import check_language

        try:
            check_language(language)
        except Invalid as error:
            raise Invalid(f"--language: {error}") from None
    if country and not COUNTRY.match(country):
        raise Invalid(f"--country: {country!r} is not a code of ISO 3166 such as DE")
