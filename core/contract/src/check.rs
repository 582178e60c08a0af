//! Contract against graph: the one place that compares what a model promises with what it is.

use crate::contract::{Contract, INPUT_IMAGE, INPUT_IR, INPUT_VI, OUTPUT_FUSED};
use crate::error::Mismatch;
use crate::port::{Element, Extent, Port};
use crate::task::TaskContract;

/// An input or output as an engine reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphPort {
    /// Its name.
    pub name: String,
    /// Element type: `u8`, `f32`, or the engine's word for what no port has.
    pub element: String,
    /// Extents, negative where open.
    pub shape: Vec<i64>,
}

impl std::fmt::Display for GraphPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.element, self.shape)
    }
}

impl Contract {
    /// Everything about the contract that contradicts itself: ports of no image, tasks without their output, outputs of no task.
    /// Empty when it is consistent.
    #[must_use]
    pub fn contradictions(&self) -> Vec<Mismatch> {
        let mut found = vec![];
        let inputs: &[&str] = if self.fuses() { &[INPUT_IR, INPUT_VI] } else { &[INPUT_IMAGE] };
        same_names("inputs", inputs, &self.inputs, &mut found);
        let fused = self.fuses().then_some(OUTPUT_FUSED);
        let outputs: Vec<&str> = fused.into_iter().chain(self.tasks.iter().map(TaskContract::output)).collect();
        same_names("outputs", &outputs, &self.outputs, &mut found);
        if outputs.is_empty() {
            found.push(Mismatch::new("outputs", "a fused image or a task", "none"));
        }
        for port in &self.inputs {
            image_port("input", port, &mut found);
        }
        for port in self.outputs.iter().filter(|p| fused == Some(p.name.as_str())) {
            image_port("output", port, &mut found);
        }
        if let Some((expected, wrong)) = self.infrared_range.fault() {
            found.push(Mismatch::new("infrared_range", expected, wrong));
        }
        for task in &self.tasks {
            if let Some((expected, was)) = task.fault() {
                found.push(Mismatch::new(task.name(), expected, was));
            }
            for port in self.outputs.iter().filter(|p| p.name == task.output()).take(1) {
                let expected = task.expected_port(port);
                let mismatch =
                    |e: Port| Mismatch::new(format!("output `{}`", port.name), e.to_string(), port.to_string());
                found.extend(expected.map(mismatch));
            }
        }
        found
    }

    /// Everything wrong with a model that carries this contract: [`Contract::contradictions`], and every input and output that
    /// is not as promised, or not promised. Empty when it keeps its promise.
    #[must_use]
    pub fn mismatches(&self, inputs: &[GraphPort], outputs: &[GraphPort]) -> Vec<Mismatch> {
        let mut found = self.contradictions();
        against_graph("input", &self.inputs, inputs, &mut found);
        against_graph("output", &self.outputs, outputs, &mut found);
        found
    }
}

fn same_names(place: &str, wanted: &[&str], ports: &[Port], found: &mut Vec<Mismatch>) {
    let names: Vec<&str> = ports.iter().map(|p| p.name.as_str()).collect();
    let once = |name: &&str| names.iter().filter(|n| *n == name).count() == 1;
    if names.len() != wanted.len() || !wanted.iter().all(once) {
        found.push(Mismatch::new(place, wanted.join(", "), names.join(", ")));
    }
}

fn image_port(direction: &str, port: &Port, found: &mut Vec<Mismatch>) {
    let (.., channel) = port.element.image_axes();
    let channels = port.colour.channels();
    if port.shape.len() != 4 || channels == 0 || port.shape.get(channel) != Some(&Extent::Fixed(channels)) {
        let layout = match port.element {
            Element::U8 => "[batch, height, width, 1 or 3]",
            Element::F32 => "[batch, 1 or 3, height, width]",
        };
        let place = format!("{direction} `{}`", port.name);
        found.push(Mismatch::new(place, format!("an image {layout}, gray or RGB"), port.to_string()));
    }
}

