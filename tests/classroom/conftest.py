"""What the tests of the local world share: user processes, and the certainty that nothing stays behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from service_helpers import User, of_this_test, wait_until

from labkit.classroom import services


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


@pytest.fixture(autouse=True)
def _nothing_stays(_own_cache: None) -> Iterator[None]:
    """After the test this process uses no service, and every service that the test started is dead."""
    yield
    services.leave_all()
    services.stop_all()
    stayed = not wait_until(lambda: not of_this_test(), seconds=10)
    for process in of_this_test():
        process.kill()
    assert not stayed, "a service outlived its test"
