"""`paradox ingest` as a Ray job: files into a collection, resumable.

python jobs/ingest.py "data/*.parquet" -c papers --dim 384 --vector-column embedding
ray job submit --working-dir . -- python jobs/ingest.py docs.parquet -c docs --encoder minilm-l6-v2
"""

import typer

from paradox.cli import ingest

if __name__ == "__main__":
    typer.run(ingest)
