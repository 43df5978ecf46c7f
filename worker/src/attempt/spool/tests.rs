//! What a spool keeps when its file is cut, damaged or full.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// Points of some lines, as `(metric, step, value)`.
type Line = Vec<(u8, i64, f64)>;

fn points(line: &Line) -> Vec<PointRead> {
    line.iter()
        .map(|(metric, step, value)| PointRead {
            metric: format!("m{metric}").parse().unwrap(),
            step: *step,
            value: *value,
            counted: false,
        })
        .collect()
}

fn fill(path: &Path, lines: &[Line]) -> Spool {
    let (spool, recovered) = Spool::open(path).unwrap();
    assert_eq!(recovered.cut, 0);
    for (index, line) in lines.iter().enumerate() {
        spool
            .append(
                Origin::Stdout,
                100 * (index as u64 + 1),
                &points(line),
                Timestamp::from_micros(5),
            )
            .unwrap();
    }
    spool
}

/// All points as text, to compare NaN too.
fn all(spool: &Spool) -> Vec<String> {
    let batch = spool.read(1, usize::MAX).unwrap();
    let name = |point: &Point| batch.metrics[usize::try_from(point.metric).unwrap()].clone();
    batch
        .points
        .iter()
        .map(|point| format!("{} {} {}", name(point), point.step, point.value))
        .collect()
}

fn flat(lines: &[Line]) -> Vec<String> {
    lines
        .iter()
        .flatten()
        .map(|(metric, step, value)| format!("m{metric} {step} {value}"))
        .collect()
}

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("spool")
}

fn some_lines(count: u8) -> Vec<Line> {
    (0..count)
        .map(|n| {
            vec![
                (n % 3, i64::from(n), f64::from(n)),
                (3 + n % 2, i64::from(n), f64::NAN),
            ]
        })
        .collect()
}

#[test]
fn the_last_points_are_read_from_memory_as_they_are_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let spool = fill(&file(&dir), &some_lines(200));
    let last = spool.last_seq();
    let first = last - RECENT as u64 + 1;
    let text = |batch: PointBatch| format!("{batch:?}");
    for from in first..=last {
        for max in [1, 3, 512] {
            let recent = spool.recent(from, max).map(text);
            assert_eq!(recent, Some(text(spool.read(from, max).unwrap())), "{from} {max}");
        }
    }
    for absent in [0, 1, first - 1, last + 1] {
        assert!(spool.recent(absent, 512).is_none(), "{absent}");
    }
    drop(spool);
    // After a restart nothing is in memory, and everything on disk.
    let (spool, _) = Spool::open(&file(&dir)).unwrap();
    assert!(spool.recent(last, 1).is_none());
    assert_eq!(spool.read(last, 1).unwrap().points.len(), 1);
}

#[test]
fn what_was_appended_is_read_from_any_point_on() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<Line> = (0..2_000).map(|n| vec![(1, n, 0.5), (2, n, -0.5)]).collect();
    let spool = fill(&file(&dir), &lines);
    let expected = flat(&lines);
    assert_eq!(spool.last_seq(), 4_000);
    for from in [1_u64, 2, 256, 257, 258, 3_999, 4_000] {
        let batch = spool.read(from, 300).unwrap();
        let start = usize::try_from(from - 1).unwrap();
        let texts: Vec<String> = batch
            .points
            .iter()
            .map(|p| {
                format!(
                    "{} {} {}",
                    batch.metrics[usize::try_from(p.metric).unwrap()],
                    p.step,
                    p.value
                )
            })
            .collect();
        assert_eq!(texts, expected[start..(start + 300).min(4_000)], "from {from}");
    }
    assert_eq!(spool.read(4_001, 10).unwrap(), PointBatch::default());
    assert_eq!(spool.read(u64::MAX, 10).unwrap(), PointBatch::default());
    assert_eq!(spool.read(1, 0).unwrap(), PointBatch::default());
}

