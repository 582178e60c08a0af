//! The contract as the text that a model carries.

use crate::contract::Contract;
use crate::error::{ContractError, VERSION};
use crate::task::Task;
use serde::Deserialize;

impl Contract {
    /// The JSON text stored in the model.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, ContractError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads the metadata value; `None` stands for an absent key.
    ///
    /// # Errors
    /// When there is none, it has another version or an unknown task, or it is not a contract that can be kept.
    pub fn from_metadata(value: Option<&str>) -> Result<Self, ContractError> {
        /// Only the version, so that another one is named before its fields are.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        /// Only the tasks' names, likewise.
        #[derive(Deserialize)]
        struct Tasks {
            tasks: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            task: String,
        }
        let text = value.ok_or(ContractError::Missing)?;
        let head: Head = serde_json::from_str(text)?;
        if head.version != VERSION {
            return Err(ContractError::Version { found: head.version });
        }
        let Tasks { tasks } = serde_json::from_str(text)?;
        if let Some(unknown) = tasks.into_iter().find(|t| Task::named(&t.task).is_none()) {
            return Err(ContractError::Task { found: unknown.task });
        }
        let contract: Contract = serde_json::from_str(text)?;
        contract.check_extents()?;
        let found = contract.contradictions();
        if found.is_empty() { Ok(contract) } else { Err(ContractError::Contradiction { found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Extent;
    use crate::samples::{detection, fusion, segmentation};
    use crate::task::{DetectionContract, TaskContract};
    use caf_geometry::Size;

    fn read(contract: &Contract) -> Result<Contract, ContractError> {
        Contract::from_metadata(Some(&contract.to_json().unwrap()))
    }

    #[test]
    fn survives_the_round_trip() {
        for contract in [fusion(vec![]), fusion(vec![detection(2), segmentation(3)])] {
            assert_eq!(read(&contract).unwrap(), contract);
        }
    }

    #[test]
    fn a_model_is_summed_up_in_verbs() {
        for (tasks, summary) in [
            (vec![], "fuses"),
            (vec![detection(2)], "fuses and detects"),
            (vec![detection(2), segmentation(2)], "fuses, detects and segments"),
        ] {
            assert_eq!(fusion(tasks).summary(), summary);
        }
    }

    #[test]
    fn the_json_is_the_documented_one() {
        let json: serde_json::Value = serde_json::from_str(&fusion(vec![detection(2)]).to_json().unwrap()).unwrap();
        assert_eq!(json["outputs"][1]["shape"], serde_json::json!([1, "?", 7]));
        let expected = serde_json::json!({"task": "detection", "output": "predictions", "classes": ["class 0", "class 1"],
            "input": {"width": 640, "height": 640}});
        assert_eq!(json["tasks"], serde_json::json!([expected]));
        assert_eq!(json["precision"], "fp32");
    }

    #[test]
    fn says_which_version_and_which_task_it_found() {
        let text = fusion(vec![]).to_json().unwrap().replace("\"version\":2", "\"version\":7,\"new_field\":0");
        assert!(matches!(Contract::from_metadata(Some(&text)), Err(ContractError::Version { found: 7 })));
        let text = fusion(vec![detection(1)]).to_json().unwrap().replace("\"detection\"", "\"depth\"");
        let error = Contract::from_metadata(Some(&text)).unwrap_err().to_string();
        assert!(
            error.ends_with("has the task `depth`, this program knows detection, segmentation and counting"),
            "{error}"
        );
    }

    #[test]
    fn an_impossible_detector_is_refused() {
        let with = |width, height| {
            let input = Size { width, height };
            let TaskContract::Detection(task) = detection(2) else { panic!("another task") };
            read(&fusion(vec![TaskContract::Detection(DetectionContract { input, ..task })]))
        };
        assert!(with(96, 64).is_ok());
        for (width, height) in [(0, 64), (96, 0), (96, 1 << 40)] {
            assert!(matches!(with(width, height), Err(ContractError::Contradiction { .. })), "{width}x{height}");
        }
    }

    #[test]
    fn extents_that_no_memory_holds_are_refused() {
        for bad in [&[4096, 65_535, 65_535, 1][..], &[0, usize::MAX, usize::MAX, 1]] {
            let mut contract = fusion(vec![]);
            contract.inputs[0].shape = bad.iter().map(|n| Extent::Fixed(*n)).collect();
            let error = read(&contract);
            assert!(matches!(error, Err(ContractError::Elements { port }) if port.starts_with("ir: u8 [")), "{bad:?}");
        }
    }

    #[test]
    fn absent_and_foreign_metadata_are_told_apart() {
        assert!(matches!(Contract::from_metadata(None), Err(ContractError::Missing)));
        assert!(matches!(Contract::from_metadata(Some("{}")), Err(ContractError::Malformed(_))));
    }
}
