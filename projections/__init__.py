"""What can be asked: rows that follow the event log and can be dropped and rebuilt at any time."""

from projections.accounts import Accounts
from projections.basis import Basis
from projections.beginnings import Beginnings
from projections.changes import Changes
from projections.documents import Documents
from projections.dunning import Dunning
from projections.limits import Limits
from projections.methods import Methods
from projections.payouts import Payouts
from projections.projection import Projection
from projections.receivables import Receivables
from projections.returns import Returns
from projections.suspensions import Suspensions

ALL: tuple[Projection, ...] = (
    Basis(), Accounts(), Documents(), Changes(), Limits(), Receivables(), Returns(), Payouts(), Methods(), Dunning(),
    Suspensions(), Beginnings(),
)  # fmt: skip
"""Every projection; a new one is registered here and nowhere else."""
