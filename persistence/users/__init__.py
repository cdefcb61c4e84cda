"""The tables of the users service, and their statements by subject."""

from persistence.users.as_of import find_log_start
from persistence.users.bulk import find_managers, find_taken_numbers, insert_users
from persistence.users.lists import Filters, Position, has_more_records, list_page, list_users
from persistence.users.managers import find_manager_is_active, insert_manager, list_managers, retire_manager
from persistence.users.records import check_update, delete_user, find_user, insert_user, load_for_update, save_update

__all__ = [
    "Filters",
    "Position",
    "check_update",
    "delete_user",
    "find_log_start",
    "find_manager_is_active",
    "find_managers",
    "find_taken_numbers",
    "find_user",
    "has_more_records",
    "insert_manager",
    "insert_user",
    "insert_users",
    "list_managers",
    "list_page",
    "list_users",
    "load_for_update",
    "retire_manager",
    "save_update",
]
