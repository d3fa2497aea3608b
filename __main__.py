"""`python -m iotsense`."""

from .cli import main

main()
