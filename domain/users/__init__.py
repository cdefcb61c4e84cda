"""The rules of the users service: errors, fields, and what an update does to a user's versions."""
