//! Records of a spool as bytes: `length u32, crc32 u32`, then as many bytes of payload. Little endian throughout.
//!
//! Pure. Whatever the bytes, decoding gives a record, says that there is none yet, or says that they are damaged.

/// Longest payload: an end with its log tail and warnings is the longest there is.
const MAX_PAYLOAD: usize = 1 << 20;
/// Bytes before the payload.
pub(super) const HEADER: usize = 8;

/// Where points come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Origin {
    Stdout = 1,
    MetricsFile = 2,
    OwnFile = 3,
    Socket = 4,
}

impl Origin {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Stdout, Self::MetricsFile, Self::OwnFile, Self::Socket]
            .into_iter()
            .find(|origin| origin.byte() == byte)
    }

    fn byte(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::MetricsFile => 2,
            Self::OwnFile => 3,
            Self::Socket => 4,
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// The next metric, numbered from 0 in the order of these records.
    Name(String),
    /// A point.
    Point(PointRecord),
    /// Reading of `origin` goes on at `position`, of this very file.
    Position { origin: Origin, position: Position },
    /// The attempt has ended; nothing follows.
    End(Vec<u8>),
}

/// Where to go on reading a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Bytes from the start of the file.
    pub(crate) offset: u64,
}

/// A point as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PointRecord {
    pub(super) seq: u64,
    pub(super) origin: Origin,
    /// Whether the next record belongs to the same line: both count or neither.
    pub(super) more: bool,
    /// Offset after the line; 0 where there are no lines.
    pub(super) offset: u64,
    pub(super) metric: u32,
    pub(super) step: i64,
    pub(super) value: f64,
    pub(super) at_micros: i64,
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Decoded {
    /// A record, and how many bytes it takes.
    Record(Record, usize),
    /// The bytes end before the record does.
    Incomplete,
    /// No record of ours.
    Damaged,
}

impl Record {
    /// Appends the record to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; HEADER]);
        match self {
            Self::Name(name) => {
                out.push(1);
                out.extend(name.as_bytes());
            }
            Self::Point(point) => {
                out.push(2);
                out.push(point.origin.byte());
                out.push(u8::from(point.more));
                out.extend(point.seq.to_le_bytes());
                out.extend(point.offset.to_le_bytes());
                out.extend(point.metric.to_le_bytes());
                out.extend(point.step.to_le_bytes());
                out.extend(point.value.to_bits().to_le_bytes());
                out.extend(point.at_micros.to_le_bytes());
            }
            Self::Position { origin, position } => {
                out.push(3);
                out.push(origin.byte());
                out.extend(position.device.to_le_bytes());
                out.extend(position.inode.to_le_bytes());
                out.extend(position.offset.to_le_bytes());
            }
            Self::End(content) => {
                out.push(4);
                out.extend(content);
            }
        }
        let payload = &out[start + HEADER..];
        debug_assert!(payload.len() <= MAX_PAYLOAD, "record of {} bytes", payload.len());
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let crc = crc32fast::hash(payload);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + HEADER].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the record at the beginning of `bytes`.
    pub(super) fn decode(bytes: &[u8]) -> Decoded {
        let mut fields = Fields(bytes);
        let (Some(length), Some(crc)) = (fields.u32(), fields.u32()) else {
            return Decoded::Incomplete;
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            return Decoded::Damaged;
        }
        let Some(payload) = fields.0.get(..length) else {
            return Decoded::Incomplete;
        };
        if crc32fast::hash(payload) != crc {
            return Decoded::Damaged;
        }
        match Self::from_payload(payload) {
            Some(record) => Decoded::Record(record, HEADER + length),
            None => Decoded::Damaged,
        }
    }

    fn from_payload(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        match fields.u8()? {
            1 => Some(Self::Name(std::str::from_utf8(fields.0).ok()?.to_owned())),
            2 => {
                let point = PointRecord {
                    origin: Origin::from_byte(fields.u8()?)?,
                    more: fields.u8()? != 0,
                    seq: fields.u64()?,
                    offset: fields.u64()?,
                    metric: fields.u32()?,
                    step: fields.u64()?.cast_signed(),
                    value: f64::from_bits(fields.u64()?),
                    at_micros: fields.u64()?.cast_signed(),
                };
                fields.0.is_empty().then_some(Self::Point(point))
            }
            3 => {
                let origin = Origin::from_byte(fields.u8()?)?;
                let position = Position {
                    device: fields.u64()?,
                    inode: fields.u64()?,
                    offset: fields.u64()?,
                };
                fields.0.is_empty().then_some(Self::Position { origin, position })
            }
            4 => Some(Self::End(fields.0.to_vec())),
            _ => None,
        }
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
