//! Arrays as vectors, with NULL and with dimensions, and what is wrong with malformed ones.

use pooler_plugin::{Array, DecodeError, Dimension, RawValue, oid};

/// array_send of int4 elements.
fn sent(dimensions: &[(i32, i32)], elements: &[Option<i32>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((dimensions.len() as i32).to_be_bytes());
    bytes.extend(i32::from(elements.contains(&None)).to_be_bytes());
    bytes.extend(oid::INT4.to_be_bytes());
    for (length, lower_bound) in dimensions {
        bytes.extend(length.to_be_bytes());
        bytes.extend(lower_bound.to_be_bytes());
    }
    for element in elements {
        match element {
            None => bytes.extend((-1_i32).to_be_bytes()),
            Some(value) => {
                bytes.extend(4_i32.to_be_bytes());
                bytes.extend(value.to_be_bytes());
            }
        }
    }
    bytes
}

fn reason(result: Result<Vec<Option<i32>>, DecodeError>) -> String {
    result.expect_err("malformed").to_string()
}

#[test]
fn vectors_hold_all_elements_whatever_the_dimensions() {
    assert_eq!(RawValue::text("{{1,2},{3,4}}", 0).decode(), Ok(vec![1_i64, 2, 3, 4]));
    let bytes = sent(&[(2, 1), (2, 1)], &[Some(1), Some(2), Some(3), Some(4)]);
    assert_eq!(RawValue::binary(&bytes, oid::INT4_ARRAY).decode(), Ok(vec![1_i64, 2, 3, 4]));
    assert_eq!(RawValue::binary(&bytes, 0).decode(), Ok(vec![1_i16, 2, 3, 4]));
    assert_eq!(RawValue::text("{}", 0).decode(), Ok(Vec::<i32>::new()));
    assert_eq!(RawValue::binary(&sent(&[], &[]), 0).decode(), Ok(Vec::<i32>::new()));
}

#[test]
fn null_elements_need_an_option() {
    let bytes = sent(&[(2, 1)], &[Some(1), None]);
    assert_eq!(RawValue::binary(&bytes, 0).decode(), Ok(vec![Some(1), None]));
    for raw in [RawValue::binary(&bytes, 0), RawValue::text("{1,NULL}", 0)] {
        let error = raw.decode::<Vec<i32>>().expect_err("a NULL");
        assert_eq!(error.to_string(), "array element 1: NULL where a value of type integer was expected");
    }
}

#[test]
fn dimensions_keep_their_bounds() {
    let expected = vec![Dimension { length: 2, lower_bound: -1 }, Dimension { length: 1, lower_bound: 5 }];
    let read: Array<i32> = RawValue::text("[-1:0][5:5]={{1},{2}}", 0).decode().expect("an array");
    assert_eq!((&read.dimensions, &read.elements), (&expected, &vec![1, 2]));
    let bytes = sent(&[(2, -1), (1, 5)], &[Some(1), Some(2)]);
    assert_eq!(RawValue::binary(&bytes, 0).decode(), Ok(read));
}

#[test]
fn an_arrays_type_says_its_elements_type() {
    // A text of type numeric[]: its elements are numerics, so whole ones are integers.
    assert_eq!(RawValue::text("{1.0,2.00}", oid::NUMERIC_ARRAY).decode(), Ok(vec![1_i64, 2]));
    assert!(RawValue::text("{1.0,2.00}", oid::INT8_ARRAY).decode::<Vec<i64>>().is_err());
}

#[test]
fn quoted_elements_keep_what_is_in_the_quotes() {
    let text = r#"{"a b","c,d","e\"f","g\\h","{}",NULL,"NULL",""}"#;
    let read: Vec<Option<String>> = RawValue::text(text, 0).decode().expect("an array");
    let expected = [Some("a b"), Some("c,d"), Some("e\"f"), Some("g\\h"), Some("{}"), None, Some("NULL"), Some("")];
    assert_eq!(read, expected.map(|element| element.map(str::to_owned)));
}

#[test]
fn malformed_binary_arrays_are_refused() {
    let decode = |bytes: &[u8]| RawValue::binary(bytes, 0).decode::<Vec<Option<i32>>>();
    let with = |at: usize, value: i32| {
        let mut bytes = sent(&[(1, 1)], &[Some(7)]);
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        decode(&bytes)
    };
    assert_eq!(with(0, 1), Ok(vec![Some(7)]));
    assert!(reason(with(0, 7)).contains("more dimensions"));
    assert!(reason(with(0, -1)).contains("more dimensions"));
    assert!(reason(with(4, 2)).contains("unknown flags"));
    assert!(reason(with(8, oid::UUID as i32)).contains("a binary uuid cannot be read as integer"));
    assert!(reason(with(12, -1)).contains("negative length"));
    assert!(reason(with(12, i32::MAX)).contains("ends too early"), "a count must not reserve memory");
    assert!(reason(with(20, 5)).contains("ends too early"));
    assert!(reason(with(20, -2)).contains("negative length"));
    assert!(reason(decode(&[sent(&[(1, 1)], &[Some(7)]), vec![0]].concat())).contains("bytes follow"));
    let huge = sent(&[(i32::MAX, 1), (i32::MAX, 1), (i32::MAX, 1)], &[]);
    assert!(reason(decode(&huge)).contains("too many elements"));
}
