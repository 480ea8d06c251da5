//! Whether the values of a column repeat, judged by the rows that a file begins with. Does not decide what follows
//! from it.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// Fewer values than this do not show whether a column repeats itself.
const MIN_VALUES: usize = 32;
/// Of so many values one may occur a second time ...
const VALUES_PER_REPEAT: usize = 20;

/// Returns whether a column holds text of which nearly every value is different, as ids of rows and most JSON are: at
/// most one value in [`VALUES_PER_REPEAT`] is a repetition. Users of events repeat far more often, even in the first
/// thousand rows.
pub fn seldom_repeats(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Utf8 => mostly_different(column.as_string::<i32>().iter()),
        DataType::LargeUtf8 => mostly_different(column.as_string::<i64>().iter()),
        DataType::Utf8View => mostly_different(column.as_string_view().iter()),
        _ => false,
    }
}

fn mostly_different<'a>(values: impl Iterator<Item = Option<&'a str>>) -> bool {
    let mut different = HashSet::new();
    let mut repeated = 0;
    for value in values.flatten() {
        if !different.insert(value) {
            repeated += 1;
        }
    }
    let all = different.len() + repeated;
    all >= MIN_VALUES && repeated * VALUES_PER_REPEAT <= all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow_array::{Int64Array, LargeStringArray, StringArray, StringViewArray};

    #[test]
    fn a_column_repeats_itself_seldom_where_nearly_all_of_its_values_are_different() {
        let numbered = |rows: usize, different: usize| (0..rows).map(move |row| Some(format!("{}", row % different)));
        for (name, values, expect) in [
            ("all different", numbered(100, 100).collect::<Vec<_>>(), true),
            ("one in twenty again", numbered(100, 95).collect(), true),
            ("more than that", numbered(100, 94).collect(), false),
            ("too few to tell", numbered(31, 31).collect(), false),
            ("just enough", numbered(32, 32).collect(), true),
            (
                "no value is no repetition",
                numbered(40, 40).chain([None, None, None]).collect(),
                true,
            ),
            ("only nulls", vec![None; 100], false),
            ("nothing", Vec::new(), false),
        ] {
            let columns: [ArrayRef; 3] = [
                Arc::new(StringArray::from(values.clone())),
                Arc::new(LargeStringArray::from(values.clone())),
                Arc::new(StringViewArray::from_iter(values)),
            ];
            for column in columns {
                assert_eq!(seldom_repeats(&column), expect, "{name}, {}", column.data_type());
            }
        }
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        assert!(!seldom_repeats(&numbers));
    }
}
