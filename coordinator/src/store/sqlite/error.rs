//! What an error of SQLite or its driver means to callers of the store. Decided by result code, never by words.

use super::super::StoreError;

/// The error of the store for an error of the driver; `tried` says what was being done.
pub(super) fn store_error(tried: &str, error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|database| database.code());
    let Some(code) = code.and_then(|code| code.parse::<u32>().ok()) else {
        return match error {
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::RowNotFound => StoreError::Corrupt(format!("{tried}: {error}")),
            sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
                StoreError::Invalid(format!("{tried}: {error}"))
            }
            error => unavailable(tried, error),
        };
    };
    // The low byte is the kind, the others say more (sqlite.org/rescode.html).
    match code & 0xff {
        13 => StoreError::Full(format!("{tried}: {error}")),
        // Constraint, too big, wrong type, number of parameter.
        18 | 19 | 20 | 25 => StoreError::Invalid(format!("{tried}: {error}")),
        // Wrong statement for the schema, damaged file, not a database.
        1 | 11 | 17 | 26 => StoreError::Corrupt(format!("{tried}: {error}")),
        _ => unavailable(tried, error),
    }
}

fn unavailable(tried: &str, error: sqlx::Error) -> StoreError {
    StoreError::Unavailable {
        context: tried.to_owned(),
        source: Some(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection, raw_sql};

    use super::*;

    async fn error_of(sql: &'static str) -> StoreError {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let error = raw_sql(sql).execute(&mut connection).await.unwrap_err();
        store_error("test", error)
    }

    #[tokio::test]
    async fn a_result_code_decides_what_the_caller_does() {
        let full = error_of(
            "PRAGMA max_page_count = 3; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))",
        );
        assert!(matches!(full.await, StoreError::Full(_)));
        let twice = error_of("CREATE TABLE t (x PRIMARY KEY); INSERT INTO t VALUES (1), (1)");
        assert!(matches!(twice.await, StoreError::Invalid(_)));
        assert!(matches!(
            error_of("SELECT * FROM nothing").await,
            StoreError::Corrupt(_)
        ));
    }
}
