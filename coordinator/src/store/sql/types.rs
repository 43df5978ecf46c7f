//! Column types that both databases can hold, though in different clothes.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::types::time::OffsetDateTime;
use sqlx::{Decode, Encode, Type, TypeInfo, ValueRef};
use tunesmith_common::Timestamp;

use super::json::Number;

/// JSON text: `json` in Postgres, text in SQLite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Json(pub(in crate::store) String);

/// Oids that Postgres has given to `json` and `json[]` for good; sqlx would choose `jsonb`.
const JSON_OID: sqlx::postgres::types::Oid = sqlx::postgres::types::Oid(114);
const JSON_ARRAY_OID: sqlx::postgres::types::Oid = sqlx::postgres::types::Oid(199);

impl Type<Postgres> for Json {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSON_OID)
    }
}

impl PgHasArrayType for Json {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSON_ARRAY_OID)
    }
}

impl Encode<'_, Postgres> for Json {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <&str as Encode<Postgres>>::encode(&self.0, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Json {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        value.as_str().map(|text| Self(text.to_owned()))
    }
}

impl Type<Sqlite> for Json {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for Json {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <String as Encode<Sqlite>>::encode_by_ref(&self.0, buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for Json {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        <String as Decode<Sqlite>>::decode(value).map(Self)
    }
}

/// A time: `timestamptz` in Postgres, microseconds since 1970 in SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Time(pub(in crate::store) Timestamp);

/// 2000-01-01T00:00:00Z, from which Postgres counts.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
/// The ends of what Postgres can hold: 4713 BC and 294276 AD.
const POSTGRES_RANGE: std::ops::RangeInclusive<i64> = -211_813_488_000_000_000..=9_223_371_331_199_999_999;

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        <OffsetDateTime as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        <OffsetDateTime as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let since = self.0.as_micros().saturating_sub(POSTGRES_EPOCH);
        <i64 as Encode<Postgres>>::encode(
            since.clamp(*POSTGRES_RANGE.start(), *POSTGRES_RANGE.end()),
            buffer,
        )
    }
}

impl<'r> Decode<'r, Postgres> for Time {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let since = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(Timestamp::from_micros(since.saturating_add(POSTGRES_EPOCH))))
    }
}

impl Type<Sqlite> for Time {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for Time {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Sqlite>>::encode(self.0.as_micros(), buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for Time {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<Sqlite>>::decode(value).map(|micros| Self(Timestamp::from_micros(micros)))
    }
}

impl Type<Postgres> for Number {
    fn type_info() -> PgTypeInfo {
        <f64 as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Number {
    fn array_type_info() -> PgTypeInfo {
        <f64 as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for Number {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <f64 as Encode<Postgres>>::encode(self.0, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Number {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <f64 as Decode<Postgres>>::decode(value).map(Self)
    }
}

impl Type<Sqlite> for Number {
    fn type_info() -> SqliteTypeInfo {
        <f64 as Type<Sqlite>>::type_info()
    }

    fn compatible(ty: &SqliteTypeInfo) -> bool {
        <f64 as Type<Sqlite>>::compatible(ty) || <String as Type<Sqlite>>::compatible(ty)
    }
}

impl Encode<'_, Sqlite> for Number {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        match self.name() {
            Some(name) => <String as Encode<Sqlite>>::encode(name.to_owned(), buffer),
            None => <f64 as Encode<Sqlite>>::encode(self.0, buffer),
        }
    }
}

impl<'r> Decode<'r, Sqlite> for Number {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.type_info().name() == "TEXT" {
            let name = <&str as Decode<Sqlite>>::decode(value)?;
            return Self::named(name).ok_or_else(|| format!("{name:?} is not a number").into());
        }
        <f64 as Decode<Sqlite>>::decode(value).map(Self)
    }
}
