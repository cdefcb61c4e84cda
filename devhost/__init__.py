"""Serves a v2 `FunctionApp` over HTTP on this machine, for those who have no Azure Functions Core Tools at hand."""
