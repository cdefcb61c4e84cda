"""The schema's migrations (Alembic): one branch, a folder of version files, per service, and `shared` for all of them.

`upgrade.py` applies them; `state.py` and `embedded.py` do without Alembic, so that a current database costs no import.
Nothing here imports a service.
"""

import logging

logging.getLogger("alembic").setLevel(logging.WARNING)  # before it is imported: what it does is reported in our words
