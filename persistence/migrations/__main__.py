"""`python -m persistence.migrations`: writes `heads.py` and the T-SQL of the migrations in `sql/`."""

from __future__ import annotations

import argparse

from persistence.migrations.generate import generated_files


def main() -> None:
    """Writes the generated files that have changed."""
    argparse.ArgumentParser(prog="python -m persistence.migrations", description=__doc__).parse_args()
    for path, text in generated_files().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            print(path)


if __name__ == "__main__":
    main()
