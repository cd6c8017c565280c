"""Whether the packages that only the pages need are there. Imports none of them."""

import importlib.util

from rpax.errors import InputError

_PACKAGES = ("fastapi", "uvicorn", "websockets")


def check_web_extra() -> None:
    """Whether the extra ``web`` is installed.

    Raises:
        InputError: it is not.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"the page needs {' and '.join(missing)}; run pip install 'rpax[web]'")
