"""The rules of every service as plain functions: no I/O, no clock, no settings, standard library only."""
