"""Which columns of a free-form clinical table may become `clinical_<name>`, and with which type.

Two kinds of column must never pass: those that tell the outcome (the label in disguise) and those that identify a person.
Both are recognised by name and identities also by value; whatever is left out is named in the summary, so that a column
that was wronged can be renamed.

A column that passes is one of: number, truth value, category (text with few distinct values). Ages above 89 become 90
(HIPAA safe harbour).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rnfm.cohort.records import ClinicalValue

RENAMES = {"age": "age_years", "age_at_scan": "age_years", "gender": "sex"}
OLDEST_YEARS = 90.0
MOST_CATEGORIES = 12
EMPTY = {"", "n/a", "na", "nan", "none", "null", "unknown", "?"}
WORDS = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}
SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}

IDENTITY = re.compile(
    r"name|initials|birth|\bdob\b|date|\bmrn\b|\bssn\b|\bid\b|identifier|accession|address|phone|mail|zip|postcode|"
    r"physician|doctor|hospital|serial|comment|note|\bpath\b|\bfile\b|\burl\b"
)
OUTCOME = re.compile(
    r"death|dead|died|surviv|alive|vital|outcome|\bos\b|\bpfs\b|progress|recurr|relapse|necros|\brn\b|label|diagnos|"
    r"follow|surgery|resection|histolog|patholog|biops|respon|rano"
)
DATE = re.compile(r"\b(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|(?:19|20)\d{6})\b")


def columns(table: Mapping[str, Sequence[str]]) -> tuple[dict[str, list[ClinicalValue]], list[str]]:
    """Typed columns by their new name, and 'name (why)' of each column left out. All columns have one length.

    >>> columns({"age": ["61", "n/a"], "dob": ["1950-01-01", ""]})
    ({'age_years': [61.0, None]}, ['dob (names a person)'])
    """
    kept: dict[str, list[ClinicalValue]] = {}
    left_out: list[str] = []
    for raw_name, cells in table.items():
        words = re.sub(r"[^a-z0-9]+", " ", raw_name.lower()).strip()
        name = RENAMES.get(words.replace(" ", "_"), words.replace(" ", "_"))
        texts = [None if cell is None or cell.strip().lower() in EMPTY else cell.strip() for cell in cells]
        why = _forbidden(words, [text for text in texts if text is not None])
        if why or name in kept:
            left_out.append(f"{raw_name} ({why or 'named twice'})")
        elif any(text is not None for text in texts):
            kept[name] = limited(name, _typed(texts))
    return kept, left_out


def limited(name: str, values: Sequence[ClinicalValue]) -> list[ClinicalValue]:
    """Ages capped, sexes spelt alike; everything else as it is."""
    if name == "age_years":
        return [min(value, OLDEST_YEARS) if isinstance(value, float) else value for value in values]
    if name == "sex":
        return [SEX.get(value.lower(), value) if isinstance(value, str) else value for value in values]
    return list(values)


def _forbidden(words: str, texts: Sequence[str]) -> str | None:
    if IDENTITY.search(words):
        return "names a person"
    if OUTCOME.search(words):
        return "known after the outcome"
    if any(DATE.search(text) for text in texts):
        return "holds dates"
    numbers = [number for number in map(_number, texts) if number is not None]
    distinct = len(set(texts))
    if len(numbers) == len(texts):
        looks_like_ids = numbers and all(number.is_integer() and abs(number) >= 10_000 for number in numbers)
        return "holds numbers that look like identifiers" if looks_like_ids else None
    if distinct > MOST_CATEGORIES or (distinct == len(texts) and distinct > 3):
        return "free text, or a value of its own for each row"
    return None


def _typed(texts: Sequence[str | None]) -> list[ClinicalValue]:
    """All numbers, else all truth values, else text."""
    given = [text for text in texts if text is not None]
    if all(_number(text) is not None for text in given):
        return [None if text is None else _number(text) for text in texts]
    if all(text.lower() in WORDS for text in given):
        return [None if text is None else WORDS[text.lower()] for text in texts]
    return list(texts)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None
