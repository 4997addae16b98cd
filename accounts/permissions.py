"""Permission checks in the services themselves, so that they apply whatever calls a service: page, command or API."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.core.exceptions import PermissionDenied

P = ParamSpec("P")
R = TypeVar("R")


def permitted(permission: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Requires the permission of the user in `by`; None means that the system acts, and is always allowed.

    Raises PermissionDenied, before anything is read or written.
    """

    def deco(service: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(service)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            by = kwargs.get("by")
            if by is not None and not by.has_perm(permission):  # type: ignore[attr-defined]  # a User, by keyword
                raise PermissionDenied(f"{by} may not do this: it takes {permission}.")
            return service(*args, **kwargs)

        checked.permission = permission  # type: ignore[attr-defined]  # for the tests of the matrix
        return checked

    return deco
