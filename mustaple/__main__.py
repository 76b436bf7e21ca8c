"""`python -m mustaple`: the command line."""

from mustaple.cli import main

main()
