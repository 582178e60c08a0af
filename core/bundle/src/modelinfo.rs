//! A model's ports as GStreamer's inference elements read them (gst-analytics, GStreamer 1.28 and later).
//!
//! The format, version 1.0: an ini file beside the model, called after it (`model.onnx.modelinfo`). The section `[modelinfo]` has
//! `version` and `group-id`; one section for each tensor, titled by the tensor's name, has `id`, `type` (`uint8`, `float32`, …), `dims`
//! (comma-separated, -1 where open), `dir` (`input`, `output`), and for an input `ranges`: for each channel the two values that 0
//! and 255 of a video frame become.

use caf_contract::{Contract, Element, Extent, Port};
use std::fmt::Write as _;

/// What is appended to the name of a model's file.
pub const SUFFIX: &str = ".modelinfo";

/// The group of our models' tensors, and how their ids begin. No decoder of GStreamer's takes these outputs; one that does asks for
/// these names.
const GROUP: &str = "caf";

/// The file's text.
#[must_use]
pub fn modelinfo(contract: &Contract) -> String {
    let mut text = format!("[modelinfo]\nversion=1.0\ngroup-id={GROUP}\n");
    for (direction, ports) in [("input", &contract.inputs), ("output", &contract.outputs)] {
        for port in ports {
            // Writing to a string cannot fail.
            let _ = section(&mut text, direction, port);
        }
    }
    text
}

fn section(text: &mut String, direction: &str, port: &Port) -> std::fmt::Result {
    let (element, white) = match port.element {
        Element::U8 => ("uint8", "255.0"),
        Element::F32 => ("float32", "1.0"),
    };
    let extent = |extent: &Extent| extent.fixed().map_or("-1".to_owned(), |n| n.to_string());
    let dims: Vec<String> = port.shape.iter().map(extent).collect();
    let (name, id) = (&port.name, port.name.replace('_', "-"));
    write!(text, "\n[{name}]\nid={GROUP}-{id}\ntype={element}\ndims={}\ndir={direction}\n", dims.join(","))?;
    if direction == "input" {
        let ranges = vec![format!("0.0,{white}"); port.colour.channels()];
        writeln!(text, "ranges={}", ranges.join(";"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_contract::{Colour, IrRange, Precision};

    #[test]
    fn ports_become_sections() {
        let port = |name: &str, element, shape: Vec<Extent>, colour| Port { name: name.into(), element, shape, colour };
        let named = |name: &str| Extent::Named(name.to_owned());
        let contract = Contract {
            version: caf_contract::VERSION,
            precision: Precision::Fp32,
            inputs: vec![
                port(
                    "ir",
                    Element::F32,
                    vec![Extent::Fixed(1), Extent::Fixed(1), named("h"), named("w")],
                    Colour::Gray,
                ),
                port("vi", Element::U8, [1, 4, 5, 3].map(Extent::Fixed).to_vec(), Colour::Rgb),
            ],
            outputs: vec![port(
                "class_map",
                Element::U8,
                vec![Extent::Fixed(1), Extent::Open, Extent::Fixed(5)],
                Colour::None,
            )],
            infrared_range: IrRange::Full,
            tasks: vec![],
            sources: vec![],
        };
        let expected = "[modelinfo]\nversion=1.0\ngroup-id=caf\n\
            \n[ir]\nid=caf-ir\ntype=float32\ndims=1,1,-1,-1\ndir=input\nranges=0.0,1.0\n\
            \n[vi]\nid=caf-vi\ntype=uint8\ndims=1,4,5,3\ndir=input\nranges=0.0,255.0;0.0,255.0;0.0,255.0\n\
            \n[class_map]\nid=caf-class-map\ntype=uint8\ndims=1,-1,5\ndir=output\n";
        assert_eq!(modelinfo(&contract), expected);
    }
}
