//! Judged by `resource.Quantity` of apimachinery.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// One line a case, answered by `resource.Quantity` of apimachinery 0.36.3:
/// text, canonical form, error, other, comparison, sum, value, milli value.
const CASES: &str = include_str!("testdata/cases.jsonl");

#[test]
fn agrees_with_the_real_implementation() {
    let mut wrong = Vec::new();
    for line in CASES.lines() {
        let case: Vec<Value> = serde_json::from_str(line).expect("a case a line");
        let text = |index: usize| case[index].as_str().expect("a text");
        let parsed = Quantity::parse(text(0));
        let agrees = match &parsed {
            Err(error) => error.to_string() == text(2),
            Ok(ours) => {
                let other = Quantity::parse(text(3)).expect("valid");
                let value = case[6].as_i64().expect("an integer");
                let order = case[4].as_i64().expect("an integer").cmp(&0);
                text(2).is_empty()
                    && ours.canonical() == text(1)
                    && ours.cmp(&other) == order
                    && ours.add(&other).expect("in range").canonical() == text(5)
                    // The real one overflows silently, and errs on negative fractions;
                    // ours stays at the limit and rounds away from zero.
                    && (ours.mantissa < 0
                        || ours.value() == i64::MAX
                        || ours.value() == value)
                    && (ours.mantissa < 0
                        || ours.milli_value() == i64::MAX
                        || Some(ours.milli_value()) == case[7].as_i64())
            }
        };
        if !agrees {
            wrong.push(format!("{line}\n  ours: {parsed:?}"));
        }
    }
    assert!(CASES.lines().count() > 500);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn bounds() {
    let long = "1".repeat(37);
    assert_eq!(Quantity::parse(&long), Err(QuantityError::Numeric));
    assert_eq!(Quantity::parse("1e99999999999"), Err(QuantityError::Suffix));
    let vast = Quantity::parse("1e1000000").expect("one digit");
    assert_eq!(vast.add(&Quantity::parse("1n").expect("valid")), Err(QuantityError::Overflow));
    assert_eq!((vast.value(), vast.milli_value()), (i64::MAX, i64::MAX));
    assert!(vast > Quantity::parse("1e999999").expect("valid"));
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "[-+]?[0-9.]{0,40}[eEinumkKMGTP]{0,2}[-+]?[0-9]{0,12}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            let again = Quantity::parse(&quantity.canonical());
            // Beyond E the decimal suffixes end, in the real server too.
            let limit = Quantity::parse("1000E").expect("valid");
            if quantity < limit && quantity > limit.negated() {
                prop_assert_eq!(again, Ok(quantity));
            }
        }
    }

    #[test]
    fn sums_keep_order(a in -10_000_i64..10_000, b in -10_000_i64..10_000) {
        let quantity = |n: i64| Quantity::parse(&format!("{n}m")).expect("valid");
        let sum = quantity(a).add(&quantity(b)).expect("in range");
        prop_assert_eq!(sum.milli_value(), a + b);
        prop_assert_eq!(quantity(a).cmp(&quantity(b)), a.cmp(&b));
    }
}
