//! What this machine has to offer: processor cores, main memory and GPUs, within the limits this process runs under.
//!
//! Only looks; changes nothing. A limit of a container, of the scheduler above us or of the configuration is never exceeded.

mod gpus;
mod memory;

use tunesmith_common::worker::WorkerResources;

pub use gpus::GpuError;
pub(crate) use gpus::{GpuEyes, GpuUse};

use crate::config::{Config, GpuChoice};

/// Finds out what this machine has to offer under `config`.
///
/// # Errors
/// If the GPUs that the configuration names are not there, or not allowed.
pub fn detect(config: &Config) -> Result<WorkerResources, GpuError> {
    let machine = match (config.fake_gpus, &config.gpus) {
        (_, GpuChoice::None) => Vec::new(),
        (Some(count), _) => gpus::fake(count),
        (None, _) => gpus::of_this_machine(config.inherited_gpus.as_deref())?,
    };
    let gpus = gpus::choose(machine, &config.gpus)?;
    let by_gpus = u32::try_from(gpus.len()).unwrap_or(u32::MAX).max(1);
    Ok(WorkerResources {
        slots: config.slots.unwrap_or(by_gpus),
        cpus: config.cpus.unwrap_or_else(cores),
        memory: config.memory.unwrap_or_else(memory::usable),
        gpus,
        labels: config.labels.clone(),
        stores: Vec::new(),
    })
}

/// Cores that this process may use, container limits and affinity included.
fn cores() -> f64 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
