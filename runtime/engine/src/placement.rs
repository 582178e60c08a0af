//! Where the nodes of a model run.

use crate::provider::Provider;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A node and where it ran.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Placed {
    /// Name of the node.
    pub node: String,
    /// Kind of op.
    pub op: String,
    /// ONNX Runtime's name of the provider, such as `CPUExecutionProvider`.
    pub provider: String,
}

impl Placed {
    /// Whether it ran on that provider.
    #[must_use]
    pub fn is_on(&self, provider: Provider) -> bool {
        let name = match provider {
            Provider::Cpu => "CPUExecutionProvider",
            Provider::Cuda => "CUDAExecutionProvider",
            Provider::Tensorrt => "TensorrtExecutionProvider",
        };
        self.provider == name
    }
}

/// The nodes of a profile that ONNX Runtime wrote, each once.
///
/// # Errors
/// When the text is no profile, or no node in it has a provider.
pub fn of_profile(text: &str) -> Result<Vec<Placed>, String> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default)]
        name: String,
        #[serde(default)]
        args: Arguments,
    }
    #[derive(Default, Deserialize)]
    struct Arguments {
        op_name: Option<String>,
        provider: Option<String>,
    }
    let events: Vec<Event> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let placed = |event: Event| {
        let node = event.name.strip_suffix("_kernel_time")?.to_owned();
        Some(Placed { node, op: event.args.op_name?, provider: event.args.provider? })
    };
    let nodes: BTreeSet<Placed> = events.into_iter().filter_map(placed).collect();
    if nodes.is_empty() { Err("the profile names no node".to_owned()) } else { Ok(nodes.into_iter().collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_listed_once_with_their_provider() {
        let text = r#"[{"cat":"Session","name":"model_run","ts":1},
            {"cat":"Node","name":"conv_kernel_time","args":{"op_name":"Conv","provider":"CUDAExecutionProvider"}},
            {"cat":"Node","name":"conv_kernel_time","args":{"op_name":"Conv","provider":"CUDAExecutionProvider"}},
            {"cat":"Node","name":"shape_kernel_time","args":{"op_name":"Shape","provider":"CPUExecutionProvider","x":1}}]"#;
        let placed = of_profile(text).unwrap();
        let names: Vec<(&str, bool)> = placed.iter().map(|p| (p.node.as_str(), p.is_on(Provider::Cuda))).collect();
        assert_eq!(names, [("conv", true), ("shape", false)]);
        assert!(of_profile("[]").is_err() && of_profile("x").is_err());
    }
}
