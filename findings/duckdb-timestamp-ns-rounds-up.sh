#!/usr/bin/env bash
# DuckDB 2.0.1: parts of a TIMESTAMP_NS disagree in the last half microsecond before a boundary.
#
# date_trunc, time_bucket, ::date and year() take the value by way of a TIMESTAMP, and that cast rounds to the nearest
# microsecond instead of cutting; hour(), extract(second) and comparisons work on the nanoseconds. So
# 2025-12-31 23:59:59.999999999 has the year 2026 and the hour 23, and a count by day puts it into the next day.
# Parquet files with nanosecond timestamps, as pandas and pyarrow write them, are read as TIMESTAMP_NS.
#
# Seen:
#   year 2026
#   date 2026-01-01
#   date_trunc second 2026-01-01 00:00:00
#   time_bucket 2026-01-01 00:00:00
#   hour 23
#   second 59
#   before 2026 true
#   typeof date_trunc TIMESTAMP
#   rows by day from Parquet [('2026-01-01', 1)]
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1
cat >"$work/run.py" <<'PY'
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

VALUE = "timestamp_ns '2025-12-31 23:59:59.999999999'"
for name, expression in (
    ("year", "year(t)"),
    ("date", "t::date"),
    ("date_trunc second", "date_trunc('second', t)"),
    ("time_bucket", "time_bucket(interval 1 second, t)"),
    ("hour", "hour(t)"),
    ("second", "extract(second from t)"),
    ("before 2026", "t < timestamp '2026-01-01 00:00:00'"),
    ("typeof date_trunc", "typeof(date_trunc('second', t))"),
):
    print(name, duckdb.sql(f"select ({expression})::varchar from (select {VALUE} as t)").fetchall()[0][0])

nanoseconds = 1_767_225_599_999_999_999
pq.write_table(pa.table({"t": pa.array([nanoseconds], pa.timestamp("ns"))}), "times.parquet")
by_day = duckdb.sql("select date_trunc('day', t)::date::varchar, count(*) from 'times.parquet' group by 1").fetchall()
print("rows by day from Parquet", by_day)
PY
cd "$work"
venv/bin/python run.py | tee output
diff output - <<'SEEN'
year 2026
date 2026-01-01
date_trunc second 2026-01-01 00:00:00
time_bucket 2026-01-01 00:00:00
hour 23
second 59
before 2026 true
typeof date_trunc TIMESTAMP
rows by day from Parquet [('2026-01-01', 1)]
SEEN
