//! GPUs by UUID, through NVML if the machine has it.
//!
//! An inherited `CUDA_VISIBLE_DEVICES` is a ceiling: a scheduler above us (Slurm, a container) gave us those devices and no others.
//! Indices count in the order of the PCI bus, as `nvidia-smi` shows them.

use nvml_wrapper::Nvml;
use tunesmith_common::worker::Gpu;

use crate::config::GpuChoice;

/// Memory of a pretended GPU.
const FAKE_MEMORY: u64 = 16 << 30;
/// How UUIDs of pretended GPUs begin.
const FAKE_UUID: &str = "GPU-fake-";
/// What is in use of a pretended GPU that an attempt has: percent and bytes.
const FAKE_USE: (u8, u64) = (75, 6 << 30);

/// Why the configured GPUs cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// A GPU was asked for that is not there, or not allowed.
    #[error("gpus: {wanted:?} is not among the GPUs this process may use: {present}")]
    Absent {
        /// As it was asked for.
        wanted: String,
        /// What there is, for people.
        present: String,
    },
    /// The beginning of a UUID that fits several GPUs.
    #[error("gpus: {wanted:?} is the beginning of several UUIDs; write more of it")]
    Ambiguous {
        /// As it was asked for.
        wanted: String,
    },
    /// GPUs were given to this process, but the library that knows them does not work.
    #[error(
        "gpus: CUDA_VISIBLE_DEVICES={visible:?} gives this process GPUs, but NVML cannot be used; give --gpus none to go on without"
    )]
    Library {
        /// `CUDA_VISIBLE_DEVICES`.
        visible: String,
        /// What NVML said.
        #[source]
        source: nvml_wrapper::error::NvmlError,
    },
}

/// What is in use of a GPU, by whomever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GpuUse {
    pub(crate) uuid: String,
    /// How busy it is, from 0 to 100. None if it does not tell, as parts of a GPU do not.
    pub(crate) percent: Option<u8>,
    /// Bytes in use. None if it does not tell.
    pub(crate) memory: Option<u64>,
}

/// Looks at the GPUs of this worker.
#[derive(Debug)]
pub(crate) struct GpuEyes {
    uuids: Vec<String>,
    /// None of pretended ones.
    nvml: Option<Nvml>,
}

impl GpuEyes {
    /// For these GPUs, which are pretended or not.
    pub(crate) fn new(gpus: &[Gpu], fake: bool) -> Self {
        let real = !fake && !gpus.is_empty();
        Self {
            uuids: gpus.iter().map(|gpu| gpu.uuid.clone()).collect(),
            nvml: if real { Nvml::init().ok() } else { None },
        }
    }

    /// What is in use of each. `taken` are those that attempts have: pretended ones are busy then.
    pub(crate) fn look(&self, taken: &[&String]) -> Vec<GpuUse> {
        let look = |uuid: &String| {
            let (percent, memory) = match &self.nvml {
                Some(nvml) => nvml.device_by_uuid(uuid.as_str()).map_or((None, None), |device| {
                    let percent = device.utilization_rates().ok();
                    let percent = percent.and_then(|rates| u8::try_from(rates.gpu.min(100)).ok());
                    (percent, device.memory_info().ok().map(|memory| memory.used))
                }),
                None if uuid.starts_with(FAKE_UUID) => {
                    let busy = taken.contains(&uuid);
                    let (percent, memory) = if busy { FAKE_USE } else { (0, 0) };
                    (Some(percent), Some(memory))
                }
                None => (None, None),
            };
            GpuUse {
                uuid: uuid.clone(),
                percent,
                memory,
            }
        };
        self.uuids.iter().map(look).collect()
    }
}

/// A GPU with its index on the machine; a part of a GPU has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    index: Option<u32>,
    gpu: Gpu,
}

/// Pretended GPUs.
pub(super) fn fake(count: u32) -> Vec<Device> {
    let gpu = |index| Gpu {
        uuid: format!("{FAKE_UUID}{index}"),
        model: "fake".to_owned(),
        memory: FAKE_MEMORY,
    };
    (0..count)
        .map(|index| Device {
            index: Some(index),
            gpu: gpu(index),
        })
        .collect()
}

