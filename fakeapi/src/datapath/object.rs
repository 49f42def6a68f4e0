//! The embedded kernel object, and the proof that it is the one this program was written for.

/// The object that `build.rs` checked against its sources.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fakeapi.bpf.o"));

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aya_obj::{Object, ProgramSection};
    use fakeapi_common::layout;

    use super::OBJECT;

    /// Maps that aya brings along: its log ring and the constants it reads.
    const NOT_OURS: [&str; 2] = ["AYA_LOGS", ".rodata"];

    #[test]
    fn the_object_has_the_maps_of_the_contract_and_no_others() {
        let object = Object::parse(OBJECT).unwrap();
        for shape in layout::SHAPES {
            let map = &object.maps[shape.name];
            assert_eq!(map.key_size() as usize, shape.key, "key of {}", shape.name);
            assert_eq!(map.value_size() as usize, shape.value, "value of {}", shape.name);
        }
        let ours: BTreeSet<&str> = layout::SHAPES.iter().map(|shape| shape.name).collect();
        let found: BTreeSet<&str> = object
            .maps
            .keys()
            .map(String::as_str)
            .filter(|name| !NOT_OURS.contains(name))
            .collect();
        assert_eq!(found, ours);
    }

    #[test]
    fn the_object_has_the_programs_of_the_contract() {
        let object = Object::parse(OBJECT).unwrap();
        assert_eq!(object.programs.len(), 2);
        let edge = &object.programs[layout::EDGE_PROGRAM];
        assert!(matches!(edge.section, ProgramSection::Xdp { frags: false, .. }));
        let steer = &object.programs[layout::STEER_PROGRAM];
        assert!(matches!(steer.section, ProgramSection::SkLookup));
    }

    #[test]
    fn the_counters_by_reason_fit() {
        let object = Object::parse(OBJECT).unwrap();
        assert_eq!(object.maps[layout::REASONS].max_entries(), layout::REASON_COUNT);
        assert_eq!(object.maps[layout::LISTENERS].max_entries(), layout::MAX_WORKERS * 2);
    }
}