#[test]
fn reading_goes_on_where_the_last_whole_line_ended() {
    let dir = tempfile::tempdir().unwrap();
    let spool = fill(&file(&dir), &some_lines(3));
    spool
        .append_position(
            Origin::MetricsFile,
            Position {
                device: 1,
                inode: 2,
                offset: 77,
            },
        )
        .unwrap();
    spool
        .append(
            Origin::MetricsFile,
            90,
            &points(&vec![(9, 41, 1.0)]),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
    spool
        .append(
            Origin::Socket,
            0,
            &points(&vec![(9, 42, 1.0)]),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
    spool.append_end(b"done".to_vec()).unwrap();
    drop(spool);
    let (spool, recovered) = Spool::open(&file(&dir)).unwrap();
    assert_eq!(recovered.positions[&Origin::Stdout].offset, 300);
    assert_eq!(
        recovered.positions[&Origin::MetricsFile],
        Position {
            device: 1,
            inode: 2,
            offset: 90
        }
    );
    assert_eq!(recovered.last_steps[&"m9".parse::<MetricName>().unwrap()], 42);
    assert_eq!(recovered.end.as_deref(), Some(&b"done"[..]));
    assert_eq!((spool.last_seq(), spool.metrics(), recovered.cut), (8, 6, 0));
}

#[test]
fn another_file_in_its_place_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(file(&dir), "this is something else entirely").unwrap();
    let (spool, recovered) = Spool::open(&file(&dir)).unwrap();
    assert_eq!((spool.last_seq(), recovered.cut), (0, 31));
    spool
        .append(
            Origin::Stdout,
            1,
            &points(&vec![(1, 1, 1.0)]),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
    drop(spool);
    assert_eq!(Spool::open(&file(&dir)).unwrap().0.last_seq(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Wherever the file is cut: what is left are whole lines from the beginning, and writing goes on behind them.
    #[test]
    fn a_cut_spool_is_a_prefix_of_whole_lines(count in 1_u8..20, cut in any::<prop::sample::Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let lines = some_lines(count);
        drop(fill(&file(&dir), &lines));
        let length = std::fs::metadata(file(&dir)).unwrap().len();
        let kept = cut.index(usize::try_from(length).unwrap()) as u64;
        std::fs::OpenOptions::new().write(true).open(file(&dir)).unwrap().set_len(kept).unwrap();
        check_prefix(&dir, &lines)?;
    }

    /// Whichever bit flips: what stands before it stays, nothing wrong is read, nothing panics.
    #[test]
    fn a_damaged_spool_is_a_prefix_of_whole_lines(count in 1_u8..20, place in any::<prop::sample::Index>(), bit in 0..8) {
        let dir = tempfile::tempdir().unwrap();
        let lines = some_lines(count);
        drop(fill(&file(&dir), &lines));
        let mut bytes = std::fs::read(file(&dir)).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        std::fs::write(file(&dir), bytes).unwrap();
        check_prefix(&dir, &lines)?;
    }

    /// Whatever bytes are given: no panic.
    #[test]
    fn any_bytes_are_a_spool(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let content = if magic { [MAGIC.as_slice(), &bytes].concat() } else { bytes };
        std::fs::write(file(&dir), content).unwrap();
        let (spool, _) = Spool::open(&file(&dir)).unwrap();
        prop_assert_eq!(all(&spool).len() as u64, spool.last_seq());
    }
}

fn check_prefix(dir: &tempfile::TempDir, lines: &[Line]) -> Result<(), TestCaseError> {
    let expected = flat(lines);
    let (spool, recovered) = Spool::open(&file(dir)).unwrap();
    let found = all(&spool);
    prop_assert!(
        expected.starts_with(&found),
        "{found:?} is no prefix of {expected:?}"
    );
    prop_assert_eq!(found.len() % 2, 0, "half a line was kept");
    let offset = recovered
        .positions
        .get(&Origin::Stdout)
        .map_or(0, |position| position.offset);
    prop_assert_eq!(offset, 50 * found.len() as u64);
    // The reader goes on from there, and the result is what it would have been.
    for (index, line) in lines.iter().enumerate().skip(found.len() / 2) {
        spool
            .append(
                Origin::Stdout,
                100 * (index as u64 + 1),
                &points(line),
                Timestamp::UNIX_EPOCH,
            )
            .unwrap();
    }
    drop(spool);
    prop_assert_eq!(all(&Spool::open(&file(dir)).unwrap().0), expected);
    Ok(())
}
