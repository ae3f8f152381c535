//! Whether pinned maps are those that the programs were built for.
//!
//! aya opens whatever is pinned under a map's name and believes the object about its shape; a value
//! of another size would then be copied over memory that is not part of it.

use aya::maps::{MapInfo, MapType};
use aya_obj::Object;
use sg_common::names::{MAP_FLOW_SLOTS, MAP_FLOW_TAGS, SHARED_MAPS};

use super::error::DataplaneError;
use super::pins::PinDir;

/// Compares every shared map that is pinned with its definition in `object`.
pub(super) fn check(object: &[u8], pins: &PinDir) -> Result<(), DataplaneError> {
    let pinned: Vec<_> = SHARED_MAPS
        .into_iter()
        .map(|name| (name, pins.map(name)))
        .filter(|(_, path)| path.exists())
        .collect();
    if pinned.is_empty() {
        return Ok(());
    }
    let object = Object::parse(object)
        .map_err(|error| DataplaneError::Object(Box::new(aya::EbpfError::ParseError(error))))?;
    for (name, path) in pinned {
        let Some(expected) = object.maps.get(name) else {
            continue;
        };
        let found = MapInfo::from_pin(&path).map_err(|source| DataplaneError::Map {
            action: "open",
            map: name,
            source: Box::new(source),
        })?;
        let found_type = found.map_type().map_or(u32::MAX, |kind| kind as u32);
        // The value type of a ring buffer is for its readers; the kernel knows bytes only.
        let value_size = if expected.map_type() == MapType::RingBuf as u32 {
            0
        } else {
            expected.value_size()
        };
        // The flow table has the size that it was made with.
        let sizes = if [MAP_FLOW_TAGS, MAP_FLOW_SLOTS].contains(&name) {
            (0, 0)
        } else {
            (expected.max_entries(), found.max_entries())
        };
        for (field, expected, found) in [
            ("type", expected.map_type(), found_type),
            ("key size", expected.key_size(), found.key_size()),
            ("value size", value_size, found.value_size()),
            ("size", sizes.0, sizes.1),
            ("flags", expected.map_flags(), found.map_flags()),
        ] {
            if expected != found {
                return Err(DataplaneError::PinnedMapIncompatible {
                    path,
                    field,
                    expected,
                    found,
                });
            }
        }
    }
    Ok(())
}
