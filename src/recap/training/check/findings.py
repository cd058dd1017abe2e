"""What a check found, and the table that shows it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from recap.runtime.errors import UserError, one_line


class Verdict(StrEnum):
    OK = "ok"
    FAULT = "FAULT"
    UNTRIED = "-"
    ORIGINAL = "note"  # the original's own loaders stumble over it, this project does not


@dataclass(frozen=True)
class Finding:
    """One row of the table: `subject` is what was checked, "files", "tensors", ..."""

    subject: str
    verdict: Verdict
    text: str


class Findings(list[Finding]):
    """The rows so far."""

    def ok(self, subject: str, text: str) -> None:
        self.append(Finding(subject, Verdict.OK, text))

    def untried(self, subject: str, text: str) -> None:
        self.append(Finding(subject, Verdict.UNTRIED, text))

    def of_original(self, quirks: Sequence[str]) -> None:
        """A row for each thing that the original's own loaders stumble over."""
        self.extend(Finding("original", Verdict.ORIGINAL, quirk) for quirk in quirks)

    def faults(self, subject: str, problems: Sequence[str], *, otherwise: str) -> None:
        """A row for each problem; if there is none, one that says what is well."""
        self.extend(Finding(subject, Verdict.FAULT, problem) for problem in problems)
        if not problems:
            self.ok(subject, otherwise)

    @contextmanager
    def attempt(self, subject: str) -> Iterator[None]:
        """Run the block; what keeps it from ending well is a fault of the folder, whatever library complains."""
        try:
            yield
        except (UserError, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            self.append(Finding(subject, Verdict.FAULT, one_line(error)))

    def failed(self, subject: str) -> bool:
        """Whether a row of this subject is a fault."""
        return any(finding.subject == subject and finding.verdict == Verdict.FAULT for finding in self)

    def any_failed(self) -> bool:
        """Whether any row is a fault."""
        return any(finding.verdict == Verdict.FAULT for finding in self)


def is_fault(finding: Finding, *, for_original: bool) -> bool:
    """Whether the folder does not do: in this project, or with `for_original` in the original either."""
    return finding.verdict == Verdict.FAULT or (for_original and finding.verdict == Verdict.ORIGINAL)


def table(findings: Sequence[Finding], *, for_original: bool = False) -> str:
    """The rows under each other, in columns."""
    rows = [
        (
            finding.subject,
            Verdict.FAULT if is_fault(finding, for_original=for_original) else finding.verdict,
            finding.text,
        )
        for finding in findings
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{subject:{widths[0]}}  {verdict:{widths[1]}}  {text}" for subject, verdict, text in rows)
