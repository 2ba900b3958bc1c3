//! Where a key comes from, and its row hash when the parameters are known: the part that runs for every query. Knows
//! parameters as bytes with a format and a type, not SQL.

use crate::array::{BinaryArray, each_in_text};
use crate::hash::NULL_ROW_HASH;
use crate::key::{Family, KeyType, Malformed, hash_binary, hash_text};

/// A key of a statement: hashed already, or a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Hash(u64),
    Parameter(Parameter),
    /// `= ANY($1)`: all elements.
    Array(Parameter),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// 0-based.
    pub index: u32,
    pub key: KeyType,
    /// A cast such as `$1::text::bigint` makes the server take it as text.
    pub textual: bool,
    pub null: Null,
}

/// What a NULL in the place of a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Null {
    /// `= NULL` is true for no row: every shard answers alike.
    MatchesNothing,
    /// A row with this key is stored: it belongs to remainder 0.
    IsAKey,
    /// `IS NOT DISTINCT FROM NULL` may mean rows that an outer join made up.
    Refused,
}

/// A parameter as the client sent it.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a> {
    /// None is NULL.
    pub bytes: Option<&'a [u8]>,
    pub binary: bool,
    /// 0 when the client left it to the server.
    pub type_oid: u32,
}

/// What of a query the sources are evaluated with.
pub trait Arguments {
    fn argument(&self, index: u32) -> Option<Argument<'_>>;
    /// Whether the bytes of text are those that the server will store. Asked only about text beyond ASCII.
    fn text_is_stored_as_sent(&self) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Syntax,
    OutOfRange,
    Length(usize),
    Type(u32),
    NullKey,
    Encoding,
    /// 1-based, as the client wrote it.
    NoParameter(u32),
}

impl Failure {
    /// The key is not said in a way that can be hashed, as opposed to being wrong.
    pub fn is_missing_key(self) -> bool {
        matches!(self, Self::Type(_) | Self::NullKey)
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Syntax => Self::Syntax,
            Malformed::OutOfRange => Self::OutOfRange,
            Malformed::Length(length) => Self::Length(length),
        }
    }
}

mod oid {
    pub(super) const BYTEA: u32 = 17;
    pub(super) const INT8: u32 = 20;
    pub(super) const INT2: u32 = 21;
    pub(super) const INT4: u32 = 23;
    pub(super) const TEXT: u32 = 25;
    pub(super) const UNKNOWN: u32 = 705;
    pub(super) const VARCHAR: u32 = 1043;
    pub(super) const UUID: u32 = 2950;

    pub(super) const BYTEA_ARRAY: u32 = 1001;
    pub(super) const INT2_ARRAY: u32 = 1005;
    pub(super) const INT4_ARRAY: u32 = 1007;
    pub(super) const TEXT_ARRAY: u32 = 1009;
    pub(super) const VARCHAR_ARRAY: u32 = 1015;
    pub(super) const INT8_ARRAY: u32 = 1016;
    pub(super) const UUID_ARRAY: u32 = 2951;
}

/// How the bytes of a value are to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    AsKey,
    AsText,
}

impl Source {
    /// Calls `key` with the row hash of every key that the source stands for: none when it matches no row.
    #[inline]
    pub(crate) fn each(
        &self,
        arguments: &impl Arguments,
        mut key: impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Hash(hash) => key(*hash),
            Self::Parameter(parameter) => {
                let argument = parameter.argument(arguments)?;
                match argument.bytes {
                    None => match parameter.null {
                        Null::MatchesNothing => Ok(()),
                        Null::IsAKey => key(NULL_ROW_HASH),
                        Null::Refused => Err(Failure::NullKey),
                    },
                    Some(bytes) => {
                        let reading = parameter.reading(argument.type_oid).ok_or(Failure::Type(argument.type_oid))?;
                        key(parameter.hash(bytes, argument.binary && reading == Reading::AsKey, arguments)?)
                    }
                }
            }
            Self::Array(parameter) => parameter.each_element(arguments, key),
        }
    }
}

impl Parameter {
    #[inline]
    fn argument<'a>(&self, arguments: &'a impl Arguments) -> Result<Argument<'a>, Failure> {
        arguments.argument(self.index).ok_or(Failure::NoParameter(self.index + 1))
    }

    /// None for a type that is not the key's: the server would convert it by rules of its own, or refuse it.
    #[inline]
    fn reading(&self, type_oid: u32) -> Option<Reading> {
        let family = self.key.family();
        match (family, type_oid) {
            (_, 0 | oid::UNKNOWN) => Some(if self.textual { Reading::AsText } else { Reading::AsKey }),
            (Family::Integer, oid::INT2 | oid::INT4 | oid::INT8)
            | (Family::Uuid, oid::UUID)
            | (Family::Bytea, oid::BYTEA) => Some(Reading::AsKey),
            (Family::Integer | Family::Uuid | Family::Text, oid::TEXT | oid::VARCHAR) => Some(Reading::AsText),
            _ => None,
        }
    }

    #[inline]
    fn hash(&self, bytes: &[u8], binary: bool, arguments: &impl Arguments) -> Result<u64, Failure> {
        // Text in binary form is in the client's encoding too; the old escape form of bytea may hold characters as well.
        let holds_text = match self.key.family() {
            Family::Text => true,
            Family::Bytea => !binary,
            Family::Integer | Family::Uuid => false,
        };
        if holds_text && !bytes.is_ascii() && !arguments.text_is_stored_as_sent() {
            return Err(Failure::Encoding);
        }
        let hashed = if binary { hash_binary(self.key, bytes) } else { hash_text(self.key, bytes) };
        Ok(hashed?)
    }

    fn each_element(
        &self,
        arguments: &impl Arguments,
        mut key: impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let argument = self.argument(arguments)?;
        let Some(bytes) = argument.bytes else { return Ok(()) };
        let element_oid = match argument.type_oid {
            0 | oid::UNKNOWN => 0,
            oid::BYTEA_ARRAY => oid::BYTEA,
            oid::INT2_ARRAY => oid::INT2,
            oid::INT4_ARRAY => oid::INT4,
            oid::INT8_ARRAY => oid::INT8,
            oid::TEXT_ARRAY => oid::TEXT,
            oid::VARCHAR_ARRAY => oid::VARCHAR,
            oid::UUID_ARRAY => oid::UUID,
            other => return Err(Failure::Type(other)),
        };
        let mut binary = self.reading(element_oid).ok_or(Failure::Type(argument.type_oid))? == Reading::AsKey;
        if !argument.binary {
            return each_in_text(bytes, |element| match element {
                None => self.null_element(&mut key),
                Some(bytes) => key(self.hash(bytes, false, arguments)?),
            });
        }
        // A binary array names the type of its elements itself.
        let mut array = BinaryArray::open(bytes)?;
        if array.element_oid != element_oid {
            binary = self.reading(array.element_oid).ok_or(Failure::Type(array.element_oid))? == Reading::AsKey;
        }
        while let Some(element) = array.next_element()? {
            match element {
                None => self.null_element(&mut key)?,
                Some(bytes) => key(self.hash(bytes, binary, arguments)?)?,
            }
        }
        Ok(())
    }

    fn null_element(&self, key: &mut impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        match self.null {
            Null::IsAKey => key(NULL_ROW_HASH),
            Null::MatchesNothing | Null::Refused => Ok(()),
        }
    }
}
