//! Data of a copy, in pieces of every size, and values that do not fit.

use crate::postgres::build::Builder;
use crate::postgres::copy::{Decoder, Fault, Field, MAX_ROW_BYTES, Rows};
use crate::postgres::settings::Infinity;
use crate::postgres::types::Kind;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Date32Type, Int32Type, TimestampMicrosecondType};
use batch_export_system::explain::{Cause, Explain};

/// Rows as the values that their fields have.
#[derive(Default)]
struct Kept(Vec<Vec<Option<Vec<u8>>>>);

impl Rows for Kept {
    fn row(&mut self, number: u64, bytes: &[u8], fields: &[Field]) -> Result<(), Fault> {
        assert_eq!(number, self.0.len() as u64 + 1);
        let values = fields
            .iter()
            .map(|field| field.clone().map(|field| bytes[field].to_vec()));
        self.0.push(values.collect());
        Ok(())
    }
}

fn header() -> Vec<u8> {
    [b"PGCOPY\n\xff\r\n\0".as_slice(), &[0; 8]].concat()
}

fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut row = u16::try_from(values.len()).expect("few").to_be_bytes().to_vec();
    for value in values {
        match value {
            Some(value) => {
                row.extend(u32::try_from(value.len()).expect("small").to_be_bytes());
                row.extend(*value);
            }
            None => row.extend((-1_i32).to_be_bytes()),
        }
    }
    row
}

fn decode(data: &[u8], size: usize) -> Result<Kept, Fault> {
    let mut decoder = Decoder::new(2);
    let mut kept = Kept::default();
    for piece in data.chunks(size) {
        decoder.feed(piece, &mut kept)?;
    }
    decoder.finish()?;
    Ok(kept)
}

#[test]
fn rows_are_the_same_whatever_pieces_they_come_in() {
    let long = vec![b'x'; 1_000];
    let rows: [&[Option<&[u8]>]; 4] = [
        &[Some(b"a"), Some(b"")],
        &[None, Some(&long)],
        &[None, None],
        &[Some(&[0xff; 3]), Some(b"b")],
    ];
    let mut data = header();
    rows.iter().for_each(|values| data.extend(row(values)));
    data.extend((-1_i16).to_be_bytes());
    let expect: Vec<Vec<Option<Vec<u8>>>> = rows
        .iter()
        .map(|values| values.iter().map(|value| value.map(<[u8]>::to_vec)).collect())
        .collect();
    for size in (1..40).chain([500, 1_020, data.len()]) {
        assert_eq!(decode(&data, size).expect("rows").0, expect, "{size}");
    }
    for cut in 0..data.len() {
        for size in [1, 7, data.len()] {
            assert_eq!(decode(&data[..cut], size).err(), Some(Fault::Cut), "{cut}");
        }
    }
}

#[test]
fn data_that_no_server_sends_are_refused() {
    let malformed = |data: &[u8], expect: &str| match decode(data, 3) {
        Err(Fault::Malformed(what)) => assert!(what.contains(expect), "{what}"),
        other => panic!("{:?}", other.err()),
    };
    malformed(b"PGCOPX", "do not begin");
    malformed(
        &[b"PGCOPY\n\xff\r\n\0".as_slice(), &[0, 1, 0, 0, 0, 0, 0, 0]].concat(),
        "flags",
    );
    malformed(
        &[b"PGCOPY\n\xff\r\n\0".as_slice(), &[0, 0, 0, 0, 0x7f, 0, 0, 0]].concat(),
        "header",
    );
    malformed(&[header(), row(&[None])].concat(), "row 1 has 1 fields, expected 2");
    malformed(
        &[header(), vec![0, 2, 0xff, 0xff, 0xff, 0xfe]].concat(),
        "has the length -2",
    );
    malformed(&[header(), vec![0xff, 0xff, 0]].concat(), "more after their end");
    let further = [
        b"PGCOPY\n\xff\r\n\0".as_slice(),
        &[0, 0, 0, 0, 0, 0, 0, 2, 9, 9, 0xff, 0xff],
    ]
    .concat();
    assert!(decode(&further, 1).expect("a longer header").0.is_empty());
    let length = i32::try_from(MAX_ROW_BYTES).expect("fits").to_be_bytes();
    let large = [header(), vec![0, 2], length.to_vec()].concat();
    assert_eq!(decode(&large, 5).err(), Some(Fault::TooLarge(1)));
}

fn built(kind: &Kind, values: &[Option<&[u8]>], infinity: Infinity) -> Result<ArrayRef, Cause> {
    let mut builder = Builder::new(kind);
    for value in values {
        builder.append(*value, infinity)?;
    }
    let array = builder.finish().expect("an array");
    assert_eq!(*array.data_type(), kind.data_type());
    assert_eq!(array.len(), values.len());
    Ok(array)
}

