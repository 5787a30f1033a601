"""Greetings."""

from greeter import greeting


def test_it_names_whom_it_greets() -> None:
    assert greeting("you") == "Hello, you"
