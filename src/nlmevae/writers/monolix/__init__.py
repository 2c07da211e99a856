"""The files of a Monolix results folder, one module per noun."""
