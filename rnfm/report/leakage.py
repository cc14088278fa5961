"""Did the foundation see a patient it is judged on? Sets of pseudonymous codes, nothing else.

Codes are the same for ever within one key table and namespace, and only there: a patient who was indexed twice with two key
tables has two codes, and no list of codes can show that. The statement says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnfm.core.artifact import Artifact
from rnfm.report import words
from rnfm.report.judge import SPLITS


@dataclass(frozen=True)
class Leakage:
    """`shared`: test patients a split that the foundation saw; `seen` is None where its lineage does not say."""

    seen: int | None
    tested: dict[str, int]
    shared: dict[str, tuple[str, ...]]

    @property
    def found(self) -> bool:
        return any(self.shared.values())

    def sentence(self) -> str:
        """The leakage statement, or why none can be made."""
        tested = ", ".join(f"{count} ({words.SPLITS[split].lower()})" for split, count in self.tested.items())
        if self.seen is None:
            return "The foundation's lineage does not list the patients it saw, so leakage cannot be ruled out."
        if self.found:
            counts = ", ".join(
                f"{len(codes)} of {self.tested[split]} ({words.SPLITS[split].lower()})"
                for split, codes in self.shared.items()
                if codes
            )
            return f"Leak: the foundation was pre-trained on scans of patients it is judged on: {counts}."
        return (
            f"None of the test patients, {tested}, is among the {self.seen} patients the foundation saw in pre-training. "
            "Codes are compared; patients indexed with another key table would not be recognised."
        )


def check(foundation: Artifact, test_patients: Mapping[str, Sequence[str]]) -> Leakage:
    """Hold the patients in the foundation's lineage against the patients of every split."""
    listed = foundation.lineage.get("patients")
    seen = set(listed or ())
    order = [split for split in SPLITS if split in test_patients]
    return Leakage(
        seen=None if listed is None else len(seen),
        tested={split: len(set(test_patients[split])) for split in order},
        shared={split: tuple(sorted(seen & set(test_patients[split]))) for split in order},
    )
