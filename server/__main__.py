"""`python -m server` is the command `mallard`."""

from server.cli import main

main()
