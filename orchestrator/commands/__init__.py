"""The commands of `robust-sweep`, their options and their output on the terminal."""
