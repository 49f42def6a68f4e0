//! Lists in order.

use pretty_assertions::assert_eq;

use super::*;

#[test]
fn walks_are_in_order_and_go_on_from_anywhere() {
    let (base, _) = populated();
    for resource in resources() {
        let all = scan(&base, resource, None, None);
        assert!(all.is_sorted(), "{resource:?}: {all:?}");
        for (at, (namespace, name)) in all.iter().enumerate() {
            let after = Some((namespace.as_str(), name.as_str()));
            assert_eq!(scan(&base, resource, None, after), all[at + 1..], "{name}");
            let mine: Vec<_> =
                all[at + 1..].iter().filter(|(ns, _)| ns == namespace).cloned().collect();
            assert_eq!(scan(&base, resource, Some(namespace), after), mine);
            // From a name that is not there.
            let before = format!("{}\u{1}", &name[..name.len() - 1]);
            let rest = scan(&base, resource, None, Some((namespace, &before)));
            let expected: Vec<_> =
                all.iter().filter(|(ns, n)| (ns, n) > (namespace, &before)).cloned().collect();
            assert_eq!(rest, expected, "{before}");
        }
        // From a place before the namespace, and from one behind it.
        for (namespace, _) in &all {
            let mine: Vec<_> = all.iter().filter(|(ns, _)| ns == namespace).cloned().collect();
            let before = (!namespace.is_empty()).then_some(("a", "zzz"));
            assert_eq!(scan(&base, resource, Some(namespace), before), mine);
            let behind = Some(("zzz", "a"));
            assert!(scan(&base, resource, Some(namespace), behind).is_empty());
        }
        assert!(scan(&base, resource, Some("nowhere"), None).is_empty());
    }
    assert_eq!(scan(&base, RESOURCES.pods, None, None).len(), 2 + 2 * 4 + 4);
}
