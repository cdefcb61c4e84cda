"""Database machinery shared by every service: the only package that depends on the engine.

Import its submodules. This file is empty, so that an import loads only what it uses.
"""
