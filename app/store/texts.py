"""What may be compared with text in the store."""


def is_storable(text: str) -> bool:
    """Whether any row can hold this text. PostgreSQL fails a query that mentions NUL, and surrogates are not UTF-8."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
