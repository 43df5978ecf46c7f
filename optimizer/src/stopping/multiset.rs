//! Numbers in order, with the places of each: insert, remove, rank and select.
//!
//! A list of blocks of at most 512 entries, each block ordered and all of one before all of the next; a B+ tree of two levels. An
//! operation searches the blocks and one block by halving, moves at most 512 entries, and adds up the lengths of the blocks: about
//! a microsecond at a million entries. An entry takes 12 bytes and a tenth more.
//!
//! Numbers are finite. Entries with the same number are told apart, and ordered, by their owners. Those with the same owner, too, are
//! each other's equals: the place of one is that of the first, and removing one leaves the others.

/// Who put an entry in.
pub(crate) type Owner = u32;

/// Entries of a block at most.
const BLOCK: usize = 512;
/// Entries of the blocks of a set that is made at once: some may come before one must be split.
const FILL: usize = BLOCK / 4 * 3;
/// Blocks grow by this many entries.
const GROWTH: usize = 32;

/// Entries in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Multiset {
    /// None of them empty.
    blocks: Vec<Block>,
    /// Lengths of the blocks, and their last entries, beside each other: adding up and searching touch no block.
    lengths: Vec<usize>,
    ends: Vec<(f64, Owner)>,
    length: usize,
}

#[derive(Clone, Debug, Default)]
struct Block {
    numbers: Vec<f64>,
    owners: Vec<Owner>,
}

/// Whether an entry comes before another.
fn before(a: (f64, Owner), b: (f64, Owner)) -> bool {
    a.0 < b.0 || (a.0 <= b.0 && a.1 < b.1)
}

impl Block {
    /// Place of the first entry that does not come before `entry`.
    fn place(&self, entry: (f64, Owner)) -> usize {
        let (mut low, mut high) = (0, self.numbers.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if before((self.numbers[middle], self.owners[middle]), entry) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low
    }

    fn last(&self) -> (f64, Owner) {
        (
            self.numbers.last().copied().unwrap_or(f64::NEG_INFINITY),
            self.owners.last().copied().unwrap_or(0),
        )
    }

    fn holds(&self, place: usize, entry: (f64, Owner)) -> bool {
        self.owners.get(place) == Some(&entry.1) && !before(entry, (self.numbers[place], entry.1))
    }

    fn insert(&mut self, place: usize, (number, owner): (f64, Owner)) {
        if self.numbers.len() == self.numbers.capacity() {
            self.numbers.reserve_exact(GROWTH.min(self.numbers.len() + 4));
            self.owners.reserve_exact(GROWTH.min(self.owners.len() + 4));
        }
        self.numbers.insert(place, number);
        self.owners.insert(place, owner);
    }

    fn split(&mut self) -> Self {
        let middle = self.numbers.len() / 2;
        let upper = Self {
            numbers: self.numbers.split_off(middle),
            owners: self.owners.split_off(middle),
        };
        self.numbers.shrink_to(middle + GROWTH);
        self.owners.shrink_to(middle + GROWTH);
        upper
    }
}

impl Multiset {
    /// From entries in order.
    pub(crate) fn from_ordered(entries: impl Iterator<Item = (f64, Owner)>) -> Self {
        let mut set = Self::default();
        for (number, owner) in entries {
            let block = match set.blocks.last_mut() {
                Some(block) if block.numbers.len() < FILL => block,
                _ => {
                    set.blocks.push(Block {
                        numbers: Vec::with_capacity(FILL),
                        owners: Vec::with_capacity(FILL),
                    });
                    let last = set.blocks.len() - 1;
                    &mut set.blocks[last]
                }
            };
            block.numbers.push(number);
            block.owners.push(owner);
            set.length += 1;
        }
        if let Some(last) = set.blocks.last_mut() {
            last.numbers.shrink_to_fit();
            last.owners.shrink_to_fit();
        }
        set.lengths = set.blocks.iter().map(|block| block.numbers.len()).collect();
        set.ends = set.blocks.iter().map(Block::last).collect();
        set
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// All entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (f64, Owner)> + '_ {
        self.blocks
            .iter()
            .flat_map(|block| block.numbers.iter().copied().zip(block.owners.iter().copied()))
    }

    /// The block in which an entry is or would be; the number of blocks if after all of them.
    fn block(&self, entry: (f64, Owner)) -> usize {
        self.ends.partition_point(|end| before(*end, entry))
    }

    /// Adds an entry.
    pub(crate) fn insert(&mut self, number: f64, owner: Owner) {
        debug_assert!(number.is_finite(), "{number} cannot be put in order");
        self.length += 1;
        if self.blocks.is_empty() {
            self.blocks.push(Block::default());
            self.lengths.push(0);
            self.ends.push((number, owner));
        }
        let index = self.block((number, owner)).min(self.blocks.len() - 1);
        let block = &mut self.blocks[index];
        block.insert(block.place((number, owner)), (number, owner));
        self.lengths[index] += 1;
        self.ends[index] = block.last();
        if block.numbers.len() > BLOCK {
            let upper = block.split();
            self.lengths[index] = block.numbers.len();
            self.ends[index] = block.last();
            self.lengths.insert(index + 1, upper.numbers.len());
            self.ends.insert(index + 1, upper.last());
            self.blocks.insert(index + 1, upper);
        }
    }

