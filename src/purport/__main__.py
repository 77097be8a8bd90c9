"""``python -m purport``, which ``torchrun -m purport`` needs."""

from .cli.main import run

if __name__ == "__main__":
    run()
