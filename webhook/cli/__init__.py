"""The command line: one short module a command, which parses, calls and prints.

``main`` holds the group and imports a command's module only when it is used.
"""
