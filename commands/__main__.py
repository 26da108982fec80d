"""`python -m commands` is the command `mallard`."""

from commands.main import main

main()
