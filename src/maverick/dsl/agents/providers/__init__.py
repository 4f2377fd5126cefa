"""The programs that can play an agent: each is one file here, named as `provider:` names it.

It holds the record `PROVIDER`, which says how the program is called, and the reader of its output.
"""
