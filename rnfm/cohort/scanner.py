"""Facts about a scanner that are safe to keep: the maker as one of few words, the field strength as a number.

Makers come as free text in headers and sidecars, and free text has held hospitals and people; only words of this list
leave an adapter.
"""

from __future__ import annotations

VENDORS = {
    "siemens": "Siemens",
    "ge": "GE",
    "general electric": "GE",
    "philips": "Philips",
    "canon": "Canon",
    "toshiba": "Canon",
    "hitachi": "Hitachi",
    "fujifilm": "Hitachi",
    "united imaging": "United Imaging",
    "uih": "United Imaging",
    "hyperfine": "Hyperfine",
    "bruker": "Bruker",
}
STRONGEST_T = 12.0


def vendor(text: object) -> str | None:
    """One of the values of `VENDORS`; 'other' for a maker we do not know, None where nothing is said.

    >>> vendor("GE MEDICAL SYSTEMS"), vendor("Dr. Hansen"), vendor(" ")
    ('GE', 'other', None)
    """
    words = " ".join(str(text or "").lower().replace("_", " ").split())
    if not words or words in ("none", "n/a", "unknown"):
        return None
    found = [name for word, name in VENDORS.items() if words == word or words.startswith(f"{word} ")]
    return found[0] if found else "other"


def field_strength_t(value: object) -> float | None:
    """Tesla; 15000 (gauss) is 1.5. None for what no scanner has, so that a caller can say so.

    >>> field_strength_t("3"), field_strength_t(15000), field_strength_t(-1)
    (3.0, 1.5, None)
    """
    try:
        tesla = float(str(value))
    except ValueError:
        return None
    if 1_000 <= tesla <= STRONGEST_T * 10_000:
        tesla /= 10_000
    return tesla if 0 < tesla <= STRONGEST_T else None
