"""``python -m purport``, which ``torchrun -m purport`` needs."""

from .isolation import skip_working_directory

if __name__ == "__main__":
    skip_working_directory()
    from .cli.main import run

    run()
