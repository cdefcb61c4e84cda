"""SQLModel tables and their statements, per service, over the shared package `database`. No HTTP lives here."""
