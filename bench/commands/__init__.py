"""The commands, a module each: `register(commands)` adds their parsers, whose default `run` takes
the parsed arguments and returns the exit status."""
