//! Kernels of a parameter with an order: normal distributions, cut off at the ends of its range.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;

use crate::normal::cumulative;
use crate::rng::{normal, uniform};

/// From so many widths on, what is left of a kernel is less than half of the last digit of the rest.
const FAR: f64 = 8.5;
/// Levels of at most so many widths have their probability from a series.
const FINE: f64 = 0.25;

/// One kernel for each of `n` components.
#[derive(Debug)]
pub(super) struct Numbers {
    /// Shape `(n,)`; None for a uniform one.
    kernels: Vec<Option<Kernel>>,
    curves: Curves,
    steps: Option<Steps>,
}

#[derive(Clone, Copy, Debug)]
struct Kernel {
    centre: f64,
    width: f64,
}

/// Logarithms of densities of shape `(n,)`: `top - z^2 / 2`, z being the distance from the centre in widths. Components that have none
/// have an infinite width and a `top` of 0.
#[derive(Debug)]
struct Curves {
    centre: Vec<f64>,
    width: Vec<f64>,
    top: Vec<f64>,
}

/// What is different for levels: the density is the mean over the level.
#[derive(Debug)]
struct Steps {
    count: f64,
    /// Shape `(n,)`: the curves are less by this times `z^4`.
    bends: Vec<f64>,
    /// Kernels that have no curve: those that are narrow beside a level.
    narrow: Vec<Narrow>,
    /// Their different widths.
    widths: Vec<f64>,
}

#[derive(Debug)]
struct Narrow {
    component: usize,
    level: usize,
    /// Which of the widths.
    width: usize,
    /// Logarithm of what the probability of a level is divided by.
    divisor: f64,
}

impl Numbers {
    /// `active` are the places of those that are not uniform, and which they are. With levels: how many.
    pub(super) fn new(active: &mut [(f64, usize)], components: usize, levels: Option<u64>) -> Self {
        active.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut numbers = Self {
            kernels: vec![None; components],
            curves: Curves {
                centre: vec![0.0; components],
                width: vec![f64::INFINITY; components],
                top: vec![0.0; components],
            },
            steps: levels.map(|count| Steps {
                count: count.max(1) as f64,
                bends: vec![0.0; components],
                narrow: Vec::new(),
                widths: Vec::new(),
            }),
        };
        for (place, &(centre, i)) in active.iter().enumerate() {
            let mut width = width(active, place);
            if let Some(steps) = &numbers.steps {
                width = width.max(0.5 / steps.count);
            }
            let kernel = Kernel { centre, width };
            numbers.kernels[i] = Some(kernel);
            match &mut numbers.steps {
                None => numbers.curves.set(i, centre, width, kernel.top()),
                Some(steps) => steps.add(i, kernel, &mut numbers.curves),
            }
        }
        numbers
    }

    /// A number in [0, 1) from one of the components.
    pub(super) fn sample(&self, component: usize, rng: &mut ChaCha8Rng) -> f64 {
        if let Some(Kernel { centre, width }) = self.kernels[component] {
            for _ in 0..32 {
                let x = centre + width * normal(rng);
                if (0.0..1.0).contains(&x) {
                    return x;
                }
            }
        }
        uniform(rng)
    }

    /// For each point its place, and to what the components' logarithms of densities are added.
    pub(super) fn add_log_densities<'a>(&self, rows: impl Iterator<Item = (f64, &'a mut [f64])>) {
        match &self.steps {
            None => rows.for_each(|(x, logs)| self.curves.add(x, logs)),
            Some(steps) => steps.add_log_densities(&self.curves, rows),
        }
    }
}

impl Kernel {
    /// Logarithm of the density at the centre.
    fn top(self) -> f64 {
        -(self.width * TAU.sqrt() * self.inside()).ln()
    }

    /// Probability of what lies between 0 and 1, uncut.
    fn inside(self) -> f64 {
        let upper = if 1.0 - self.centre > FAR * self.width {
            1.0
        } else {
            cumulative((1.0 - self.centre) / self.width)
        };
        if self.centre > FAR * self.width {
            upper
        } else {
            upper - cumulative(-self.centre / self.width)
        }
    }
}

impl Curves {
    fn set(&mut self, component: usize, centre: f64, width: f64, top: f64) {
        self.centre[component] = centre;
        self.width[component] = width;
        self.top[component] = top;
    }

