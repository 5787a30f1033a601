"""Greets."""


def greeting(name: str) -> str:
    """What to say to somebody."""
    return f"Hello, {name}"
