"""`python -m admin`: commands for operators, one file per service. Nothing in the app imports this."""
