def config() -> None:
    """x"""
