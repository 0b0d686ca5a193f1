"""`python -m streamcount` is the `streamcount` command."""

from streamcount.cli import main

main()
