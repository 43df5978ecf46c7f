use super::*;

/// Logarithms of the densities of all components at one place.
fn log_densities(numbers: &Numbers, x: f64) -> Vec<f64> {
    let mut logs = vec![0.0; numbers.kernels.len()];
    numbers.add_log_densities(std::iter::once((x, &mut logs[..])));
    logs
}

/// The probability between two places, from the side where it keeps its digits.
fn between(kernel: Kernel, low: f64, high: f64) -> f64 {
    let (low, high) = (
        (low - kernel.centre) / kernel.width,
        (high - kernel.centre) / kernel.width,
    );
    if low > 0.0 {
        cumulative(-low) - cumulative(-high)
    } else {
        cumulative(high) - cumulative(low)
    }
}

#[test]
fn densities_over_levels_are_the_means_over_them_however_narrow_the_kernels() {
    for count in [1, 2, 3, 9, 64, 150, 399, 400, 1_000, 50_000] {
        let middle = |level: u64| (level as f64 + 0.5) / count as f64;
        for n in [1, 5, 30, 200] {
            // Every other component is uniform.
            let mut active: Vec<(f64, usize)> = (0..n)
                .map(|i| (middle(crate::rng::mix(i as u64) % count), 2 * i))
                .collect();
            let numbers = Numbers::new(&mut active, 2 * n + 1, Some(count));
            for level in (0..60).map(|k| k * count / 60) {
                let (x, half) = (middle(level), 0.5 / count as f64);
                let logs = log_densities(&numbers, x);
                for (i, (log, kernel)) in logs.iter().zip(&numbers.kernels).enumerate() {
                    let Some(kernel) = *kernel else {
                        assert!(i % 2 == 1 || i == 2 * n);
                        assert_eq!(log.to_bits(), 0, "uniform");
                        continue;
                    };
                    let z = (x - kernel.centre).abs() / kernel.width;
                    if z > 12.0 {
                        assert!(*log < -50.0, "{count} levels, {n} trials: {log} at {z}");
                        continue;
                    }
                    let mass = between(kernel, x - half, x + half) / between(kernel, 0.0, 1.0);
                    let expected = (mass * count as f64).ln();
                    // The series is cut off after the fourth power. The probability of a very fine level has lost digits.
                    let tolerance = if z < 4.0 { 1e-5 } else { 0.01 };
                    assert!(
                        (log - expected).abs() < tolerance,
                        "{count} levels, {n} trials, {z} widths away: {log} against {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn each_kernel_is_a_distribution() {
    for levels in [None, Some(7), Some(90), Some(1_000)] {
        // Beside both ends, in a crowd and alone.
        let mut active: Vec<(f64, usize)> = [0.001, 0.3, 0.302, 0.303, 0.31, 0.6, 0.999]
            .into_iter()
            .enumerate()
            .map(|(i, x)| {
                let snapped = |count: u64| ((x * count as f64).floor() + 0.5) / count as f64;
                (levels.map_or(x, snapped), i)
            })
            .collect();
        let numbers = Numbers::new(&mut active, 8, levels);
        let places = levels.unwrap_or(100_000);
        let mut sums = vec![0.0; 8];
        for place in 0..places {
            let logs = log_densities(&numbers, (place as f64 + 0.5) / places as f64);
            for (sum, log) in sums.iter_mut().zip(logs) {
                *sum += log.exp() / places as f64;
            }
        }
        assert!(
            sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5),
            "{levels:?}: {sums:?}"
        );
    }
}

#[test]
fn what_lies_far_from_both_ends_needs_no_cutting_off() {
    for centre in [0.0, 0.01, 0.08, 0.084, 0.086, 0.5, 0.914, 0.917, 0.99] {
        for width in [0.01, 0.1, 1.0] {
            let kernel = Kernel { centre, width };
            let plain = cumulative((1.0 - centre) / width) - cumulative(-centre / width);
            assert_eq!(kernel.inside().to_bits(), plain.to_bits(), "{centre}, {width}");
        }
    }
}
