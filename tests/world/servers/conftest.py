"""What the tests of the local world share: user processes, and Hubs in threads.

Services come from `tests.sharing`: of the session by `course_cache`, of one test by `own_course_cache`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from service_helpers import User


@pytest.fixture
def user() -> Iterator[Callable[..., User]]:
    """Makes user processes; all of them are gone after the test."""
    made: list[User] = []

    def make(**keywords: Any) -> User:
        made.append(User(**keywords))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