/// The GPUs of this machine that `visible` (`CUDA_VISIBLE_DEVICES`) allows; all if it is not set.
///
/// # Errors
/// [`GpuError::Library`] if `visible` names devices and NVML cannot be used. Otherwise a machine without NVML has no GPUs.
pub(super) fn of_this_machine(visible: Option<&str>) -> Result<Vec<Device>, GpuError> {
    let none_allowed = visible.is_some_and(|visible| matches!(visible.trim(), "" | "-1" | "NoDevFiles"));
    if none_allowed {
        return Ok(Vec::new());
    }
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(error) => {
            tracing::debug!(error = %error, "NVML cannot be used: no GPUs");
            return match visible {
                None => Ok(Vec::new()),
                Some(visible) => Err(GpuError::Library {
                    visible: visible.to_owned(),
                    source: error,
                }),
            };
        }
    };
    let count = nvml.device_count().unwrap_or_else(|error| {
        tracing::warn!(error = %error, "cannot count the GPUs");
        0
    });
    let all: Vec<Device> = (0..count)
        .filter_map(|index| {
            let found = nvml.device_by_index(index).and_then(|device| describe(&device));
            match found {
                Ok(gpu) => Some(Device {
                    index: Some(index),
                    gpu,
                }),
                Err(error) => {
                    tracing::warn!(gpu = index, error = %error, "this GPU does not answer and is left out");
                    None
                }
            }
        })
        .collect();
    let Some(visible) = visible else { return Ok(all) };
    Ok(below_ceiling(&all, visible, |uuid| {
        nvml.device_by_uuid(uuid)
            .and_then(|device| describe(&device))
            .ok()
    }))
}

fn describe(device: &nvml_wrapper::Device<'_>) -> Result<Gpu, nvml_wrapper::error::NvmlError> {
    Ok(Gpu {
        uuid: device.uuid()?,
        model: device.name().unwrap_or_default(),
        // Old drivers do not tell; a trial that asks for an amount is then not placed here.
        memory: device.memory_info().map_or(0, |memory| memory.total),
    })
}

/// The devices that `visible` names, in its order. As CUDA does it, the list ends at the first entry that is not a device.
/// `part` finds a part of a GPU (MIG) by its UUID.
fn below_ceiling(all: &[Device], visible: &str, part: impl Fn(&str) -> Option<Gpu>) -> Vec<Device> {
    let mut allowed: Vec<Device> = Vec::new();
    for entry in visible.split(',').map(str::trim) {
        let device = if entry.starts_with("MIG-") {
            part(entry).map(|gpu| Device { index: None, gpu })
        } else {
            find(all, entry).ok().cloned()
        };
        match device {
            Some(device) if !allowed.iter().any(|known| known.gpu.uuid == device.gpu.uuid) => {
                allowed.push(device)
            }
            Some(_) => {}
            None => {
                tracing::warn!(
                    entry,
                    visible,
                    "CUDA_VISIBLE_DEVICES ends here: this is no GPU of the machine"
                );
                break;
            }
        }
    }
    allowed
}

/// The GPUs of `devices` that `choice` names.
///
/// # Errors
/// [`GpuError::Absent`] or [`GpuError::Ambiguous`] naming the entry.
pub(super) fn choose(devices: Vec<Device>, choice: &GpuChoice) -> Result<Vec<Gpu>, GpuError> {
    match choice {
        GpuChoice::All => Ok(devices.into_iter().map(|device| device.gpu).collect()),
        GpuChoice::None => Ok(Vec::new()),
        GpuChoice::These(entries) => {
            let mut chosen: Vec<Gpu> = Vec::new();
            for entry in entries {
                let gpu = &find(&devices, entry)?.gpu;
                if !chosen.contains(gpu) {
                    chosen.push(gpu.clone());
                }
            }
            Ok(chosen)
        }
    }
}

