"""The command line: thin, and the last room."""
