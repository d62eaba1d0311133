"""The command line: one module or folder for each command, which parses, calls and prints.

``main`` holds the group and imports a command's module only when the command is used.
"""
