"""The command line: a file for each group of commands, imported when it is asked for (`commands.main`)."""
