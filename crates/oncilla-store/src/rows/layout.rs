//! The layout of a completed upload (`l`): which parts it has and where each begins.
//!
//! Clients cut objects into equal parts but for the last, so runs of equal parts keep the layout
//! of 10,000 parts in a few bytes, and finding the part that holds a byte costs one small read.

use bytes::Bytes;
use bytes::BytesMut;

use super::codec::{DecodeError, FieldReader, FieldWriter, UnknownFields, put_varint, take_varint};
use super::key::{UniqueId, join, prefix};

const RECORD: &str = "layout";

mod tag {
    pub const RUN: u64 = 1;
    pub const COMPLETED_TIME: u64 = 2;
}

/// Consecutively numbered parts of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first_number: u16,
    count: u16,
    part_size: u64,
}

/// One part's place in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlace {
    /// Its number in the upload.
    pub number: u16,
    /// Its first byte's offset in the object.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u64,
}

/// Which parts make up an object, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    runs: Vec<Run>,
    /// Hybrid-logical time of the object that the completion of the upload made; 0 if no completion
    /// did.
    pub completed_time: u64,
    unknown: UnknownFields,
}

impl Layout {
    /// The layout of parts given as (number, size) in ascending order of their numbers.
    pub fn of_parts(parts: impl IntoIterator<Item = (u16, u64)>) -> Self {
        let mut layout = Self::default();
        for (number, size) in parts {
            layout.push(number, size);
        }
        layout
    }

    /// Adds a part behind the others, whose number must be greater than theirs.
    pub fn push(&mut self, number: u16, size: u64) {
        match self.runs.last_mut() {
            Some(run)
                if run.part_size == size
                    && u32::from(run.first_number) + u32::from(run.count) == u32::from(number) =>
            {
                run.count += 1;
            }
            _ => self.runs.push(Run {
                first_number: number,
                count: 1,
                part_size: size,
            }),
        }
    }

    /// Only the parts of the first `size` bytes: of an object that shares its parts with another,
    /// to which more was appended.
    #[must_use]
    pub fn of_first(mut self, size: u64) -> Self {
        let mut rest = size;
        for run in &mut self.runs {
            let parts = rest
                .checked_div(run.part_size)
                .unwrap_or(u64::from(run.count));
            run.count = u16::try_from(parts).map_or(run.count, |parts| parts.min(run.count));
            rest -= u64::from(run.count) * run.part_size;
        }
        self.runs.retain(|run| run.count > 0);
        self
    }

    /// The greatest number of a part; 0 if there is none.
    pub fn last_number(&self) -> u16 {
        let last = self.runs.last();
        last.map_or(0, |run| run.first_number + run.count.saturating_sub(1))
    }

    /// Number of parts.
    pub fn part_count(&self) -> usize {
        self.runs.iter().map(|run| usize::from(run.count)).sum()
    }

    /// Length of the object in bytes.
    pub fn size(&self) -> u64 {
        self.runs
            .iter()
            .map(|run| u64::from(run.count) * run.part_size)
            .sum()
    }

