"""Permission checks in the services themselves, so that they apply whatever calls a service: page, command or API."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from django.core.exceptions import PermissionDenied

P = ParamSpec("P")
R = TypeVar("R")


def permitted(permission: str | Mapping[Any, str], chosen_by: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Requires the permission of the user in `by`; None means that the system acts, and is always allowed.

    A mapping holds the permission for each value of the keyword `chosen_by`. Raises PermissionDenied, before anything
    is read or written.
    """

    def deco(service: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(service)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            needed = permission if isinstance(permission, str) else permission[kwargs[chosen_by]]
            by = kwargs.get("by")
            if by is not None and not by.has_perm(needed):  # type: ignore[attr-defined]  # a User, by keyword
                raise PermissionDenied(f"{by} may not do this: it takes {needed}.")
            return service(*args, **kwargs)

        checked.permission = permission  # type: ignore[attr-defined]  # for the tests of the matrix
        return checked

    return deco
