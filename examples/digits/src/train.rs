//! The training loop: shuffle, step, evaluate, report, save; and going on from a checkpoint.
//!
//! # Invariants
//!
//! * All randomness of epoch `n` comes from the seed and `n`. A run that goes on from the checkpoint of epoch `n - 1`
//!   therefore prints what an uninterrupted run would have printed, bit for bit (on the same kind of processor: another
//!   one may round matrix products differently).
//! * An epoch's line is printed before its checkpoint is written, so that no checkpoint is ahead of the report.

use std::io::{self, Write};
use std::path::PathBuf;

use ndarray::{Array2, s};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::activation::to_f64;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::cli::{Config, Infeasible};
use crate::data::{Dataset, Images, PIXELS, Shift};
use crate::network::{Dropout, Network};
use crate::optimizer::Optimizer;
use crate::report::EpochReport;

/// How training ended, and after which epoch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// All epochs are done.
    Finished,
    /// The loss is no longer a number.
    Diverged(u32),
    /// Somebody asked to stop; the checkpoint, if one was wanted.
    Stopped(u32, Option<PathBuf>),
}

/// Why training could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrainError {
    /// The checkpoint belongs to a network that this one cannot continue.
    #[error(transparent)]
    Infeasible(#[from] Infeasible),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("cannot print the results of an epoch")]
    Output(#[source] io::Error),
}

/// Trains as `config` says, printing to `out`. `stop` is asked once per epoch.
///
/// # Errors
/// [`TrainError`]; what was printed until then stays true.
pub(crate) fn run(
    config: &Config,
    data: &Dataset,
    out: &mut impl Write,
    stop: &dyn Fn() -> bool,
) -> Result<Outcome, TrainError> {
    let (mut trainer, done) = match &config.resume_from {
        None => (Trainer::new(config), 0),
        Some(path) => {
            let checkpoint = Checkpoint::load(path)?;
            let report = checkpoint.manifest.report;
            let trainer = Trainer::resume(config, checkpoint)?;
            if report.epoch >= config.epochs {
                // Nothing is left to train, but whoever started this run wants a result.
                report.write_line(out).map_err(TrainError::Output)?;
            }
            (trainer, report.epoch)
        }
    };
    for epoch in done.saturating_add(1)..=config.epochs {
        let report = trainer.epoch(epoch, data);
        report.write_line(out).map_err(TrainError::Output)?;
        if report.has_diverged() {
            return Ok(Outcome::Diverged(epoch));
        }
        let stopping = epoch < config.epochs && stop();
        let due = epoch.is_multiple_of(config.checkpoint_every) || epoch == config.epochs || stopping;
        let saved = match &config.checkpoint_dir {
            Some(root) if due => Some(trainer.checkpoint(report).save(root)?),
            _ => None,
        };
        if stopping {
            return Ok(Outcome::Stopped(epoch, saved));
        }
    }
    Ok(Outcome::Finished)
}

/// Random numbers of one purpose: stream 0 is for the starting weights, stream n for epoch n.
fn rng(seed: u64, stream: u32) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(stream));
    rng
}

struct Trainer<'a> {
    config: &'a Config,
    network: Network,
    optimizer: Optimizer,
    gradient: Vec<f64>,
}

impl<'a> Trainer<'a> {
    fn new(config: &'a Config) -> Self {
        let network = Network::new(config.architecture, &mut rng(config.seed, 0));
        let count = network.parameters.len();
        Self {
            config,
            network,
            optimizer: Optimizer::new(config.optimizer, count),
            gradient: vec![0.0; count],
        }
    }

    /// Continues where `checkpoint` ends. Learning rate, batch size and the like may differ from then; what the numbers
    /// mean may not.
    fn resume(config: &'a Config, checkpoint: Checkpoint) -> Result<Self, Infeasible> {
        let (before, now) = (checkpoint.manifest.architecture, config.architecture);
        if before != now {
            return Err(Infeasible(format!(
                "the checkpoint has {before}, this run asks for {now}; they must be the same"
            )));
        }
        let (before, now) = (checkpoint.manifest.optimizer, config.optimizer.kind);
        if before != now {
            return Err(Infeasible(format!(
                "the checkpoint is of optimizer {before}, this run asks for {now}; they must be the same"
            )));
        }
        let mut trainer = Self::new(config);
        trainer.network.parameters = checkpoint.parameters;
        trainer.optimizer.steps = checkpoint.manifest.optimizer_steps;
        trainer.optimizer.state = checkpoint.optimizer_state;
        Ok(trainer)
    }

    fn checkpoint(&self, report: EpochReport) -> Checkpoint {
        Checkpoint::new(
            self.config.architecture,
            self.config.optimizer.kind,
            self.optimizer.steps,
            report,
            self.network.parameters.clone(),
            self.optimizer.state.clone(),
        )
    }

    fn epoch(&mut self, epoch: u32, data: &Dataset) -> EpochReport {
        let mut rng = rng(self.config.seed, epoch);
        let order = shuffled(data.train.labels.len(), self.config.copies, &mut rng);
        let mut pixels = Array2::zeros((self.config.batch, PIXELS));
        let mut labels = Vec::with_capacity(self.config.batch);
        let mut total = 0.0;
        for batch in order.chunks(self.config.batch) {
            fill(&data.train, batch, &mut pixels, &mut labels);
            let mut dropout = Dropout {
                rate: self.config.dropout,
                rng: &mut rng,
            };
            let used = pixels.slice(s![..batch.len(), ..]);
            let loss = self
                .network
                .loss_and_gradient(used, &labels, &mut dropout, &mut self.gradient);
            self.optimizer.step(&mut self.network.parameters, &self.gradient);
            total += loss * to_f64(batch.len());
        }
        let quality = self.network.evaluate(&data.validation);
        EpochReport {
            epoch,
            val_acc: quality.accuracy,
            val_loss: quality.loss,
            loss: total / to_f64(order.len()),
        }
    }
}

/// Every image once as it is and `copies` times moved by up to one pixel, in random order.
fn shuffled(images: usize, copies: usize, rng: &mut ChaCha8Rng) -> Vec<(usize, Shift)> {
    let mut order: Vec<(usize, Shift)> = (0..images).map(|image| (image, Shift::NONE)).collect();
    for image in (0..copies).flat_map(|_| 0..images) {
        // Drawn as i32: the value must not depend on the size of isize.
        let [down, right] = [(); 2].map(|()| match rng.random_range(0..3_i32) {
            0 => -1,
            1 => 0,
            _ => 1,
        });
        order.push((image, Shift { down, right }));
    }
    order.shuffle(rng);
    order
}

/// Puts the images of `batch` into the first rows of `pixels` and their digits into `labels`.
fn fill(images: &Images, batch: &[(usize, Shift)], pixels: &mut Array2<f64>, labels: &mut Vec<usize>) {
    labels.clear();
    for (&(image, shift), row) in batch.iter().zip(pixels.rows_mut()) {
        shift.write(images.pixels.row(image), row);
        labels.push(images.labels[image]);
    }
}

#[cfg(test)]
mod tests;
