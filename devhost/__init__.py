"""Serves a v2 `FunctionApp` over HTTP on this machine, without Azure Functions Core Tools."""
