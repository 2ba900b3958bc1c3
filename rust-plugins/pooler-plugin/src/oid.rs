//! OIDs of PostgreSQL's built-in types, as `pg_type` numbers them: they never change.

macro_rules! types {
    ($( $name:ident $oid:literal $array:ident $array_oid:literal $size:literal ; )*) => {
        $(
            #[doc = concat!("`", stringify!($name), "` of `pg_type`")]
            pub const $name: u32 = $oid;
            #[doc = concat!("the array type of `", stringify!($name), "`")]
            pub const $array: u32 = $array_oid;
        )*

        /// The type of an array type's elements; `None` when it is not an array type of this list.
        pub const fn element(array_oid: u32) -> Option<u32> {
            match array_oid {
                $( $array_oid => Some($oid), )*
                _ => None,
            }
        }

        /// `pg_type.typlen`; -1 (variable length) for types that are not in this list.
        pub const fn type_size(type_oid: u32) -> i32 {
            match type_oid {
                $( $oid => $size, )*
                _ => -1,
            }
        }

        /// PostgreSQL's name of the type, for messages.
        pub(crate) fn name(type_oid: u32) -> String {
            match type_oid {
                $( $oid => stringify!($name).to_lowercase(), $array_oid => concat!(stringify!($name), "[]").to_lowercase(), )*
                0 => "unspecified".to_owned(),
                other => format!("type with OID {other}"),
            }
        }
    };
}

types! {
    BOOL 16 BOOL_ARRAY 1000 1;
    BYTEA 17 BYTEA_ARRAY 1001 -1;
    CHAR 18 CHAR_ARRAY 1002 1;
    NAME 19 NAME_ARRAY 1003 64;
    INT8 20 INT8_ARRAY 1016 8;
    INT2 21 INT2_ARRAY 1005 2;
    INT4 23 INT4_ARRAY 1007 4;
    TEXT 25 TEXT_ARRAY 1009 -1;
    OID 26 OID_ARRAY 1028 4;
    JSON 114 JSON_ARRAY 199 -1;
    XML 142 XML_ARRAY 143 -1;
    FLOAT4 700 FLOAT4_ARRAY 1021 4;
    FLOAT8 701 FLOAT8_ARRAY 1022 8;
    BPCHAR 1042 BPCHAR_ARRAY 1014 -1;
    VARCHAR 1043 VARCHAR_ARRAY 1015 -1;
    DATE 1082 DATE_ARRAY 1182 4;
    TIME 1083 TIME_ARRAY 1183 8;
    TIMESTAMP 1114 TIMESTAMP_ARRAY 1115 8;
    TIMESTAMPTZ 1184 TIMESTAMPTZ_ARRAY 1185 8;
    NUMERIC 1700 NUMERIC_ARRAY 1231 -1;
    UUID 2950 UUID_ARRAY 2951 16;
    JSONB 3802 JSONB_ARRAY 3807 -1;
}

/// `unknown` of `pg_type`: a literal whose type nobody has decided.
pub const UNKNOWN: u32 = 705;

/// Types whose binary format is the text itself.
pub(crate) const fn is_text(type_oid: u32) -> bool {
    matches!(type_oid, TEXT | VARCHAR | BPCHAR | NAME | UNKNOWN | JSON | XML | CHAR)
}

/// Types below PostgreSQL's first free OID come with it; those above are extensions' and users'.
pub(crate) const fn is_built_in(type_oid: u32) -> bool {
    type_oid != 0 && type_oid < 16_384
}
