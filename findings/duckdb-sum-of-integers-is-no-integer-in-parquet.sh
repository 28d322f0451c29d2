#!/usr/bin/env bash
# DuckDB 2.0.1: the sum of integers, written to Parquet, is a floating-point number, and above 2^53 another one.
#
# sum() of a BIGINT column is a HUGEINT, so that it cannot overflow; COPY to Parquet, which has no integers of 128
# bits, writes a DOUBLE without an error or a warning. Totals of bytes or of nanoseconds, grouped and kept as Parquet,
# are rounded, and a schema that had int64 has double. A cast keeps them: sum(x)::BIGINT, or sum(x)::DECIMAL(38, 0).
#
# Seen (two rows of 9007199254740993):
#   table: 18014398509481986 HUGEINT
#   parquet: 18014398509481984 DOUBLE, for pyarrow double
#   parquet, cast: 18014398509481986 BIGINT, for pyarrow int64
#   parquet, decimal: 18014398509481986 DECIMAL(38,0), for pyarrow decimal128(38, 0)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1
cat >"$work/run.py" <<'PY'
import duckdb
import pyarrow.parquet as parquet

duckdb.sql("CREATE TABLE t AS SELECT 9007199254740993::BIGINT AS x FROM range(2)")


def show(source: str, what: str = "x") -> str:
    ((value, kind),) = duckdb.sql(f"SELECT {what}, typeof({what}) FROM {source}").fetchall()
    return f"{int(value)} {kind}"


print("table:", show("t", "sum(x)"))
written = {"parquet": "sum(x)", "parquet, cast": "sum(x)::BIGINT", "parquet, decimal": "sum(x)::DECIMAL(38, 0)"}
for name, expression in written.items():
    duckdb.sql(f"COPY (SELECT {expression} AS x FROM t) TO 'sum.parquet'")
    shown = show("'sum.parquet'")
    print(f"{name}: {shown}, for pyarrow {parquet.read_schema('sum.parquet').field('x').type}")
PY
cd "$work"
venv/bin/python run.py | tee output
diff output - <<'SEEN'
table: 18014398509481986 HUGEINT
parquet: 18014398509481984 DOUBLE, for pyarrow double
parquet, cast: 18014398509481986 BIGINT, for pyarrow int64
parquet, decimal: 18014398509481986 DECIMAL(38,0), for pyarrow decimal128(38, 0)
SEEN
