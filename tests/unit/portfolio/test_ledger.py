"""The ledger: worked examples, and properties over generated fills against a book of single units."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.portfolio.ledger import (
    Book,
    Entry,
    Fill,
    Method,
    Posting,
    booked,
    capital_entry,
    fill_entry,
    funding_entry,
    posted,
    replayed,
    valued,
)

BTC = "BTC/USD"


def fill(side: str, quantity: str, price: str, fee: str = "0", symbol: str = BTC, fill_id: str = "f") -> Fill:
    return Fill(
        fill_id=fill_id, symbol=symbol, side=side, quantity=Decimal(quantity), price=Decimal(price), fee=Decimal(fee)
    )


def funded(method: Method = "average") -> Book:
    return posted(Book(currency="USD", method=method), capital_entry("deposit", Decimal(10_000)))


def after(book: Book, *fills: Fill) -> Book:
    for one in fills:
        book = booked(book, one)[1]
    return book


def test_buy_moves_cash_into_a_position_at_cost_and_the_fee_beside_it() -> None:
    entry, book = booked(funded(), fill("buy", "2", "100", "0.5"))
    assert entry.postings == (
        Posting("cash", Decimal("-200.5")),
        Posting("position", Decimal(200), BTC, Decimal(2)),
        Posting("fees", Decimal("0.5")),
    )
    assert (book.cash, book.fees, book.realised) == (Decimal("9799.5"), Decimal("0.5"), 0)
    assert (book.position(BTC).quantity, book.position(BTC).cost) == (2, 200)


@pytest.mark.parametrize(("method", "realised", "cost"), [("average", "60", "240"), ("fifo", "80", "260")])
def test_cost_leaves_by_the_average_or_by_the_oldest_lot(method: Method, realised: str, cost: str) -> None:
    # One at 100 and three at ... : 1 @ 100, 2 @ 130 are 360; one sold at 180.
    book = after(funded(method), fill("buy", "1", "100"), fill("buy", "2", "130"), fill("sell", "1", "180"))
    assert book.realised == Decimal(realised)
    assert book.position(BTC).cost == Decimal(cost)
    assert book.cash == Decimal(10_000 - 360 + 180)


@pytest.mark.parametrize("method", ["average", "fifo"])
def test_sale_through_zero_closes_the_long_and_opens_a_short_at_its_own_price(method: Method) -> None:
    book = after(funded(method), fill("buy", "2", "100"), fill("sell", "5", "110"))
    assert book.realised == 20
    assert (book.position(BTC).quantity, book.position(BTC).cost) == (-3, -330)
    assert book.cash == 10_000 - 200 + 550
    flat = after(book, fill("buy", "3", "90"))
    assert flat.realised == 20 + 60
    assert flat.positions == {}
    assert flat.cash == 10_080


def test_valuation_marks_what_is_held_and_leaves_the_book_alone() -> None:
    book = after(funded(), fill("buy", "2", "100", "1"), fill("sell", "1", "50", "0.25", symbol="ETH/USD"))
    worth = valued(book, {BTC: Decimal(120), "ETH/USD": Decimal(60)})
    assert worth.unrealised == {BTC: Decimal(40), "ETH/USD": Decimal(-10)}
    assert worth.equity == Decimal(10_000) + 40 - 10 - Decimal("1.25")
    assert worth.positions == 240 - 60
    with pytest.raises(ValueError, match="price of ETH/USD must be above 0 to value the book, was None"):
        valued(book, {BTC: Decimal(120)})
    with pytest.raises(ValueError, match="price of BTC/USD must be above 0 to value the book, was 0"):
        valued(book, {BTC: Decimal(0), "ETH/USD": Decimal(60)})
    assert valued(Book(currency="USD"), {}).equity == 0


def test_funding_rebates_and_withdrawals_are_booked() -> None:
    book = posted(funded(), funding_entry("funding", Decimal("3.5")))
    book = posted(book, capital_entry("out", Decimal(-1_000)))
    book = after(book, fill("buy", "1", "100", "-0.02"))
    assert (book.cash, book.funding) == (Decimal("8896.52"), Decimal("3.5"))
    assert (book.capital, book.fees, book.balance) == (9_000, Decimal("-0.02"), 0)


def test_position_in_thirds_leaves_no_crumb_of_cost() -> None:
    book = after(funded(), fill("buy", "3", "33.33333333"))
    for _ in range(3):
        book = after(book, fill("sell", "1", "33.33333333"))
    assert book.positions == {}
    assert book.realised == 0
    assert book.cash == 10_000


def test_entry_that_does_not_balance_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must sum to 0, was 0\.01"):
        Entry("e", 0, (Posting("cash", Decimal("1.01")), Posting("capital", Decimal(-1))))
    with pytest.raises(ValueError, match="only a posting to a position names a symbol"):
        Posting("cash", Decimal(1), BTC)


def test_entry_of_another_history_is_refused() -> None:
    book = after(funded(), fill("buy", "2", "100"))
    too_much = fill_entry(after(book, fill("buy", "5", "100")), fill("sell", "4", "100"))
    with pytest.raises(ValueError, match="4 of BTC/USD cannot be closed, 2 is held"):
        posted(book, too_much)
    dearer = fill_entry(after(book, fill("buy", "2", "200")), fill("sell", "1", "100"))
    with pytest.raises(ValueError, match="must take its cost by average"):
        posted(book, dearer)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"quantity": "0"}, "quantity of fill f must be above 0"),
        ({"quantity": "NaN"}, "quantity of fill f"),
        ({"quantity": "1e-13"}, "multiple of"),
        ({"quantity": "1e15"}, "below"),
        ({"price": "-1"}, "price of fill f"),
        ({"fee": "Infinity"}, "fee of fill f"),
        ({"side": "short"}, "side of fill f"),
    ],
)
def test_fills_that_are_none_are_refused(fields: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fill(**{"side": "buy", "quantity": "1", "price": "1", **fields})


def test_other_currencies_and_sums_beyond_the_book_are_refused() -> None:
    with pytest.raises(ValueError, match="BTC/EUR must be settled in USD, was in EUR"):
        booked(funded(), fill("buy", "1", "1", symbol="BTC/EUR"))
    assert booked(funded(), fill("buy", "1", "1", symbol="BTC/USD:USD"))
    with pytest.raises(ValueError, match="amount of money"):
        booked(funded(), fill("buy", "1e14", "1e9"))


quantities = st.integers(1, 12)
prices = st.integers(1, 40_000).map(lambda ticks: Decimal(ticks) / 100)
fees = st.integers(-5, 300).map(lambda ticks: Decimal(ticks) / 1_000)
fills = st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), quantities, prices, fees, st.sampled_from(["A/USD", "B/USD"])),
    max_size=40,
)


class UnitBook:
    """Holds every single unit by itself: nothing to divide, nothing to round."""

    def __init__(self) -> None:
        self.cash, self.realised, self.fees = Fraction(10_000), Fraction(0), Fraction(0)
        self.units: dict[str, deque[Fraction]] = {"A/USD": deque(), "B/USD": deque()}
        self.sides = {"A/USD": 0, "B/USD": 0}

    def fill(self, sign: int, quantity: int, price: Decimal, fee: Decimal, symbol: str) -> None:
        exact = Fraction(price)
        self.cash -= sign * quantity * exact + Fraction(fee)
        self.fees += Fraction(fee)
        units = self.units[symbol]
        for _ in range(quantity):
            if units and self.sides[symbol] == -sign:
                self.realised += self.sides[symbol] * (exact - units.popleft())
            else:
                self.sides[symbol] = sign
                units.append(exact)


@given(trades=fills)
@settings(max_examples=150, deadline=None)
def test_first_in_first_out_equals_a_book_of_single_units(trades: list[tuple]) -> None:
    book, units = funded("fifo"), UnitBook()
    for place, (side, quantity, price, fee, symbol) in enumerate(trades):
        book = after(book, fill(side, str(quantity), str(price), str(fee), symbol, f"f{place}"))
        units.fill(1 if side == "buy" else -1, quantity, price, fee, symbol)
    assert book.cash == units.cash
    assert book.realised == units.realised
    assert book.fees == units.fees
    for symbol, held in units.units.items():
        assert book.position(symbol).quantity == units.sides[symbol] * len(held)
        assert book.position(symbol).cost == units.sides[symbol] * sum(held)


@given(trades=fills, method=st.sampled_from(["average", "fifo"]), marks=st.tuples(prices, prices))
@settings(max_examples=150, deadline=None)
def test_debits_equal_credits_and_replay_gives_the_state(trades: list[tuple], method: Method, marks: tuple) -> None:
    entries = [capital_entry("deposit", Decimal(10_000))]
    book = posted(Book(currency="USD", method=method), entries[0])
    for place, (side, quantity, price, fee, symbol) in enumerate(trades):
        part = Decimal(quantity) / 7
        one = fill(side, str(part.quantize(Decimal("1e-6"))), str(price), str(fee), symbol, f"f{place}")
        entry, book = booked(book, one)
        entries.append(entry)
        assert sum(posting.amount for posting in entry.postings) == 0
        assert book.balance == 0
        assert one.symbol not in book.positions or book.position(one.symbol).quantity != 0
    assert replayed(Book(currency="USD", method=method), entries) == book
    assert book.entries == len(entries)
    worth = valued(book, {"A/USD": marks[0], "B/USD": marks[1]})
    gained = book.realised + sum(worth.unrealised.values()) - book.fees - book.funding
    assert worth.equity == book.capital + gained
    # Every balance is the plain sum of its postings: what a database's view would add up.
    sums: dict[tuple, Decimal] = {}
    for entry in entries:
        for posting in entry.postings:
            key = (posting.account, posting.symbol)
            sums[key] = sums.get(key, Decimal(0)) + posting.amount
    assert sums.get(("cash", None), Decimal(0)) == book.cash
    assert -sums.get(("realised", None), Decimal(0)) == book.realised
    for symbol in ("A/USD", "B/USD"):
        assert sums.get(("position", symbol), Decimal(0)) == book.position(symbol).cost


@given(trades=fills)
@settings(max_examples=100, deadline=None)
def test_average_cost_is_the_mean_of_what_opened_and_equity_does_not_hang_on_the_method(trades: list[tuple]) -> None:
    average, fifo = funded("average"), funded("fifo")
    quantity_held, mean_price = Fraction(0), Fraction(0)
    for place, (side, quantity, price, fee, _) in enumerate(trades):
        one = fill(side, str(quantity), str(price), str(fee), "A/USD", f"f{place}")
        average, fifo = after(average, one), after(fifo, one)
        signed = quantity if side == "buy" else -quantity
        if quantity_held * signed >= 0:
            total = abs(quantity_held) * mean_price + quantity * Fraction(price)
            mean_price = total / (abs(quantity_held) + quantity)
        elif quantity > abs(quantity_held):
            mean_price = Fraction(price)
        quantity_held += signed
        position = average.position("A/USD")
        assert position.quantity == quantity_held
        assert len(position.lots) <= 1
        assert abs(Fraction(position.cost) - quantity_held * mean_price) < Fraction(1, 10**6)
    prices_now = {"A/USD": Decimal("123.45")}
    assert valued(average, prices_now).equity == valued(fifo, prices_now).equity