/// The device that `entry` names: an index, a UUID, or the beginning of one UUID.
fn find<'a>(devices: &'a [Device], entry: &str) -> Result<&'a Device, GpuError> {
    let absent = || GpuError::Absent {
        wanted: entry.to_owned(),
        present: list(devices),
    };
    if let Ok(index) = entry.parse::<u32>() {
        return devices
            .iter()
            .find(|device| device.index == Some(index))
            .ok_or_else(absent);
    }
    if entry.is_empty() {
        return Err(absent());
    }
    if let Some(exact) = devices.iter().find(|device| device.gpu.uuid == entry) {
        return Ok(exact);
    }
    let mut matching = devices.iter().filter(|device| device.gpu.uuid.starts_with(entry));
    match (matching.next(), matching.next()) {
        (Some(device), None) => Ok(device),
        (Some(_), Some(_)) => Err(GpuError::Ambiguous {
            wanted: entry.to_owned(),
        }),
        (None, _) => Err(absent()),
    }
}

fn list(devices: &[Device]) -> String {
    if devices.is_empty() {
        return "there is none".to_owned();
    }
    let show = |device: &Device| match device.index {
        Some(index) => format!("{index} ({})", device.gpu.uuid),
        None => device.gpu.uuid.clone(),
    };
    devices.iter().map(show).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Vec<Device> {
        ["GPU-aa1", "GPU-aa2", "GPU-b"]
            .into_iter()
            .zip(0..)
            .map(|(uuid, index)| Device {
                index: Some(index),
                gpu: Gpu {
                    uuid: uuid.to_owned(),
                    model: String::new(),
                    memory: 1,
                },
            })
            .collect()
    }

    fn visible(list: &str) -> Vec<String> {
        let part = |uuid: &str| {
            (uuid == "MIG-1").then(|| Gpu {
                uuid: uuid.to_owned(),
                model: String::new(),
                memory: 1,
            })
        };
        below_ceiling(&machine(), list, part)
            .into_iter()
            .map(|device| device.gpu.uuid)
            .collect()
    }

    #[test]
    fn the_ceiling_is_read_as_cuda_reads_it() {
        assert_eq!(visible("2,0"), ["GPU-b", "GPU-aa1"]);
        assert_eq!(visible("GPU-b"), ["GPU-b"]);
        assert_eq!(visible("GPU-aa"), [""; 0], "an ambiguous beginning is no device");
        assert_eq!(
            visible("0,7,1"),
            ["GPU-aa1"],
            "the list ends at what is no device"
        );
        assert_eq!(visible("MIG-1,MIG-2"), ["MIG-1"]);
        assert_eq!(visible("1,1"), ["GPU-aa2"]);
        assert!(of_this_machine(Some("")).unwrap().is_empty());
        assert!(of_this_machine(Some("-1")).unwrap().is_empty());
    }

    #[test]
    fn pretended_gpus_are_busy_while_an_attempt_has_them() {
        let gpus: Vec<Gpu> = fake(2).into_iter().map(|device| device.gpu).collect();
        let looked = GpuEyes::new(&gpus, true).look(&[&gpus[1].uuid]);
        assert_eq!((looked[0].percent, looked[0].memory), (Some(0), Some(0)));
        assert_eq!((looked[1].percent, looked[1].memory), (Some(75), Some(6 << 30)));
        assert!(GpuEyes::new(&[], false).look(&[]).is_empty());
    }

    #[test]
    fn a_choice_never_widens_the_ceiling() {
        let allowed = below_ceiling(&machine(), "1,2", |_| None);
        let these = |list: &str| choose(allowed.clone(), &list.parse().unwrap());
        assert_eq!(
            these("2,1,2")
                .unwrap()
                .iter()
                .map(|gpu| gpu.uuid.as_str())
                .collect::<Vec<_>>(),
            ["GPU-b", "GPU-aa2"]
        );
        assert_eq!(
            these("0").unwrap_err().to_string(),
            "gpus: \"0\" is not among the GPUs this process may use: 1 (GPU-aa2), 2 (GPU-b)"
        );
        assert!(matches!(
            choose(machine(), &"GPU-aa".parse().unwrap()),
            Err(GpuError::Ambiguous { .. })
        ));
        assert!(choose(fake(2), &GpuChoice::None).unwrap().is_empty());
        assert_eq!(
            choose(fake(2), &"GPU-fake-1".parse().unwrap()).unwrap()[0].uuid,
            "GPU-fake-1"
        );
    }
}
