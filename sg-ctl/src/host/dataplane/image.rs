//! Puts policy images in force: fill a new map beside the live one, then replace it at a stroke.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::MapData;
use aya_obj::generated::{BPF_F_MMAPABLE, bpf_map_type};
use nix::errno::Errno;
use sg_common::image::{self, CURRENT, PREVIOUS, SIZE_CLASSES, Words, header};
use sg_common::names::{MAP_IMAGES, MAP_SELECTOR};

use super::error::DataplaneError;
use super::maps::{Maps, map_error, system_error};
use super::pins::{PinDir, pin_error, remove_pin};
use super::sys::{self, ArrayShape, MappedWords, Outer};
use crate::host::crash::{CrashPoint, reach};

/// Kernel name of the maps that hold one image.
const IMAGE_MAP: &str = "sg_image";

/// The image in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// Generation number that the compiler was given.
    pub generation: u64,
    /// Words of the image.
    pub words: usize,
    /// Bytes of kernel memory that it occupies: those of its size class.
    pub bytes: usize,
    /// Index into [`SIZE_CLASSES`].
    pub size_class: usize,
    /// Checksum of everything but the header: equal for equal policies of other generations.
    pub checksum: u32,
}

impl ImageInfo {
    fn of(words: &[u32], size_class: usize) -> Self {
        Self {
            generation: image::generation(words),
            words: words.word(header::WORDS) as usize,
            bytes: SIZE_CLASSES[size_class] * size_of::<u32>(),
            size_class,
            checksum: words.word(header::CHECKSUM),
        }
    }

    /// What a compiled image would be once it is in force.
    ///
    /// # Errors
    /// When the words are too many.
    pub fn of_words(words: &[u32]) -> Result<Self, DataplaneError> {
        Ok(Self::of(words, size_class(words.len())?))
    }
}

/// Puts an image in force. Every packet is judged by the old image or by the new one.
pub(super) fn install(
    maps: &mut Maps,
    pins: &PinDir,
    words: &[u32],
) -> Result<ImageInfo, DataplaneError> {
    // A process that was killed may have left an image behind that is no longer in force: while the
    // size class changes, programs must find none but the old one and the new one.
    let in_force = selected(maps, CURRENT)?;
    if is_full(&maps.images[in_force], CURRENT)? {
        clear_all_but(maps, CURRENT, Some(in_force))?;
    }
    // The pin, not the map's id, is how `current` finds the image: opening by id would need
    // CAP_SYS_ADMIN.
    let next = pins.next_image();
    let info = swap(maps, CURRENT, words, |map| {
        remove_pin(&next)?;
        map.pin(&next)
            .map_err(|error| pin_error("pin", &next, io::Error::other(error)))
    })?;
    let live = pins.image();
    std::fs::rename(&next, &live).map_err(|source| pin_error("replace", &live, source))?;
    reach(CrashPoint::ImageRenamed);
    clear_all_but(maps, CURRENT, Some(info.size_class))?;
    Ok(info)
}

/// Puts the image in place that comes back when a change on trial is not confirmed.
pub(super) fn install_previous(maps: &mut Maps, words: &[u32]) -> Result<(), DataplaneError> {
    let info = swap(maps, PREVIOUS, words, |_| Ok(()))?;
    clear_all_but(maps, PREVIOUS, Some(info.size_class))
}

/// Frees that image: no settings may name it any more.
pub(super) fn forget_previous(maps: &Maps) -> Result<(), DataplaneError> {
    clear_all_but(maps, PREVIOUS, None)
}

/// The size class of an image.
fn selected(maps: &Maps, image: u32) -> Result<usize, DataplaneError> {
    let selector = maps
        .selector
        .get(&image, 0)
        .map_err(map_error("read", MAP_SELECTOR))?;
    // The programs, too, take every other number for the last class.
    Ok((selector as usize).min(SIZE_CLASSES.len() - 1))
}

/// Frees what an image was in all size classes but one.
fn clear_all_but(maps: &Maps, image: u32, keep: Option<usize>) -> Result<(), DataplaneError> {
    for (class, slots) in maps.images.iter().enumerate() {
        // Looking costs nothing, clearing waits for every program that runs.
        if Some(class) != keep && is_full(slots, image)? {
            slots
                .clear(image)
                .map_err(system_error("free the previous policy image"))?;
        }
    }
    Ok(())
}

/// Whether a size class has the image.
fn is_full(slots: &Outer, image: u32) -> Result<bool, DataplaneError> {
    let id = slots
        .id(image)
        .map_err(system_error("find the policy image"))?;
    Ok(id.is_some())
}

/// Fills a map with words, hands it to `prepare`, and puts it in the place of an image.
pub(super) fn swap(
    maps: &mut Maps,
    image: u32,
    words: &[u32],
    prepare: impl FnOnce(&mut MapData) -> Result<(), DataplaneError>,
) -> Result<ImageInfo, DataplaneError> {
    let size_class = size_class(words.len())?;
    let mut map = create(words, SIZE_CLASSES[size_class])?;
    reach(CrashPoint::ImageFilled);
    prepare(&mut map)?;
    reach(CrashPoint::ImagePinned);
    let before = selected(maps, image)?;
    maps.images[size_class]
        .replace(image, &map)
        .map_err(system_error("replace the policy image"))?;
    reach(CrashPoint::ImageReplaced);
    if before != size_class {
        maps.selector
            .set(image, size_class as u32, 0)
            .map_err(map_error("write", MAP_SELECTOR))?;
        reach(CrashPoint::ClassSelected);
    }
    Ok(ImageInfo::of(words, size_class))
}

