"""The tree of everything that can go wrong, in the words of the person who has to act on it.

TallyError
  Refusal               a rule said no, nothing happened, the caller can act
    Invalid             the request makes no sense (bad currency, empty period, bad file)
    NotFound            no such account, license, package, invoice
    Conflict            right request, wrong state
      DuplicateRequest  the same command id with another body
      Stale             somebody else changed it, and the retries are used up
    LimitReached        a hard limit of the license forbids it
  IntegrityError        an invariant of the books is broken: stop and look
  Unavailable           a part of the world did not answer; nothing happened; try again
"""

from __future__ import annotations

from collections.abc import Sequence


class TallyError(Exception):
    """Something went wrong in Tallystick."""

    code = "error"
    exit_status = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])


class Refusal(TallyError):
    """A rule said no; nothing happened."""

    code = "refused"
    exit_status = 2


class Invalid(Refusal):
    """The request makes no sense."""

    code = "invalid"


class NotFound(Refusal):
    """There is no such thing."""

    code = "not_found"


class Conflict(Refusal):
    """The request is right, but the state does not allow it."""

    code = "conflict"


class DuplicateRequest(Conflict):
    """This command id was used before with another body."""

    code = "duplicate_request"


class Stale(Conflict):
    """Somebody else changed it at the same time."""

    code = "stale"


class LimitReached(Refusal):
    """A hard limit of the license forbids it."""

    code = "limit_reached"


class IntegrityError(TallyError):
    """An invariant of the books is broken."""

    code = "integrity"
    exit_status = 3


class Unavailable(TallyError):
    """A part of the world did not answer; nothing happened."""

    code = "unavailable"
    exit_status = 4


class Fault:
    """One fault found in a file: where it stands and what is wrong, as a value, so that a file is read to its end.

    Shapes: `line` is 1-based, 0 when the fault is not of one line; `field` is a path such as `components[0].price`.
    """

    __slots__ = ("code", "field", "file", "line", "message")

    def __init__(self, file: str, line: int, field: str, message: str, code: str = "invalid") -> None:
        self.file, self.line, self.field, self.message, self.code = file, line, field, message, code

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"

    def asdict(self) -> dict[str, str | int]:
        return {name: getattr(self, name) for name in ("file", "line", "field", "code", "message")}


class BadFile(Invalid):
    """A file was refused as a whole; nothing of it was taken.

    Shapes: `faults` names file, line and field of everything found, in file order.
    """

    code = "bad_file"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    @classmethod
    def unreadable(cls, file: str, why: str | None) -> BadFile:
        """A file that is not there, or that we may not read: whoever named it has to name another."""
        return cls([Fault(file, 0, "", f"cannot be read: {why}", "unreadable")])