/// The real inputs or outputs against the promised ones, both ways.
fn against_graph(direction: &str, ports: &[Port], real: &[GraphPort], found: &mut Vec<Mismatch>) {
    for port in ports {
        let place = format!("{direction} `{}`", port.name);
        let Some(there) = real.iter().find(|r| r.name == port.name) else {
            let names = real.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
            found.push(Mismatch::new(place, port.to_string(), format!("none of that name among: {names}")));
            continue;
        };
        let fits = port.element.name() == there.element
            && port.shape.len() == there.shape.len()
            && port.shape.iter().zip(&there.shape).all(|(extent, n)| extent.is(*n));
        if !fits {
            found.push(Mismatch::new(place, port.to_string(), there.to_string()));
        }
    }
    for there in real.iter().filter(|r| ports.iter().all(|p| p.name != r.name)) {
        found.push(Mismatch::new(format!("{direction} `{}`", there.name), "nothing", there.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Colour;
    use crate::samples::{detection, fusion, port, segmentation};

    fn real(port: &Port) -> GraphPort {
        let extent = |e: &Extent| e.fixed().map_or(-1, |n| n as i64);
        let shape = port.shape.iter().map(extent).collect();
        GraphPort { name: port.name.clone(), element: port.element.name().into(), shape }
    }

    #[test]
    fn a_kept_promise_has_no_mismatch() {
        for contract in [fusion(vec![]), fusion(vec![detection(2)]), fusion(vec![detection(1), segmentation(3)])] {
            let [inputs, outputs] =
                [&contract.inputs, &contract.outputs].map(|p| p.iter().map(real).collect::<Vec<_>>());
            assert_eq!(contract.mismatches(&inputs, &outputs), []);
        }
    }

    #[test]
    fn ports_are_compared_both_ways() {
        let contract = fusion(vec![]);
        let (inputs, outputs): (Vec<_>, Vec<_>) =
            (contract.inputs.iter().map(real).collect(), contract.outputs.iter().map(real).collect());
        let with = |change: &dyn Fn(&mut GraphPort)| {
            let mut changed = outputs.clone();
            change(&mut changed[0]);
            contract.mismatches(&inputs, &changed)
        };
        assert_eq!(with(&|p| p.element = "f32".into()).len(), 1);
        assert_eq!(with(&|p| p.shape[1] = 480).len(), 1);
        let renamed = with(&|p| p.name = "fuxed".into());
        assert!(renamed[0].to_string().starts_with("output `fused`: expected fused: u8 ["), "{renamed:?}");
        assert!(renamed[1].to_string().starts_with("output `fuxed`: expected nothing, found u8 ["), "{renamed:?}");
    }

    #[test]
    fn a_contract_that_contradicts_itself_is_found_out() {
        let mut contract = fusion(vec![detection(2), segmentation(3)]);
        contract.inputs = vec![port("ir", Element::U8, &["1", "1", "8", "8"], Colour::Gray)];
        contract.outputs = vec![
            port("fused", Element::U8, &["1", "8", "8", "3"], Colour::Gray),
            port("predictions", Element::U8, &["1", "3"], Colour::None),
        ];
        let found = contract.contradictions();
        for place in ["inputs", "outputs", "input `ir`", "output `fused`", "output `predictions`"] {
            assert!(found.iter().any(|m| m.place == place), "{place} in {found:?}");
        }
        let twice = fusion(vec![detection(2), detection(2)]);
        assert!(twice.contradictions().iter().any(|m| m.place == "outputs"));
        assert!(fusion(vec![detection(0)]).contradictions().iter().any(|m| m.place == "detection"));
        assert!(fusion(vec![segmentation(257)]).contradictions().iter().any(|m| m.place == "segmentation"));
        let lone = Contract { inputs: vec![], outputs: vec![], tasks: vec![], ..fusion(vec![]) };
        assert!(lone.contradictions().iter().any(|m| m.found == "none"));
    }
}