/// Finds the image in force, `None` before the first one.
pub(super) fn current(maps: &Maps, pins: &PinDir) -> Result<Option<ImageInfo>, DataplaneError> {
    let size_class = selected(maps, CURRENT)?;
    let Some(id) = maps.images[size_class]
        .id(CURRENT)
        .map_err(system_error("find the policy image"))?
    else {
        return Ok(None);
    };
    let map = open(id, pins).map_err(map_error("open", MAP_IMAGES[size_class]))?;
    // Nothing but the header: mapping all of a large image takes milliseconds.
    let memory = MappedWords::new(map.fd(), header::LEN as usize, false)
        .map_err(system_error("read the policy image"))?;
    Ok(Some(ImageInfo::of(memory.words(), size_class)))
}

/// Opens the map with this id by the pin that it has: `image`, or `next_image` when the process
/// that installed it was killed on the way.
fn open(id: u32, pins: &PinDir) -> Result<MapData, aya::maps::MapError> {
    for pin in [pins.image(), pins.next_image()] {
        if let Ok(map) = MapData::from_pin(pin)
            && map.info()?.id() == id
        {
            return Ok(map);
        }
    }
    MapData::from_id(id)
}

/// Whether the words are an image that these programs can read.
fn check(words: &[u32]) -> Result<(), DataplaneError> {
    let body = words.get(header::LEN as usize..).unwrap_or_default();
    for (field, expected, found) in [
        ("magic", image::MAGIC, words.word(header::MAGIC)),
        ("format", image::FORMAT_VERSION, words.word(header::FORMAT)),
        ("length", words.len() as u32, words.word(header::WORDS)),
        (
            "checksum",
            image::checksum(body),
            words.word(header::CHECKSUM),
        ),
    ] {
        if expected != found {
            return Err(DataplaneError::ImageInvalid {
                field,
                expected,
                found,
            });
        }
    }
    Ok(())
}

/// The smallest class that holds so many words.
fn size_class(words: usize) -> Result<usize, DataplaneError> {
    SIZE_CLASSES
        .iter()
        .position(|capacity| words <= *capacity)
        .ok_or(DataplaneError::ImageTooLarge {
            words,
            limit: SIZE_CLASSES[SIZE_CLASSES.len() - 1],
        })
}

/// Creates a map that holds the words and can no longer be changed.
fn create(words: &[u32], capacity: usize) -> Result<MapData, DataplaneError> {
    // The kernel takes only maps that equal the template in sg-ebpf in all of these.
    let shape = ArrayShape {
        of: bpf_map_type::BPF_MAP_TYPE_ARRAY,
        value: (capacity * size_of::<u32>()) as u32,
        entries: 1,
        flags: BPF_F_MMAPABLE,
    };
    let map = shape.create(IMAGE_MAP);
    let map = map.map_err(map_error("create", IMAGE_MAP))?;
    let mut memory = MappedWords::new(map.fd(), words.len(), true)
        .map_err(system_error("write the policy image"))?;
    memory.words_mut().copy_from_slice(words);
    check(memory.words())?;
    drop(memory);
    seal(&map).map_err(system_error("seal the policy image"))?;
    Ok(map)
}

/// The longest that a child which was forked while the image was being written is waited for: it runs another
/// program within milliseconds, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// Seals an image that was written. A child that was forked meanwhile has a copy of the mapping until it
/// runs another program, and the kernel says `EBUSY` for so long.
fn seal(map: &MapData) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match sys::freeze(map.fd()) {
            Err(error)
                if error.raw_os_error() == Some(Errno::EBUSY as i32)
                    && begun.elapsed() < PATIENCE =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_class_that_holds_the_image_is_taken() {
        assert_eq!(size_class(1).unwrap(), 0);
        for (class, words) in SIZE_CLASSES.iter().enumerate() {
            assert_eq!(size_class(*words).unwrap(), class);
            assert_eq!(size_class(words - 1).unwrap(), class);
        }
        let most = SIZE_CLASSES[SIZE_CLASSES.len() - 1];
        assert!(matches!(
            size_class(most + 1),
            Err(DataplaneError::ImageTooLarge { .. })
        ));
    }

    #[test]
    fn a_damaged_image_is_refused() {
        let mut words = vec![0; header::LEN as usize + 2];
        words[header::MAGIC as usize] = image::MAGIC;
        words[header::FORMAT as usize] = image::FORMAT_VERSION;
        words[header::WORDS as usize] = words.len() as u32;
        words[header::CHECKSUM as usize] = image::checksum(&words[header::LEN as usize..]);
        assert!(check(&words).is_ok());
        for damage in 0..words.len() {
            let mut damaged = words.clone();
            damaged[damage] ^= 1;
            let matters = [
                header::MAGIC,
                header::FORMAT,
                header::WORDS,
                header::CHECKSUM,
            ];
            let matters = damage >= header::LEN as usize || matters.contains(&(damage as u32));
            assert_eq!(check(&damaged).is_err(), matters, "word {damage}");
        }
        assert!(check(&words[..words.len() - 1]).is_err());
        assert!(check(&[]).is_err());
    }
}
