//! The UCI handwritten digits, compiled into the program, and their fixed division into training and validation.
//!
//! The division depends on nothing that can be tuned, not even on the seed of a run: trials are only comparable when
//! all of them are judged by the same images. `data/README.md` names the source and the licence.

use ndarray::{Array2, ArrayView1, ArrayViewMut1};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Pixels on one side of an image.
pub(crate) const SIDE: usize = 8;
/// Pixels of an image.
pub(crate) const PIXELS: usize = SIDE * SIDE;
/// Digits to tell apart.
pub(crate) const CLASSES: usize = 10;
/// Images to train on; all others are for validation.
pub(crate) const TRAIN_SIZE: usize = 1_200;

const CSV: &str = include_str!("../data/digits.csv");
/// Largest value of a pixel in the file.
const INK: u8 = 16;
/// Any number would do; another one would make results incomparable with earlier ones.
const SPLIT_SEED: u64 = 1_797;

/// A line of the data file that is not an image.
#[derive(Debug, thiserror::Error)]
#[error("digits.csv, line {line}: expected 64 pixels from 0 to 16 and a digit, found {found:?}")]
pub(crate) struct DataError {
    line: usize,
    found: String,
}

/// Images with their digits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Images {
    /// Shape `(n, 64)`, row by row from the top left corner, 0 (paper) to 1 (ink).
    pub(crate) pixels: Array2<f64>,
    /// Shape `(n,)`, each from 0 to 9.
    pub(crate) labels: Vec<usize>,
}

/// The two parts of the data.
#[derive(Debug)]
pub(crate) struct Dataset {
    /// [`TRAIN_SIZE`] images.
    pub(crate) train: Images,
    /// The 597 others.
    pub(crate) validation: Images,
}

impl Dataset {
    /// Reads the images in the program and divides them, the same way each time.
    ///
    /// # Errors
    /// [`DataError`] if the program was compiled with a damaged file.
    pub(crate) fn load() -> Result<Self, DataError> {
        let all = parse(CSV)?;
        let (train, validation) = split(all.labels.len());
        Ok(Self {
            train: all.select(&train),
            validation: all.select(&validation),
        })
    }
}

impl Images {
    fn select(&self, rows: &[usize]) -> Self {
        Self {
            pixels: self.pixels.select(ndarray::Axis(0), rows),
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
        }
    }
}

/// Row numbers of the training and of the validation images, among `count` images.
fn split(count: usize) -> (Vec<usize>, Vec<usize>) {
    let mut rows: Vec<usize> = (0..count).collect();
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(SPLIT_SEED));
    let validation = rows.split_off(TRAIN_SIZE.min(count));
    (rows, validation)
}

fn parse(csv: &str) -> Result<Images, DataError> {
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    for (index, line) in csv.lines().enumerate() {
        let damaged = || DataError {
            line: index + 1,
            found: line.chars().take(80).collect(),
        };
        let numbers: Vec<u8> = line
            .split(',')
            .map(|field| field.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| damaged())?;
        let Some((&label, image)) = numbers.split_last() else {
            return Err(damaged());
        };
        if image.len() != PIXELS || image.iter().any(|&ink| ink > INK) || usize::from(label) >= CLASSES {
            return Err(damaged());
        }
        pixels.extend(image.iter().map(|&ink| f64::from(ink) / f64::from(INK)));
        labels.push(usize::from(label));
    }
    let pixels = Array2::from_shape_vec((labels.len(), PIXELS), pixels).expect("each line added 64 pixels");
    Ok(Images { pixels, labels })
}

/// A movement of an image by whole pixels; what leaves the frame is lost, what enters is paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shift {
    /// Pixels down; negative is up.
    pub(crate) down: isize,
    /// Pixels to the right; negative is to the left.
    pub(crate) right: isize,
}

impl Shift {
    /// The image as it is.
    pub(crate) const NONE: Self = Self { down: 0, right: 0 };

    /// Writes `image`, moved, to `target`. Both have shape `(64,)`.
    pub(crate) fn write(self, image: ArrayView1<'_, f64>, mut target: ArrayViewMut1<'_, f64>) {
        if self == Self::NONE {
            target.assign(&image);
            return;
        }
        for row in 0..SIDE {
            for column in 0..SIDE {
                let source = inside(row, self.down).zip(inside(column, self.right));
                target[row * SIDE + column] = source.map_or(0.0, |(from_row, from_column)| {
                    image[from_row * SIDE + from_column]
                });
            }
        }
    }
}

/// Where the pixel that ends up at `position` comes from, if that is inside the frame.
fn inside(position: usize, moved_by: isize) -> Option<usize> {
    position.checked_add_signed(-moved_by).filter(|&from| from < SIDE)
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    #[test]
    fn the_split_is_complete_disjoint_and_always_the_same() {
        let (train, validation) = split(1_797);
        assert_eq!((train.len(), validation.len()), (1_200, 597));
        let mut all = [train.clone(), validation.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1_797).collect::<Vec<_>>());
        assert_eq!(split(1_797), (train, validation));
    }

    #[test]
    fn both_parts_have_every_digit_about_as_often() {
        let data = Dataset::load().unwrap();
        for (images, least) in [(&data.train, 90), (&data.validation, 40)] {
            for digit in 0..CLASSES {
                let count = images.labels.iter().filter(|&&label| label == digit).count();
                assert!(count >= least, "digit {digit} occurs {count} times");
            }
        }
    }

    /// The first line of the file by eye: a zero.
    #[test]
    fn pixels_are_scaled_to_one_and_the_label_comes_last() {
        let images = parse(CSV).unwrap();
        assert_eq!(images.pixels.dim(), (1_797, PIXELS));
        assert_eq!(images.labels[..4], [0, 1, 2, 3]);
        assert_eq!(
            images.pixels.row(0).to_vec()[..8],
            [
                0.0,
                0.0,
                5.0 / 16.0,
                13.0 / 16.0,
                9.0 / 16.0,
                1.0 / 16.0,
                0.0,
                0.0
            ]
        );
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_line() {
        let good = CSV.lines().next().unwrap();
        for bad in [
            "",
            "1,2,3",
            &good.replace("13", "17"),
            &good.replace("13", "x"),
            &format!("{good},1"),
        ] {
            let error = parse(&format!("{good}\n{bad}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{bad}");
        }
    }

    #[test]
    fn a_shift_moves_ink_and_fills_with_paper() {
        let mut image = Array1::zeros(PIXELS);
        image[0] = 0.5;
        image[PIXELS - 1] = 1.0;
        let mut moved = Array1::from_elem(PIXELS, 9.0);
        Shift { down: 1, right: 1 }.write(image.view(), moved.view_mut());
        let ink: Vec<_> = moved.indexed_iter().filter(|&(_, &value)| value > 0.0).collect();
        assert_eq!(ink, [(SIDE + 1, &0.5)], "the last pixel has left the frame");
        Shift { down: -1, right: -1 }.write(image.view(), moved.view_mut());
        let ink: Vec<_> = moved.indexed_iter().filter(|&(_, &value)| value > 0.0).collect();
        assert_eq!(ink, [(PIXELS - 1 - SIDE - 1, &1.0)]);
    }
}
