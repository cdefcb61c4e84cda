"""Database machinery shared by every service: the only package that knows which engine it talks to.

Import its submodules; this file holds nothing else, so that an import costs only what it uses.
"""
