"""The book of an account: every fill as a balanced entry, and everything else the sum of its entries.

Double entry: an entry's postings sum to zero; an amount above zero debits an account, one below credits it. Accounts
are the account's own, all in one currency:

    cash            what is there; a short sale's proceeds are in it
    position        each symbol at cost: below zero while it is short
    fees            paid to the broker
    funding         paid for holding
    realised        profit of what was closed, a credit (below zero) when there is a profit
    capital         what was paid in, a credit

Amounts are decimals and their sums exact, so that a database can demand the balance. A position is at cost and never
marked: what it would bring now is a valuation (`valued`), not an entry. Cost leaves a position by one of two methods:
at the average of all that is held, or oldest lot first (FIFO, as tax rules of many countries want it). Average cost is
the default: it needs one row a symbol, and where quantities are rounded to lots it does not hang on the order of fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from types import MappingProxyType
from typing import Literal

Method = Literal["average", "fifo"]
Account = Literal["cash", "position", "fees", "funding", "realised", "capital"]
Side = Literal["buy", "sell"]

ZERO = Decimal(0)
NO_POSITIONS: Mapping[str, Position] = MappingProxyType({})

MONEY_STEP = Decimal("0.00000001")
MOST_MONEY = Decimal(10) ** 19
"""Amounts of money are multiples of the step and smaller than the most: a numeric(28, 8) holds every balance."""

QUANTITY_STEP = Decimal("0.000000000001")
MOST_QUANTITY = Decimal(10) ** 15
"""The same for quantities, a numeric(28, 12): so sums of either are exact in the 28 digits of a decimal."""

PRODUCTS = Context(prec=80, rounding=ROUND_HALF_EVEN)
"""Wide enough that a product is exact before it is rounded to the money's step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """An order's execution, or a part of it.

    Parameters
    ----------
    fill_id : str
        The broker's, and the entry's: booking it twice is refused where entries are stored.
    symbol : str
        In ccxt's form; its quote currency is the book's.
    side : {"buy", "sell"}
    quantity, price : Decimal
        Above 0; a quantity is a multiple of 10^-12 and below 10^15.
    fee : Decimal
        In the book's currency; below 0 is a rebate.
    time_ms : int
    """

    fill_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO
    time_ms: int = 0

    def __post_init__(self) -> None:
        for name in ("quantity", "price"):
            value = getattr(self, name)
            if not (value.is_finite() and value > ZERO):
                raise ValueError(f"{name} of fill {self.fill_id} must be above 0 and finite, was {value}")
        if self.quantity >= MOST_QUANTITY or self.quantity % QUANTITY_STEP != ZERO:
            raise ValueError(
                f"quantity of fill {self.fill_id} must be a multiple of {QUANTITY_STEP} below {MOST_QUANTITY:,}, "
                f"was {self.quantity}"
            )
        if not self.fee.is_finite():
            raise ValueError(f"fee of fill {self.fill_id} must be finite, was {self.fee}")
        if self.side not in ("buy", "sell"):
            raise ValueError(f"side of fill {self.fill_id} must be buy or sell, was {self.side!r}")


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry: money above zero debits, below credits; a position's line moves a signed quantity too."""

    account: Account
    amount: Decimal
    symbol: str | None = None
    quantity: Decimal = ZERO

    def __post_init__(self) -> None:
        if (self.account == "position") != (self.symbol is not None):
            raise ValueError(f"only a posting to a position names a symbol, was {self.account} with {self.symbol}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, as postings that sum to zero."""

    entry_id: str
    time_ms: int
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        total = sum((posting.amount for posting in self.postings), ZERO)
        if total != ZERO:
            raise ValueError(f"the postings of entry {self.entry_id} must sum to 0, was {total}")


@dataclass(frozen=True, slots=True)
class Lot:
    """What was bought (or sold short, then both are below zero) together and is still held, at its cost."""

    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Position:
    """What is held of a symbol: lots in the order of their opening; by average cost there is one."""

    symbol: str
    lots: tuple[Lot, ...]

    @property
    def quantity(self) -> Decimal:
        """Signed quantity."""
        return sum((lot.quantity for lot in self.lots), ZERO)

    @property
    def cost(self) -> Decimal:
        """Signed cost, fees not included."""
        return sum((lot.cost for lot in self.lots), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The state of an account: nothing but the sum of its entries.

    Parameters
    ----------
    currency : str
        Of all amounts.
    method : {"average", "fifo"}
    cash, fees, funding, realised, capital : Decimal
        Balances as a person reads them: profit and what was paid in are above zero.
    positions : Mapping
        By symbol; what is flat is absent.
    entries : int
        How many it is the sum of.
    """

    currency: str
    method: Method = "average"
    cash: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    realised: Decimal = ZERO
    capital: Decimal = ZERO
    positions: Mapping[str, Position] = field(default_factory=lambda: NO_POSITIONS)
    entries: int = 0

    def position(self, symbol: str) -> Position:
        """Return what is held of a symbol; without lots when flat."""
        return self.positions.get(symbol, Position(symbol, ()))

    @property
    def balance(self) -> Decimal:
        """Debits less credits over all accounts: 0, or the book is wrong."""
        at_cost = sum((position.cost for position in self.positions.values()), ZERO)
        return self.cash + at_cost + self.fees + self.funding - self.realised - self.capital


@dataclass(frozen=True, slots=True)
class Valuation:
    """What a book is worth at given prices.

    Parameters
    ----------
    equity : Decimal
        cash + positions; equally capital + realised + unrealised - fees - funding.
    cash, positions : Decimal
        The latter at the prices, shorts below zero.
    unrealised : Mapping
        By symbol: value less cost.
    realised, fees, funding : Decimal
    """

    equity: Decimal
    cash: Decimal
    positions: Decimal
    unrealised: Mapping[str, Decimal]
    realised: Decimal
    fees: Decimal
    funding: Decimal


def fill_entry(book: Book, fill: Fill) -> Entry:
    """Return the entry that books `fill`: cash, position at cost, fee, and the profit of what it closes.

    A fill through zero closes the position and opens the other side with the rest, at its own price. Money is rounded
    to eight places once, the value of the fill; the cost that leaves a position is rounded too, but a position that is
    closed takes all its cost with it. Raises ValueError when the symbol is quoted in another currency.
    """
    _check_currency(book, fill.symbol)
    sign = Decimal(1) if fill.side == "buy" else Decimal(-1)
    held = book.position(fill.symbol).quantity
    closing = min(fill.quantity, abs(held)) if held * sign < ZERO else ZERO
    value = _money(fill.quantity, fill.price)
    closing_value = value if closing == fill.quantity else _money(closing, fill.price)
    fee = _money(fill.fee)
    postings = [Posting("cash", -sign * value - fee)]
    if closing > ZERO:
        cost = _leaving_cost(book.position(fill.symbol), closing)
        postings.append(Posting("position", -cost, fill.symbol, sign * closing))
        # A credit, below zero, when it brought more than its cost; a short's cost is what it had brought.
        postings.append(Posting("realised", cost + sign * closing_value))
    if fill.quantity > closing:
        opened = sign * (fill.quantity - closing)
        postings.append(Posting("position", sign * (value - closing_value), fill.symbol, opened))
    if fee != ZERO:
        postings.append(Posting("fees", fee))
    return Entry(fill.fill_id, fill.time_ms, tuple(postings))


def capital_entry(entry_id: str, amount: Decimal, time_ms: int = 0) -> Entry:
    """Return the entry of money that is paid in, or out when `amount` is below zero."""
    money = _money(amount)
    return Entry(entry_id, time_ms, (Posting("cash", money), Posting("capital", -money)))


def funding_entry(entry_id: str, amount: Decimal, time_ms: int = 0) -> Entry:
    """Return the entry of funding that is paid, or received when `amount` is below zero."""
    money = _money(amount)
    return Entry(entry_id, time_ms, (Posting("cash", -money), Posting("funding", money)))


def posted(book: Book, entry: Entry) -> Book:
    """Return the book after an entry; raises ValueError when it closes more of a position than is held."""
    positions = dict(book.positions)
    sums = dict.fromkeys(("cash", "fees", "funding", "realised", "capital"), ZERO)
    for posting in entry.postings:
        if posting.account == "position":
            assert posting.symbol is not None
            position = _moved(positions.get(posting.symbol, Position(posting.symbol, ())), posting, book.method)
            positions[posting.symbol] = position
            if not position.lots:
                del positions[posting.symbol]
        else:
            sums[posting.account] += posting.amount
    return replace(
        book,
        cash=book.cash + sums["cash"],
        fees=book.fees + sums["fees"],
        funding=book.funding + sums["funding"],
        realised=book.realised - sums["realised"],
        capital=book.capital - sums["capital"],
        positions=MappingProxyType(positions),
        entries=book.entries + 1,
    )


def booked(book: Book, fill: Fill) -> tuple[Entry, Book]:
    """Return the entry of a fill and the book after it."""
    entry = fill_entry(book, fill)
    return entry, posted(book, entry)


def replayed(book: Book, entries: Iterable[Entry]) -> Book:
    """Return the book after entries in their order: an empty book and all its entries give its state again."""
    for entry in entries:
        book = posted(book, entry)
    return book


def settlement_currency(symbol: str) -> str:
    """Return the currency that a symbol of ccxt's form is settled in, empty when it names none."""
    # Perpetuals settle after a colon: BTC/USD:USD.
    settled = symbol.partition("/")[2]
    return settled.partition(":")[2] or settled


def valued(book: Book, prices: Mapping[str, Decimal]) -> Valuation:
    """Return what the book is worth at `prices`; raises ValueError when a held symbol has none that is above 0."""
    unrealised, value = {}, ZERO
    for symbol, position in sorted(book.positions.items()):
        price = prices.get(symbol)
        if price is None or not (price.is_finite() and price > ZERO):
            raise ValueError(f"the price of {symbol} must be above 0 to value the book, was {price}")
        worth = _money(position.quantity, price)
        unrealised[symbol] = worth - position.cost
        value += worth
    return Valuation(
        book.cash + value, book.cash, value, MappingProxyType(unrealised), book.realised, book.fees, book.funding
    )


def _leaving_cost(position: Position, closing: Decimal) -> Decimal:
    """Return the signed cost that leaves with `closing` (above 0) units, oldest lot first."""
    cost, left = ZERO, closing
    for lot in position.lots:
        taken = min(left, abs(lot.quantity))
        cost += lot.cost if taken == abs(lot.quantity) else _share(lot, taken)
        left -= taken
        if left == ZERO:
            break
    return cost


def _moved(position: Position, posting: Posting, method: Method) -> Position:
    """Return the position after a posting: units in the direction of what is held are a lot, others close lots."""
    held, moved = position.quantity, posting.quantity
    if held * moved >= ZERO:
        if method == "average":
            return replace(position, lots=(Lot(held + moved, position.cost + posting.amount),))
        return replace(position, lots=(*position.lots, Lot(moved, posting.amount)))
    closing = abs(moved)
    if closing > abs(held):
        raise ValueError(f"{closing} of {position.symbol} cannot be closed, {abs(held)} is held")
    if _leaving_cost(position, closing) != -posting.amount:
        raise ValueError(f"closing {closing} of {position.symbol} must take its cost by {method}, was {posting.amount}")
    lots, left = list(position.lots), closing
    while left > ZERO:
        oldest = lots[0]
        if abs(oldest.quantity) <= left:
            left -= abs(oldest.quantity)
            lots.pop(0)
        else:
            taken = _share(oldest, left)
            lots[0] = Lot(oldest.quantity - left.copy_sign(oldest.quantity), oldest.cost - taken)
            left = ZERO
    return replace(position, lots=tuple(lots))


def _check_currency(book: Book, symbol: str) -> None:
    currency = settlement_currency(symbol)
    if currency != book.currency:
        raise ValueError(f"{symbol} must be settled in {book.currency}, was in {currency or 'nothing'}")


def _share(lot: Lot, units: Decimal) -> Decimal:
    """Return the cost of some units of a lot."""
    return _money(PRODUCTS.divide(PRODUCTS.multiply(lot.cost, units), abs(lot.quantity)))


def _money(amount: Decimal, factor: Decimal = Decimal(1)) -> Decimal:
    """Return amount * factor as money; raises ValueError when it is not finite or too much to be kept exactly."""
    money = PRODUCTS.multiply(amount, factor)
    if not money.is_finite() or abs(money) >= MOST_MONEY:
        raise ValueError(f"an amount of money must be finite and below {MOST_MONEY:,}, was {money}")
    return money.quantize(MONEY_STEP, context=PRODUCTS)
