"""What the shop says."""


def greet(name: str) -> None:
    """Say hello."""
    print(f"Welcome, {name}!")
