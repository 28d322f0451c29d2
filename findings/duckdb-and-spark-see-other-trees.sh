#!/usr/bin/env bash
# DuckDB 2.0.1 and Spark 4.3.0 (pyarrow 26.0.1; needs Java 17) on one tree of Parquet files: other rows, and other values.
#
# DuckDB's glob takes files and folders whose names begin with "." or "_"; Spark and pyarrow leave them out, as Hadoop
# does. So a writer that hides a file until it is complete, hides it from the one and not from the other: a query counts
# it twice, or half of it. `*/part-*.parquet` does not match what is hidden.
#
# The folders of a partition give its values, whose type follows from all of them. In DuckDB 007 stays a text; in Spark and
# pyarrow it is the number 7, which is also that of the folder 7 beside it. 1e3 is the decimal number 1000 in Spark alone.
# All three undo an escape, and read __HIVE_DEFAULT_PARTITION__ as NULL.
#
# Seen (names whose rows are read; values of the partition, by folder):
#   by_duckdb: hidden .new/part-4 .part-2 _new/part-5 _part-3 part-1
#   by_duckdb: 007='007' 7='7'
#   by_duckdb: 1e3='1e3'
#   by_spark: hidden part-1
#   by_spark: 007=7 7=7
#   by_spark: 1e3=Decimal('1000')
#   by_pyarrow: hidden part-1
#   by_pyarrow: 007=7 7=7
#   by_pyarrow: 1e3='1e3'
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 pyspark==4.3.0 pyarrow==26.0.1
cat >"$work/run.py" <<'PY'
import os

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

NAMES = ("part-1", ".part-2", "_part-3", ".new/part-4", "_new/part-5")
FOLDERS = {"zeros": ("007", "7"), "exponent": ("1e3",), "texts": ("7", "x%20y", "__HIVE_DEFAULT_PARTITION__")}


def put(path: str, value: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    pq.write_table(pa.table({"name": [value]}), path)


for name in NAMES:
    put(f"hidden/{name}.parquet", name)
for folder, values in FOLDERS.items():
    for value in values:
        put(f"{folder}/key={value}/part.parquet", value)

spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")


def by_duckdb(folder: str) -> list[dict]:
    cursor = duckdb.sql(f"FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)")
    return [dict(zip(cursor.columns, row, strict=True)) for row in cursor.fetchall()]


def by_spark(folder: str) -> list[dict]:
    return [row.asDict() for row in spark.read.parquet(folder).collect()]


def by_pyarrow(folder: str) -> list[dict]:
    return ds.dataset(folder, partitioning=ds.partitioning(flavor="hive")).to_table().to_pylist()


for reader in (by_duckdb, by_spark, by_pyarrow):
    print(f"{reader.__name__}: hidden", *sorted(row["name"] for row in reader("hidden")))
    for folder in FOLDERS:
        rows = sorted(reader(folder), key=lambda row: row["name"])
        print(f"{reader.__name__}:", *(f"{row['name']}={row['key']!r}" for row in rows))
spark.stop()
PY
cd "$work"
venv/bin/python run.py 2>errors | tee output || { tail -20 errors >&2; exit 1; }
diff output - <<'SEEN'
by_duckdb: hidden .new/part-4 .part-2 _new/part-5 _part-3 part-1
by_duckdb: 007='007' 7='7'
by_duckdb: 1e3='1e3'
by_duckdb: 7='7' __HIVE_DEFAULT_PARTITION__=None x%20y='x y'
by_spark: hidden part-1
by_spark: 007=7 7=7
by_spark: 1e3=Decimal('1000')
by_spark: 7='7' __HIVE_DEFAULT_PARTITION__=None x%20y='x y'
by_pyarrow: hidden part-1
by_pyarrow: 007=7 7=7
by_pyarrow: 1e3='1e3'
by_pyarrow: 7='7' __HIVE_DEFAULT_PARTITION__=None x%20y='x y'
SEEN