    /// Removes an entry; whether it was there.
    pub(crate) fn remove(&mut self, number: f64, owner: Owner) -> bool {
        let index = self.block((number, owner));
        let Some(block) = self.blocks.get_mut(index) else {
            return false;
        };
        let place = block.place((number, owner));
        if !block.holds(place, (number, owner)) {
            return false;
        }
        block.numbers.remove(place);
        block.owners.remove(place);
        self.length -= 1;
        self.lengths[index] -= 1;
        if block.numbers.is_empty() {
            self.blocks.remove(index);
            self.lengths.remove(index);
            self.ends.remove(index);
        } else {
            self.ends[index] = block.last();
        }
        true
    }

    /// Place of an entry in the order, counted from 0, if it is there.
    pub(crate) fn rank(&self, number: f64, owner: Owner) -> Option<usize> {
        let index = self.block((number, owner));
        let block = self.blocks.get(index)?;
        let place = block.place((number, owner));
        block
            .holds(place, (number, owner))
            .then(|| self.lengths[..index].iter().sum::<usize>() + place)
    }

    /// The number at a place in the order, counted from 0.
    pub(crate) fn select(&self, mut place: usize) -> Option<f64> {
        for (block, length) in self.blocks.iter().zip(&self.lengths) {
            if place < *length {
                return Some(block.numbers[place]);
            }
            place -= length;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by sorting a list.
    fn sorted(entries: &[(f64, Owner)]) -> Vec<(f64, Owner)> {
        let mut entries = entries.to_vec();
        entries.sort_by(|a, b| a.partial_cmp(b).unwrap());
        entries
    }

    fn agrees(set: &Multiset, entries: &[(f64, Owner)]) {
        let entries = sorted(entries);
        assert_eq!(set.iter().collect::<Vec<_>>(), entries);
        assert_eq!(set.len(), entries.len());
        for (place, (number, owner)) in entries.iter().enumerate() {
            assert_eq!(set.rank(*number, *owner), Some(place));
            assert_eq!(set.select(place), Some(*number));
        }
        assert_eq!(set.select(entries.len()), None);
        assert!(
            set.blocks
                .iter()
                .all(|block| !block.numbers.is_empty() && block.numbers.len() <= BLOCK)
        );
        assert!(set.ends.iter().copied().eq(set.blocks.iter().map(Block::last)));
        assert!(
            set.lengths
                .iter()
                .copied()
                .eq(set.blocks.iter().map(|block| block.numbers.len()))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever is put in and taken out, in whatever order: the set is the sorted list.
        #[test]
        fn it_is_a_sorted_list(
            steps in prop::collection::vec((any::<bool>(), -20_i32..20, 0_u32..100), 0..2_000),
            scale in prop::sample::select(vec![0.0, 1.0, 1e-300]),
        ) {
            let mut set = Multiset::default();
            let mut entries: Vec<(f64, Owner)> = Vec::new();
            for (insert, number, owner) in steps {
                let entry = (f64::from(number) * scale, owner);
                let known = entries.iter().position(|known| *known == entry);
                match (insert, known) {
                    (true, None) => {
                        set.insert(entry.0, entry.1);
                        entries.push(entry);
                    }
                    (true, Some(_)) => {}
                    (false, known) => {
                        prop_assert_eq!(set.remove(entry.0, entry.1), known.is_some());
                        if let Some(place) = known {
                            entries.swap_remove(place);
                        }
                    }
                }
            }
            agrees(&set, &entries);
            agrees(&Multiset::from_ordered(sorted(&entries).into_iter()), &entries);
        }
    }

    #[test]
    fn blocks_split_and_vanish() {
        let entries: Vec<(f64, Owner)> = (0..5_000_u32)
            .map(|i| (f64::from(i.wrapping_mul(2_654_435_761) % 1_000), i))
            .collect();
        let mut set = Multiset::default();
        for (number, owner) in &entries {
            set.insert(*number, *owner);
        }
        agrees(&set, &entries);
        assert!(set.blocks.len() > 9);
        let (gone, left) = entries.split_at(4_900);
        for (number, owner) in gone {
            assert!(set.remove(*number, *owner));
            assert!(!set.remove(*number, *owner));
        }
        agrees(&set, left);
    }

    #[test]
    fn an_entry_takes_little_more_than_its_twelve_bytes() {
        let mut set = Multiset::default();
        for i in 0..100_000_u32 {
            set.insert(f64::from(i.wrapping_mul(2_654_435_761)), i);
        }
        let bytes: usize = set
            .blocks
            .iter()
            .map(|block| block.numbers.capacity() * 8 + block.owners.capacity() * 4)
            .sum();
        assert!(bytes < 100_000 * 14, "{bytes}");
    }
}
