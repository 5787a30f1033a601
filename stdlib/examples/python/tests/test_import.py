"""The module can be imported."""

import greeter


def test_it_says_what_it_does() -> None:
    assert greeter.__doc__ == "Greets."
