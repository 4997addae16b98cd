"""The decimals of currencies. Pure: no Django, no clock."""

from moneyed import Currency, Money


def minor_unit_digits(currency: Currency) -> int:
    """Decimals of the currency by ISO 4217: 0 for JPY, 2 for EUR and RSD, 3 for BHD.

    The data of CLDR (Babel) is about prices as people write them, and gives RSD, ALL, IQD and others no decimals.
    """
    return len(str(currency.sub_unit)) - 1  # minor units in a unit: 1, 10, 100 …


def decimal_text(money: Money) -> str:
    """The amount for machines, with as many decimals as the currency has, such as 20.00, 643 or 7.742."""
    return f"{money.amount:.{minor_unit_digits(money.currency)}f}"
