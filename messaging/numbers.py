"""Numbers and references as people type them: with other dashes, spaces or none, in small letters, O for zero."""

import re
import unicodedata
from typing import Any

from django.db import models
from django.db.models.lookups import Lookup

SHORTEST = 3  # characters of a number that is compared so
_REFERENCE = re.compile(r"([A-Z]{2})([0-9A-Z]{4})([0-9A-Z]{4})(\d{1,3})?")
_SQL = "translate(upper(regexp_replace({column}, '[^A-Za-z0-9]', '', 'g')), 'O', '0')"


def number_key(typed: str) -> str:
    """What remains of a number in each of its spellings: «AT 9O0001», «at-900001.» and «AT–900001» are AT900001."""
    plain = unicodedata.normalize("NFKC", typed).upper()
    return re.sub("[^A-Z0-9]", "", plain).replace("O", "0")


def tidy_reference(typed: str) -> str:
    """The reference in the portal's own spelling: «cr jf4n xkt9» is CR-JF4N-XKT9. Other text in capitals, as it is."""
    plain = unicodedata.normalize("NFKC", typed).strip().upper()
    match = _REFERENCE.fullmatch(re.sub("[^A-Z0-9]", "", plain))
    return "-".join(filter(None, match.groups())) if match else plain


class NumberKey(models.Func):
    """`number_key` of a column, for an index."""

    template = _SQL.format(column="%(expressions)s")
    output_field = models.TextField()


@models.CharField.register_lookup
class SameNumber(Lookup):  # type: ignore[type-arg]  # not generic at run time
    """`account_number__same_number=…`: rows whose number is the same by `number_key`. Needs an index of NumberKey."""

    lookup_name = "same_number"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, values = self.process_lhs(compiler, connection)
        key = number_key(str(self.rhs))
        return f"({_SQL.format(column=column)} = %s AND %s)", (*values, key, len(key) >= SHORTEST)
