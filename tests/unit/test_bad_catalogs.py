"""Forty ways to write a catalog that cannot be meant: each is refused with its code, line and field."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from adapters.catalog_file.read import catalog_of
from domain.application.catalog import PublishVersions
from domain.catalog_change import compare
from domain.errors import BadFile, Conflict
from tests.builders import component, package, publish

GOOD = """\
catalog: 1
packages:
  guard:
    name: Guard
    effective_on: 2025-01-01
    term: 12 months
    trial: 21 days
    counters:
      users: {measure: peak}
    components:
      base:
        name: Base fee
        price: {EUR: {flat: "15.00"}, JPY: {flat: "2000"}}
      users:
        name: Users
        bill: in arrears
        quantity: {counted: users}
        price:
          EUR: {graduated: [{up_to: 10, unit: "2.00"}, {unit: "1.50"}]}
          JPY: {per_unit: "250"}
    limits:
      users: {up_to: 25, hard: 50, counter: users}
    dunning:
      calendar: DE
      steps:
        - {name: reminder, after: 3 days, retry: true, remind: reminder}
        - {name: filter off, after: 14 days, effect: filter off}
    credit: {pay_out: when idle, after: 30 days, over: {EUR: "5.00"}}
"""

# what is replaced, by what, then the code, line and field of the fault
BAD = {
    "an alias": ("name: Guard", "name: &n Guard", "alias", 4, ""),
    "deep nesting": ("{measure: peak}", "[" * 30 + "]" * 30, "too_deep", 9, ""),
    "a tag that runs code": ("name: Guard", "name: !!python/object/apply:os.system [ls]", "tag", 4, ""),
    "a key written twice": ("trial: 21 days", "term: 6 months", "duplicate_key", 7, "packages.guard.term"),
    "a merge key": ("trial: 21 days", "<<: {}", "alias", 7, "packages.guard"),
    "a number in another notation": ("up_to: 10", "up_to: 1e1", "value", 19, ".price.EUR.graduated[0].up_to"),
    "a leading zero": ("up_to: 10", "up_to: 010", "value", 19, ".price.EUR.graduated[0].up_to"),
    "a fee paid by day": (
        "{counted: users}",
        "{counted: users, by_day: true}",
        "shape",
        17,
        ".users.quantity",
    ),
    "a fee billed as used": ("bill: in arrears", "bill: as used", "shape", 16, ".users.bill"),
    "a negative price": ('"15.00"', '"-15.00"', "value", 13, ".base.price.EUR.flat"),
    "more decimals than the euro has": ('"15.00"', '"15.005"', "decimals", 13, ".base.price.EUR"),
    "decimals of the yen": ('"2000"', '"2000.5"', "decimals", 13, ".base.price.JPY"),
    "a currency in words": ("EUR: {flat", "EURO: {flat", "currency", 13, ".base.price.EURO"),
    "a currency in small letters": ("EUR: {flat", "eur: {flat", "currency", 13, ".base.price.eur"),
    "a currency that is none": ("EUR: {flat", "XXX: {flat", "currency", 13, ".base.price.XXX"),
    "a homoglyph in an id": ("  guard:", "  gu\u0430rd:", "id", 3, "packages.gu\u0430rd"),
    "a capital in an id": ("  guard:", "  Guard:", "id", 3, "packages.Guard"),
    "a zero-width character": ("name: Guard", "name: Gu\u200bard", "character", 4, "packages.guard.name"),
    "text that turns direction": ("name: Guard", "name: Gu\u202eard", "character", 4, "packages.guard.name"),
    "tiers that do not rise": ('{unit: "1.50"}', '{up_to: 5, unit: "1.50"}, {unit: "1.00"}', "tiers", 19, ".price.EUR"),
    "two open tiers": ("up_to: 10, ", "", "tiers", 19, ".price.EUR"),
    "no open tier": ('{unit: "1.50"}', '{up_to: 50, unit: "1.50"}', "tiers", 19, ".price.EUR"),
    "a term of nothing": ("term: 12 months", "term: 0 months", "value", 6, "packages.guard.term"),
    "a term of months and days": ("term: 12 months", "term: P13M15D", "value", 6, "packages.guard.term"),
    "a counter that is not there": ("{counted: users}", "{counted: user}", "reference", 17, ".users.quantity"),
    "a day that is none": ("2025-01-01", "2025-02-29", "value", 5, "packages.guard.effective_on"),
    "a time of day": ("2025-01-01", "2026-03-29T02:30", "value", 5, "packages.guard.effective_on"),
    "a field that is not known": ("bill: in arrears", "bil: in arrears", "unknown_field", 16, ".users.bil"),
    "a name of ten thousand letters": ("name: Guard", f"name: {'x' * 10_000}", "value", 4, "packages.guard.name"),
    "an expression": ("trial: 21 days", "formula: __import__('os')", "unknown_field", 7, "packages.guard.formula"),
    "an include": ("trial: 21 days", "include: ../../etc/passwd", "unknown_field", 7, "packages.guard.include"),
    "a trial longer than the term": ("trial: 21 days", "trial: 400 days", "range", 7, "packages.guard.trial"),
    "a hard limit below the soft one": ("hard: 50", "hard: 5", "range", 22, "packages.guard.limits.users.hard"),
    "another version of the format": ("catalog: 1", "catalog: 999", "literal_error", 1, "catalog"),
    "distinct users of other months": ("measure: peak", "measure: distinct", "shape", 9, ".users.measure"),
    "a price without a model": ('{flat: "15.00"}, JPY', "{}, JPY", "value", 13, ".base.price.EUR"),
    "two models for one price": (
        '{flat: "15.00"}',
        '{flat: "15.00", per_unit: "1.00"}',
        "value",
        13,
        ".base.price.EUR",
    ),
    "credit paid out at a whim": (
        "when idle",
        "sometimes",
        "literal_error",
        28,
        "packages.guard.credit.pay_out",
    ),
    "change finer than the euro": ('"5.00"', '"5.001"', "range", 28, "packages.guard.credit.over.EUR"),
    "kept credit that waits": ("when idle", "never", "range", 28, "packages.guard.credit.pay_out"),
    "a misspelt field of credit": ("{pay_out:", "{payout:", "unknown_field", 28, "packages.guard.credit.payout"),
    "a calendar of nowhere": ("calendar: DE", "calendar: Utopia", "reference", 24, "packages.guard.dunning.calendar"),
    "a step before the one before": ("after: 14 days", "after: 3 days", "range", 27, ".dunning.steps[1].after"),
    "two steps of one name": ("name: filter off", "name: reminder", "duplicate_key", 27, ".dunning.steps[1].name"),
    "an effect that is none": ("effect: filter off", "effect: explode", "literal_error", 27, ".steps[1].effect"),
    "a step that stops nothing": (
        "effect: filter off",
        "restores: nothing",
        "reference",
        27,
        "packages.guard.dunning.steps[1].restores",
    ),
    "a step that ends what it gives back": (
        "effect: filter off",
        "effect: filter off, ends: with the period, restores: service",
        "reference",
        27,
        "packages.guard.dunning.steps[1].ends",
    ),
    "a step's field that is not known": ("retry: true", "retries: true", "unknown_field", 26, ".steps[0].retries"),
    "a step in months": ("after: 14 days", "after: 1 month", "value", 27, ".dunning.steps[1].after"),
    "nothing at all": (GOOD, "", "empty", 1, ""),
    "no packages": (GOOD, "catalog: 1\npackages: {}\n", "too_short", 2, "packages"),
    "something else than a mapping": (GOOD, "- a\n- b\n", "shape", 1, ""),
}


def test_the_catalog_that_the_bad_ones_are_made_from_is_good():
    assert [version.package for version in catalog_of(GOOD.encode(), "good.yaml")] == ["guard"]


@pytest.mark.parametrize(("was", "becomes", "code", "line", "field"), BAD.values(), ids=BAD)
def test_it_is_refused_with_its_code_its_line_and_its_field(was, becomes, code, line, field):
    assert was in GOOD
    with pytest.raises(BadFile) as refused:
        catalog_of(GOOD.replace(was, becomes, 1).encode(), "bad.yaml")
    told = [(fault.code, fault.line, fault.field) for fault in refused.value.faults]
    assert any(c == code and at == line and where.endswith(field) for c, at, where in told), told
    assert str(refused.value).startswith("bad.yaml")


AS_USED = GOOD.replace("bill: in arrears", "charge: usage\n        bill: as used")
NO_AS_USED = {
    "what is not refundable": ("bill: as used", "bill: as used\n        refundable: false", 18, "refundable"),
    "what is never corrected": ("    limits:", "    proration: {usage_corrections: never}\n    limits:", 17, "bill"),
    "what is known when its month is over": (
        "{measure: peak}", "{measure: distinct}\n    proration: {billing_day_from: calendar}", 18, "bill"
    ),
    "what has a maximum": (
        "    limits:",
        '      most: {name: Most, charge: maximum, price: {EUR: {flat: "90.00"}, JPY: {flat: "9000"}}}\n    limits:',
        17,
        "bill",
    ),
    "what is corrected up only, beside a minimum": (
        "    limits:",
        '      least: {name: Least, charge: minimum, price: {EUR: {flat: "90.00"}, JPY: {flat: "9000"}}}\n'
        "    proration: {usage_corrections: up only}\n    limits:",
        17,
        "bill",
    ),
    "what is topped up by a shorter period": (
        "    limits:",
        '      least: {name: Least, charge: minimum, every: day, price: {EUR: {flat: "90.00"}, JPY: {flat: "9000"}}}\n'
        "    limits:",
        14,
        "every",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("was", "becomes", "line", "field"), NO_AS_USED.values(), ids=NO_AS_USED)
def test_usage_is_not_billed_as_used_where_a_run_could_not_take_back_and_bill_anew(was, becomes, line, field):
    assert catalog_of(AS_USED.encode(), "good.yaml")
    with pytest.raises(BadFile) as refused:
        catalog_of(AS_USED.replace(was, becomes, 1).encode(), "bad.yaml")
    told = [(fault.code, fault.line, fault.field) for fault in refused.value.faults]
    assert told == [("shape", line, f"packages.guard.components.users.{field}")]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (GOOD.encode("utf-16"), "encoding"),
        (b"name: M\xfcller", "encoding"),
        (b"{" * 200_000, "too_deep"),
        (b"a: [", "syntax"),
    ],
)
def test_bytes_that_are_not_a_catalog_are_refused(raw, code):
    with pytest.raises(BadFile) as refused:
        catalog_of(raw, "bad.yaml")
    assert refused.value.faults[0].code == code


def test_all_faults_of_a_file_are_told_at_once():
    bad = GOOD.replace('"15.00"', '"-1"').replace("name: Guard", "nmae: Guard").replace("21 days", "soon")
    with pytest.raises(BadFile) as refused:
        catalog_of(bad.encode(), "bad.yaml")
    assert len(refused.value.faults) >= 4
    assert [fault.line for fault in refused.value.faults] == sorted(fault.line for fault in refused.value.faults)


def test_the_same_catalog_in_json_means_the_same():
    import yaml

    tree = yaml.load(GOOD, Loader=yaml.BaseLoader)
    assert catalog_of(json.dumps(tree).encode(), "c.json") == catalog_of(GOOD.encode(), "c.yaml")


def test_the_examples_are_good_catalogs():
    for path in (Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"):
        assert catalog_of(path.read_bytes(), path.name)


def test_a_version_that_would_rewrite_the_past_or_says_nothing_new_is_refused(tally):
    first = package("p", component())
    publish(tally, first)
    dearer = package("p", component(cadence=first.components[0].cadence.__class__(months=3)))
    for number, on, wanted in ((2, first.effective_on, dearer), (3, first.effective_on.replace(year=2030), dearer),
                               (2, first.effective_on.replace(year=2030), first)):  # fmt: skip
        with pytest.raises(Conflict):
            publish(tally, msgspec.structs.replace(wanted, version=number, effective_on=on))


def test_two_that_publish_at_once_publish_once(tally):
    publish(tally, package("p"))
    with pytest.raises(Conflict):
        tally.billing.execute(PublishVersions(versions=(package("p"),)))


def test_a_difference_names_what_changes_and_leaves_the_rest_alone():
    before = catalog_of(GOOD.encode(), "c.yaml")[0]
    after = catalog_of(GOOD.replace('"2.00"', '"2.20"').encode(), "c.yaml")
    old = msgspec.structs.replace(before, package="old")
    changes = compare({"guard": msgspec.structs.replace(before, version=4), "old": old}, after)
    assert [(c.package, c.kind, c.version.version) for c in changes] == [("guard", "changed", 5), ("old", "absent", 0)]
    assert [(f.path, f.before, f.after) for f in changes[0].fields] == [
        ("components[users].prices.EUR.tiers[0].unit", "2.00", "2.20")
    ]
    assert compare({"guard": before}, [before])[0].kind == "unchanged"
