"""`paradox ingest` as a Ray job: files into a collection, resumable.

python jobs/ingest.py "/shared/*.parquet" -c papers --dim 384 --vector-column embedding
ray job submit --working-dir . -- python jobs/ingest.py /shared/docs.csv -c docs --dim 384
"""

import typer

from paradox.cli import ingest

if __name__ == "__main__":
    typer.run(ingest)
