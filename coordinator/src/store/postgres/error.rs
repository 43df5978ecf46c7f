//! What an error of Postgres or its driver means to callers of the store.
//!
//! Decided by SQLSTATE (PostgreSQL documentation, appendix A), never by words: these change with version and language.

use super::super::StoreError;

/// What to do about an SQLSTATE.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// Reload and try again.
    Unavailable,
    Full,
    /// A row breaks a rule of the schema, or a value does not fit its column.
    Invalid,
    /// Nothing that can happen when schema and code agree.
    Corrupt,
}

fn meaning(sqlstate: &str) -> Meaning {
    match sqlstate {
        // Serialisation failure, deadlock; a transaction that has failed already; lock not had in time; too many connections;
        // cancelled by a time limit; out of memory; read-only, which is a standby after a failover.
        "40001" | "40P01" | "25P02" | "55P03" | "53300" | "57014" | "53200" | "25006" => Meaning::Unavailable,
        // Disk full; quota or file-size limit of the server's machine.
        "53100" | "53400" | "54000" => Meaning::Full,
        // Connection exceptions; the server stops, crashed or starts; input or output of the server failed; idle too long.
        state if state.starts_with("08") || state.starts_with("57P") || state.starts_with("58") => {
            Meaning::Unavailable
        }
        "25P03" | "25P04" => Meaning::Unavailable,
        // Integrity constraints and data exceptions.
        state if state.starts_with("23") || state.starts_with("22") || state.starts_with("21") => {
            Meaning::Invalid
        }
        _ => Meaning::Corrupt,
    }
}

/// The error of the store for an error of the driver; `tried` says what was being done.
pub(super) fn store_error(tried: &str, error: sqlx::Error) -> StoreError {
    if let sqlx::Error::Database(database) = &error {
        let sqlstate = database.code().unwrap_or_default();
        return match meaning(&sqlstate) {
            Meaning::Unavailable => unavailable(tried, error),
            Meaning::Full => StoreError::Full(format!("{tried}: {database}")),
            Meaning::Invalid => StoreError::Invalid(format!("{tried}: {database}")),
            Meaning::Corrupt => StoreError::Corrupt(format!("{tried}: {database} (SQLSTATE {sqlstate})")),
        };
    }
    match error {
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
    }
}

fn unavailable(tried: &str, error: sqlx::Error) -> StoreError {
    StoreError::Unavailable {
        context: tried.to_owned(),
        source: Some(Box::new(error)),
    }
}

/// Name of the constraint that a row broke, if that was the error.
pub(super) fn broken_constraint(error: &sqlx::Error) -> Option<&str> {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::constraint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sqlstate_decides_what_the_caller_does() {
        for state in [
            "08006", "57P01", "57P03", "53300", "40001", "40P01", "25P02", "55P03", "57014", "25006",
        ] {
            assert_eq!(meaning(state), Meaning::Unavailable, "{state}");
        }
        assert_eq!(meaning("53100"), Meaning::Full);
        assert_eq!(meaning("23514"), Meaning::Invalid);
        assert_eq!(meaning("42P01"), Meaning::Corrupt);
    }
}
