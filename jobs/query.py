"""`paradox query` as a Ray job: the nearest records of a text or a vector.

python jobs/query.py "how do I parse a date" -c docs -k 5
ray job submit --working-dir . -- python jobs/query.py "how do I parse a date" -c docs --json
"""

import typer

from paradox.cli import query

if __name__ == "__main__":
    typer.run(query)
