"""SQLModel tables and the statements over them, per service, over `database.py`. No HTTP lives here."""
