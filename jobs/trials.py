"""Trials that ended without becoming anything else stop serving, for the reason *trial ended*."""

from __future__ import annotations

from datetime import date

import psycopg

from domain.application import Billing
from domain.application.licensing import SuspendLicense, license_named
from domain.identity import Kind
from domain.license import TRIAL_ENDED

ON_TRIAL = """
SELECT d.name FROM change_v1 c JOIN directory d ON d.id = c.license AND d.kind = %s
WHERE c.change = 'start' AND c.type = 'trial' ORDER BY d.name"""


def end_trials(billing: Billing, connection: psycopg.Connection, on: date) -> int:
    """Suspends every license whose trial is over by a day; how many. Converting one clears the reason again."""
    names = [name for (name,) in connection.execute(ON_TRIAL, [int(Kind.LICENSE)]).fetchall()]
    ended = 0
    for name in names:
        license = license_named(billing, name)
        over = license.trial_ends_on is not None and license.trial_ends_on <= on
        if over and license.current(on).type == "trial" and license.serves(on):
            billing.execute(SuspendLicense(license=name, reason=TRIAL_ENDED, from_on=license.trial_ends_on or on))
            ended += 1
    return ended