    /// All parts in order.
    pub fn parts(&self) -> impl Iterator<Item = PartPlace> + '_ {
        let mut offset = 0;
        self.runs.iter().flat_map(move |run| {
            let start = offset;
            offset += u64::from(run.count) * run.part_size;
            (0..run.count).map(move |index| PartPlace {
                number: run.first_number + index,
                offset: start + u64::from(index) * run.part_size,
                size: run.part_size,
            })
        })
    }

    /// The part with this number.
    pub fn part(&self, number: u16) -> Option<PartPlace> {
        let mut offset = 0;
        for run in &self.runs {
            if let Some(index) = number
                .checked_sub(run.first_number)
                .filter(|&index| index < run.count)
            {
                let offset = offset + u64::from(index) * run.part_size;
                return Some(PartPlace {
                    number,
                    offset,
                    size: run.part_size,
                });
            }
            offset += u64::from(run.count) * run.part_size;
        }
        None
    }

    /// The part that holds the byte at `position`; `None` beyond the end.
    pub fn part_at(&self, position: u64) -> Option<PartPlace> {
        let mut offset = 0;
        for run in &self.runs {
            let length = u64::from(run.count) * run.part_size;
            if position < offset + length {
                let index = (position - offset) / run.part_size;
                return Some(PartPlace {
                    number: run.first_number + index as u16,
                    offset: offset + index * run.part_size,
                    size: run.part_size,
                });
            }
            offset += length;
        }
        None
    }

    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(16 + self.runs.len() * 12);
        for run in &self.runs {
            let mut field = BytesMut::with_capacity(16);
            put_varint(&mut field, u64::from(run.first_number));
            put_varint(&mut field, u64::from(run.count));
            put_varint(&mut field, run.part_size);
            writer.bytes(tag::RUN, &field);
        }
        writer.number(tag::COMPLETED_TIME, self.completed_time);
        writer.finish(&self.unknown)
    }

    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let mut layout = Self::default();
        let mut size = 0u64;
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::RUN => {}
                tag::COMPLETED_TIME => {
                    layout.completed_time = field.number()?;
                    continue;
                }
                _ => {
                    reader.keep(field);
                    continue;
                }
            }
            let error = field.error("bad run");
            let run = decode_run(field.value).ok_or(error.clone())?;
            let run_size = u64::from(run.count).checked_mul(run.part_size);
            size = run_size
                .and_then(|run_size| size.checked_add(run_size))
                .ok_or(error)?;
            layout.runs.push(run);
        }
        layout.unknown = reader.into_unknown();
        Ok(layout)
    }
}

fn decode_run(mut field: &[u8]) -> Option<Run> {
    let first_number = u16::try_from(take_varint(&mut field)?).ok()?;
    let count = u16::try_from(take_varint(&mut field)?).ok()?;
    let part_size = take_varint(&mut field)?;
    first_number.checked_add(count)?;
    Some(Run {
        first_number,
        count,
        part_size,
    })
}

/// Key of an upload's layout.
pub fn layout_key(upload: UniqueId) -> Bytes {
    join(prefix::LAYOUT, &[&upload.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(sizes in proptest::collection::btree_map(1u16..200, 1u64..4, 1..60)) {
            let layout = Layout::of_parts(sizes.clone());
            prop_assert_eq!(&Layout::decode(layout.encode()).unwrap(), &layout);
            prop_assert_eq!(layout.part_count(), sizes.len());
            let numbers: Vec<u16> = sizes.keys().copied().collect();
            let mut offset = 0;
            for ((number, size), place) in sizes.into_iter().zip(layout.parts()) {
                prop_assert_eq!(place, PartPlace { number, offset, size });
                prop_assert_eq!(layout.part(number), Some(place));
                for position in offset..offset + size {
                    prop_assert_eq!(layout.part_at(position), Some(place));
                }
                offset += size;
            }
            prop_assert_eq!(layout.size(), offset);
            prop_assert_eq!(layout.last_number(), *numbers.last().unwrap());
            let mut first = 0;
            for (count, place) in layout.parts().enumerate() {
                let part = layout.clone().of_first(first);
                prop_assert_eq!((part.part_count(), part.size()), (count, first));
                first += place.size;
            }
            prop_assert_eq!(&layout.clone().of_first(offset), &layout);
            prop_assert_eq!(layout.part_at(offset), None);
            prop_assert_eq!(layout.part(201), None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            if let Ok(layout) = Layout::decode(Bytes::from(value)) {
                let _ = layout.part_at(layout.size() / 2);
            }
        }
    }

    #[test]
    fn ten_thousand_equal_parts_are_small() {
        let parts = (1..=10_000).map(|number| (number, if number == 10_000 { 5 } else { 1 << 24 }));
        assert!(Layout::of_parts(parts).encode().len() < 32);
    }
}
