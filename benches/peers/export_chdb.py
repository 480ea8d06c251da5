"""chdb: ClickHouse in this process, straight to the store."""

import chdb
from job import JOB

store = JOB.store
url = f"{store.endpoint}/{store.bucket}/{JOB.key}"
form, settings = {
    "parquet": (
        "'Parquet'",
        "output_format_parquet_compression_method = 'zstd', output_format_compression_level = 1",
    ),
    "jsonl": ("'JSONEachRow', 'auto', 'gzip'", "output_format_json_quote_64bit_integers = 0"),
}[JOB.format]
chdb.query(
    f"INSERT INTO FUNCTION s3('{url}', '{store.access_key}', '{store.secret_key}', {form})"
    f" SELECT * FROM file('{JOB.input}', 'Parquet')"
    f" SETTINGS {settings}, input_format_parquet_preserve_order = 1"
)
