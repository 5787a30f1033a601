//! Records as they stand on disk, and what their readers refuse.
//!
//! Does not know files.

use serde_json::json;

use super::*;

#[test]
fn every_record_comes_back_from_its_bytes() {
    for (seq, event) in samples::events().into_iter().enumerate() {
        let record = samples::record(seq as u64, "run", event);
        let bytes = to_jcs(&record).unwrap();
        let read: Record = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read, record);
        assert_eq!(to_jcs(&read).unwrap(), bytes);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["boot", "data", "kind", "mono_ms", "run", "seq", "time_ms", "v", "writer"]);
    }
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    for event in samples::events() {
        let value = serde_json::to_value(samples::record(0, "run", event)).unwrap();
        let mut outer = value.clone();
        outer["extra"] = json!(1);
        assert!(serde_json::from_value::<Record>(outer).is_err(), "{value}");
        let mut inner = value.clone();
        inner["data"]["extra"] = json!(1);
        assert!(serde_json::from_value::<Record>(inner).is_err(), "{value}");
        let mut missing = value.clone();
        missing.as_object_mut().unwrap().remove("seq");
        assert!(serde_json::from_value::<Record>(missing).is_err(), "{value}");
    }
    let unknown =
        json!({"v":1,"seq":0,"writer":"","run":"","time_ms":0,"mono_ms":0,"boot":"","kind":"x","data":{}});
    assert!(serde_json::from_value::<Record>(unknown).is_err());
}

/// The vectors are the RFC's own (section 3.2.2.2 and 3.2.3), without its floats and its keys beyond ASCII.
#[test]
fn canonical_form_is_that_of_rfc_8785() {
    let value = json!({
        "string": "\u{20ac}$\u{f}\u{a}A'\u{42}\u{22}\u{5c}\\\"/\u{7f}\u{8}\u{c}\u{d}\u{9}",
        "literals": [null, true, false],
        "\r": 1, "1": -2, "": {},
        "numbers": [0, 9_007_199_254_740_991_u64, -9_007_199_254_740_991_i64]
    });
    let expected = "{\"\":{},\"\\r\":1,\"1\":-2,\"literals\":[null,true,false],\
        \"numbers\":[0,9007199254740991,-9007199254740991],\
        \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\\b\\f\\r\\t\"}";
    assert_eq!(String::from_utf8(to_jcs(&value).unwrap()).unwrap(), expected);
}

#[test]
fn what_readers_disagree_about_is_refused() {
    assert!(matches!(to_jcs(&json!([1.0])), Err(JcsError::Float(_))));
    assert!(matches!(to_jcs(&json!({"a": {"b": 0.5}})), Err(JcsError::Float(_))));
    assert!(matches!(to_jcs(&(1_u64 << 53)), Err(JcsError::TooLarge(_))));
    assert!(matches!(to_jcs(&i64::MIN), Err(JcsError::TooLarge(_))));
    assert!(matches!(to_jcs(&json!({"é": 1})), Err(JcsError::Key(_))));
}

/// `to_jcs` does not lean on it, but other rooms print JSON with sorted keys and do.
#[test]
fn no_crate_of_the_tree_turns_on_insertion_order() {
    let value: Value = serde_json::from_str(r#"{"b":1,"a":{"d":1,"c":2}}"#).unwrap();
    assert_eq!(value.to_string(), r#"{"a":{"c":2,"d":1},"b":1}"#);
}

#[test]
fn the_digest_of_a_statement_is_over_its_canonical_bytes() {
    let statement = samples::statement("g", "approved", "c", None);
    assert_eq!(statement.digest(), Sha256::of(&to_jcs(&statement).unwrap()));
    assert_ne!(statement.digest(), samples::statement("g", "refused", "c", None).digest());
}
