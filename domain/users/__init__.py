"""The rules of the users service: errors, fields, and the effect of an update on a user's versions."""