    fn kernels(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        let places = self.centre.iter().zip(&self.width);
        places
            .zip(&self.top)
            .map(|((centre, width), top)| (*centre, *width, *top))
    }

    fn add(&self, x: f64, logs: &mut [f64]) {
        for (log, (centre, width, top)) in logs.iter_mut().zip(self.kernels()) {
            let z = (x - centre) / width;
            *log += top - 0.5 * z * z;
        }
    }
}

impl Steps {
    /// A kernel's curve, or the kernel itself where it is too narrow to have one.
    ///
    /// With h for a level's width in the kernel's widths, the mean over a level is what the density is at its middle times
    /// 1 + h^2 (z^2 - 1) / 24 + h^4 (z^4 - 6 z^2 + 3) / 1920 + ... (Taylor's series, term by term). Its logarithm is
    /// h^2 (z^2 - 1) / 24 - h^4 (z^4 + 4 z^2 - 2) / 2880 + ...: another width, another top, and a fourth power.
    fn add(&mut self, component: usize, kernel: Kernel, curves: &mut Curves) {
        let h = 1.0 / (self.count * kernel.width);
        if h <= FINE {
            let (h2, h4) = (h.powi(2), h.powi(4));
            let square = 1.0 - h2 / 12.0 + h4 / 360.0;
            let top = kernel.top() - h2 / 24.0 + h4 / 1440.0;
            curves.set(component, kernel.centre, kernel.width / square.sqrt(), top);
            self.bends[component] = h4 / (2880.0 * square * square);
            return;
        }
        // Distances that are as many levels differ in their last digits.
        let same = |width: &f64| (width - kernel.width).abs() < 1e-9;
        let known = self.widths.iter().position(same);
        let width = known.unwrap_or_else(|| {
            self.widths.push(kernel.width);
            self.widths.len() - 1
        });
        self.narrow.push(Narrow {
            component,
            level: self.level(kernel.centre),
            width,
            divisor: (kernel.inside() / self.count).ln(),
        });
    }

    /// The level of a place; less than the number of levels.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "places lie in [0, 1), and only few levels are narrow kernels' ones"
    )]
    fn level(&self, x: f64) -> usize {
        (x * self.count).min(self.count - 1.0) as usize
    }

    fn add_log_densities<'a>(&self, curves: &Curves, rows: impl Iterator<Item = (f64, &'a mut [f64])>) {
        // Shape `(widths, levels)`: logarithms of the probability of a level so far from the kernel's. NaN before they are needed.
        let levels = self.level(1.0) + 1;
        let mut masses = vec![f64::NAN; self.widths.len() * levels];
        for (x, logs) in rows {
            if self.narrow.len() < logs.len() - 1 {
                let kernels = curves.kernels().zip(&self.bends);
                for (log, ((centre, width, top), bend)) in logs.iter_mut().zip(kernels) {
                    let z = (x - centre) / width;
                    let square = z * z;
                    *log += top - (0.5 + bend * square) * square;
                }
            }
            let level = self.level(x);
            for narrow in &self.narrow {
                let off = level.abs_diff(narrow.level);
                let mass = &mut masses[narrow.width * levels + off];
                if mass.is_nan() {
                    *mass = self.log_mass(off as f64, self.widths[narrow.width]);
                }
                logs[narrow.component] += *mass - narrow.divisor;
            }
        }
    }

    /// Logarithm of the probability of a level so many levels away from the centre, uncut.
    fn log_mass(&self, off: f64, width: f64) -> f64 {
        let h = 1.0 / (self.count * width);
        // In the left tail, where small probabilities keep their digits.
        let mass = cumulative((0.5 - off) * h) - cumulative((-0.5 - off) * h);
        mass.max(f64::MIN_POSITIVE).ln()
    }
}

/// Width of a trial's kernel: the distance to the farther of its two neighbours, within bounds that shrink with their number
/// (Bergstra et al. 2011; the lower bound keeps a crowd from narrowing the search too soon).
fn width(sorted: &[(f64, usize)], place: usize) -> f64 {
    let x = sorted[place].0;
    let below = place.checked_sub(1).map(|place| x - sorted[place].0);
    let above = sorted.get(place + 1).map(|above| above.0 - x);
    let farther = match (below, above) {
        (Some(below), Some(above)) => below.max(above),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => x.max(1.0 - x),
    };
    let least = 1.0 / (sorted.len() as f64 + 2.0).min(100.0);
    farther.clamp(least, 1.0)
}

#[cfg(test)]
mod tests;