#[test]
fn bytes_that_are_no_value_of_their_type_are_refused() {
    for (kind, values) in [
        (Kind::Boolean, vec![&[][..], &[2], &[0, 0]]),
        (Kind::Int16, vec![&[], &[0], &[0; 4]]),
        (Kind::Int32, vec![&[0; 8]]),
        (Kind::Int64, vec![&[0; 4]]),
        (Kind::Oid, vec![&[0; 3]]),
        (Kind::Float32, vec![&[0; 8]]),
        (Kind::Float64, vec![&[0; 4]]),
        (Kind::Text, vec![&[0xff]]),
        (Kind::Json, vec![&[0xff]]),
        (Kind::Jsonb, vec![&[], b"\x02{}", b"\x01\xff"]),
        (Kind::Uuid, vec![&[0; 15], &[0; 17]]),
        (Kind::Date, vec![&[0; 8]]),
        (Kind::Time, vec![&[0; 4]]),
        (Kind::Timestamp { is_zoned: true }, vec![&[0; 4]]),
        (Kind::NumericText, vec![&[0; 7], &[0; 10]]),
        (Kind::Decimal128 { precision: 5, scale: 2 }, vec![&[0; 7]]),
        (
            Kind::List(Box::new(Kind::Int32)),
            vec![&[], &[0; 4], &[0; 13], &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 23]],
        ),
    ] {
        for value in values {
            let cause = built(&kind, &[Some(value)], Infinity::Refuse).expect_err("odd");
            assert!(cause.hint().is_some(), "{kind:?} {value:?}");
        }
        let nulls = built(&kind, &[None, None], Infinity::Refuse).expect("nulls");
        assert_eq!(nulls.null_count(), 2);
    }
}

#[test]
fn times_without_an_end_are_refused_or_null() {
    let date = Kind::Date;
    for end in [i32::MIN, i32::MAX] {
        let bytes = end.to_be_bytes();
        let cause = built(&date, &[Some(&bytes)], Infinity::Refuse).expect_err("infinite");
        assert!(cause.to_string().contains("infinity"), "{cause}");
        assert!(cause.hint().expect("a hint").contains("infinity = \"null\""));
        let array = built(&date, &[Some(&bytes), Some(&[0; 4])], Infinity::Null).expect("null");
        assert_eq!(
            array.as_primitive::<Date32Type>().iter().collect::<Vec<_>>(),
            [None, Some(10_957)]
        );
    }
    let time = Kind::Timestamp { is_zoned: true };
    for end in [i64::MIN, i64::MAX] {
        built(&time, &[Some(&end.to_be_bytes())], Infinity::Refuse).expect_err("infinite");
        let array = built(&time, &[Some(&end.to_be_bytes()), Some(&[0; 8])], Infinity::Null).expect("null");
        let micros: Vec<_> = array.as_primitive::<TimestampMicrosecondType>().iter().collect();
        assert_eq!(micros, [None, Some(946_684_800_000_000)]);
    }
    let late = (i64::MAX - 1).to_be_bytes();
    let cause = built(&time, &[Some(&late)], Infinity::Null).expect_err("later than Arrow counts");
    assert!(cause.to_string().contains("later than any"), "{cause}");
}

#[test]
fn arrays_are_lists_and_those_of_more_dimensions_are_not() {
    let ints = Kind::List(Box::new(Kind::Int32));
    let number = |number: i32| number.to_be_bytes().to_vec();
    let array = |dimensions: i32, items: &[Option<i32>]| {
        let mut bytes = [number(dimensions), number(1), number(23)].concat();
        for _ in 0..dimensions {
            bytes.extend(number(i32::try_from(items.len()).expect("few")));
            bytes.extend(number(1));
        }
        for item in items {
            match item {
                Some(item) => bytes.extend([number(4), number(*item)].concat()),
                None => bytes.extend(number(-1)),
            }
        }
        bytes
    };
    let (empty, some) = (array(0, &[]), array(1, &[Some(1), None, Some(3)]));
    let values = [
        Some(empty.as_slice()),
        None,
        Some(some.as_slice()),
        Some(empty.as_slice()),
    ];
    let lists = built(&ints, &values, Infinity::Refuse).expect("lists");
    let lists = lists.as_list::<i32>();
    assert_eq!(lists.value_offsets(), [0, 0, 0, 3, 3]);
    assert!(lists.is_null(1) && lists.is_valid(3));
    let items: Vec<_> = lists.values().as_primitive::<Int32Type>().iter().collect();
    assert_eq!(items, [Some(1), None, Some(3)]);
    let cause = built(&ints, &[Some(&array(2, &[Some(1)]))], Infinity::Refuse).expect_err("a matrix");
    assert!(cause.to_string().contains("2 dimensions"), "{cause}");
    // Whatever length an array claims, no more is read than there is.
    let mut long = array(1, &[Some(1)]);
    long[12..16].copy_from_slice(&i32::MAX.to_be_bytes());
    built(&ints, &[Some(&long)], Infinity::Refuse).expect_err("too short");
}
